//! The OpenAPI document as a page for people: plain HTML that asks nobody else for anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #2563eb; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
code, pre, td:first-child { font-family: ui-monospace, monospace; font-size: 13px; }
h2 { margin-top: 2.5rem; text-transform: capitalize; } h3 { margin: 2rem 0 .25rem; font-size: 1rem; }
h3 b { display: inline-block; min-width: 3.5rem; color: var(--accent); text-transform: uppercase; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; font-size: 13px; } nav a { display: block; } a { color: var(--accent); text-decoration: none; }
nav { columns: 2; } @media (max-width: 40rem) { nav { columns: 1; } table { display: block; overflow-x: auto; } }
.kind { color: var(--accent); } small { opacity: .75; }";

/// Renders a document.
pub(crate) fn page(document: &Value) -> String {
    let mut operations: BTreeMap<&str, Vec<(&str, &str, &Value)>> = BTreeMap::new();
    for (path, item) in object(&document["paths"]) {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let tag = operation["tags"][0].as_str().unwrap_or("other");
            operations.entry(tag).or_default().push((path, method, operation));
        }
    }
    let mut page = Page::default();
    let info = &document["info"];
    page.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
    page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>Conductor API</title><style>");
    page.raw(STYLE);
    page.raw("</style></head><body><h1>Conductor API</h1><p>");
    page.text(info["description"].as_str().unwrap_or_default());
    page.raw(" Version ");
    page.text(info["version"].as_str().unwrap_or_default());
    page.raw(". Every request carries <code>Authorization: Bearer TOKEN</code>; errors are <code>application/problem+json</code>. The same as a document for programs: <code>/openapi.json</code>.</p><nav>");
    for (path, method, operation) in operations.values().flatten() {
        let id = operation["operationId"].as_str().unwrap_or_default();
        page.line(&[
            "<a href=\"#",
            &escaped(id),
            "\"><code>",
            &method.to_uppercase(),
            " ",
            &escaped(path),
            "</code></a>",
        ]);
    }
    page.raw("</nav>");
    for (tag, operations) in &operations {
        page.line(&["<h2>", &escaped(tag), "</h2>"]);
        for (path, method, operation) in operations {
            page.operation(path, method, operation);
        }
    }
    page.raw("<h2>Schemas</h2>");
    for (name, schema) in object(&document["components"]["schemas"]) {
        page.schema(name, schema);
    }
    page.raw("</body></html>\n");
    page.0
}

#[derive(Debug, Default)]
struct Page(String);

impl Page {
    fn raw(&mut self, html: &str) {
        self.0.push_str(html);
    }

    fn text(&mut self, text: &str) {
        self.0.push_str(&marked(text));
    }

    fn line(&mut self, parts: &[&str]) {
        for part in parts {
            self.0.push_str(part);
        }
        self.0.push('\n');
    }

    fn operation(&mut self, path: &str, method: &str, operation: &Value) {
        let id = operation["operationId"].as_str().unwrap_or_default();
        self.line(&[
            "<h3 id=\"",
            &escaped(id),
            "\"><b>",
            method,
            "</b> <code>",
            &escaped(path),
            "</code></h3><p>",
        ]);
        for part in ["summary", "description"] {
            self.text(operation[part].as_str().unwrap_or_default());
            self.raw(" ");
        }
        self.raw("</p>");
        let body = object(&operation["requestBody"]["content"]);
        if !list(&operation["parameters"]).is_empty() || body.iter().len() > 0 {
            self.raw("<table><tr><th>Parameter</th><th>In</th><th>Kind</th><th></th></tr>");
            for parameter in list(&operation["parameters"]) {
                let said = |field: &str| parameter[field].as_str().unwrap_or_default();
                self.row(&[
                    escaped(said("name")),
                    escaped(said("in")),
                    kind(&parameter["schema"]),
                    marked(said("description")),
                ]);
            }
            for (media, content) in body {
                let about = operation["requestBody"]["description"].as_str().unwrap_or_default();
                self.row(&["body".into(), escaped(media), kind(&content["schema"]), marked(about)]);
            }
            self.raw("</table>");
        }
        self.raw("<table><tr><th>Answer</th><th>Kind</th><th></th></tr>");
        for (status, response) in object(&operation["responses"]) {
            let kinds: Vec<String> = object(&response["content"])
                .iter()
                .map(|(media, content)| {
                    format!("{} <small>{}</small>", kind(&content["schema"]), escaped(media))
                })
                .collect();
            let about = response["description"].as_str().unwrap_or_default();
            self.row(&[escaped(status), kinds.join("<br>"), marked(about)]);
        }
        self.raw("</table>");
    }

    fn schema(&mut self, name: &str, schema: &Value) {
        self.line(&["<h3 id=\"schema-", &escaped(name), "\">", &escaped(name), "</h3><p>"]);
        self.text(schema["description"].as_str().unwrap_or_default());
        self.raw("</p>");
        let properties = object(&schema["properties"]);
        if properties.is_empty() {
            return self.line(&["<p>", &kind(schema), "</p>"]);
        }
        let required = list(&schema["required"]);
        self.raw("<table><tr><th>Field</th><th>Kind</th><th></th></tr>");
        for (field, property) in properties {
            let must = if required.iter().any(|name| name == field) { " <small>always</small>" } else { "" };
            let about = property["description"].as_str().unwrap_or_default();
            self.row(&[escaped(field), format!("{}{must}", kind(property)), marked(about)]);
        }
        self.raw("</table>");
    }

    fn row(&mut self, cells: &[String]) {
        self.raw("<tr>");
        for cell in cells {
            // Writing to a String does not fail.
            let _ = write!(self.0, "<td>{cell}</td>");
        }
        self.raw("</tr>\n");
    }
}

/// What a schema allows, in a few words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        let name = escaped(name);
        return format!("<a class=\"kind\" href=\"#schema-{name}\">{name}</a>");
    }
    for group in ["oneOf", "anyOf", "allOf"] {
        let kinds: Vec<String> = list(&schema[group]).iter().map(kind).collect();
        if !kinds.is_empty() {
            return kinds.join(" | ");
        }
    }
    let values: Vec<String> = list(&schema["enum"]).iter().filter_map(Value::as_str).map(escaped).collect();
    if !values.is_empty() {
        return values.join(" | ");
    }
    let name = match &schema["type"] {
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            names.join(" | ")
        }
        _ => "any".to_owned(),
    };
    if name.contains("array") {
        return format!("list of {}", kind(&schema["items"]));
    }
    match schema["format"].as_str() {
        Some(format) => format!("{} <small>{}</small>", escaped(&name), escaped(format)),
        None => escaped(&name),
    }
}

fn object(value: &Value) -> &Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    value.as_object().unwrap_or(&NONE)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Text in which backquotes mark code.
fn marked(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(index, part)| match index % 2 {
        0 => escaped(part),
        _ => format!("<code>{}</code>", escaped(part)),
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_asks_nobody_and_escapes_what_it_shows() {
        let document = serde_json::json!({
            "info": {"description": "a <b>", "version": "1"},
            "paths": {"/v1/x": {"get": {"operationId": "x", "tags": ["t"], "summary": "Reads `x`.", "responses": {}}}},
            "components": {"schemas": {"X": {"properties": {"y": {"type": "string"}}, "required": ["y"]}}},
        });
        let page = page(&document);
        assert!(page.contains("a &lt;b&gt;") && page.contains("Reads <code>x</code>."), "{page}");
        assert!(page.contains("id=\"schema-X\"") && page.contains("<small>always</small>"), "{page}");
        for foreign in ["http://", "https://", "<script", "src="] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }
}
