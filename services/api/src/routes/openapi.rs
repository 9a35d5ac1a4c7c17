//! The OpenAPI document: what the routes say of themselves, and what is so of all of them.

use std::sync::LazyLock;

use axum::extract::RawQuery;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse as _, Response};
use conductor_protocol::Code;
use conductor_web::{Caller, Refusal};
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use crate::http::Params;
use crate::reference;

/// The document as text, the same for the life of the program.
static TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut text = serde_json::to_string_pretty(&super::document()).expect("a document is JSON");
    text.push('\n');
    text
});
/// The document for people.
static PAGE: LazyLock<String> = LazyLock::new(|| {
    let document = serde_json::from_str(&TEXT).expect("it was just written");
    reference::page(&document)
});

/// What the routes say besides: statuses beyond those of all, which are taken out of the document again.
const BESIDES: &str = "x-problems";
/// What every route may answer that asks for a token.
const ALWAYS: [u64; 6] = [400, 401, 403, 429, 500, 503];
/// What every route may answer that asks for none.
const OPEN: [u64; 4] = [400, 403, 500, 503];
/// What a range of statuses stands for in what a route says.
const RANGE: [u64; 3] = [404, 409, 413];
const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];

/// The document as text.
pub(super) fn text() -> &'static str {
    &TEXT
}

/// Adds to the document what is so of all routes.
pub(super) fn finished(document: &OpenApi) -> OpenApi {
    let mut value = serde_json::to_value(document).expect("a document is JSON");
    let paths = value["paths"].as_object_mut().map(std::mem::take).unwrap_or_default();
    let mut done = Map::new();
    for (path, mut item) in paths {
        for method in METHODS {
            if let Some(operation) = item.get_mut(method).and_then(Value::as_object_mut) {
                finish(&path, method, operation);
            }
        }
        // A path within a path has a mark of its own only in the router.
        done.insert(path.replace("{*", "{"), item);
    }
    value["paths"] = Value::Object(done);
    serde_json::from_value(value).expect("it is a document still")
}

fn finish(path: &str, method: &str, operation: &mut Map<String, Value>) {
    if path == "/mcp" {
        operation.insert("operationId".into(), format!("mcp_{method}").into());
    }
    let is_open = operation.get("security").is_some_and(|security| security == &json!([{}]));
    let mut statuses: Vec<u64> = if is_open { OPEN.to_vec() } else { ALWAYS.to_vec() };
    if path.contains('{') {
        statuses.push(404);
    }
    if let Some(Value::Array(besides)) = operation.remove(BESIDES) {
        statuses.extend(besides.iter().filter_map(Value::as_u64));
    }
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    if responses.remove("4XX").is_some() {
        statuses.extend(RANGE);
    }
    let has_pages =
        responses.get("200").is_some_and(|response| response["content"].get("text/html").is_some());
    for status in statuses {
        let mut problem = problem(status);
        if has_pages {
            problem["content"]["text/html"] = json!({"schema": {"type": "string"}});
        }
        responses.insert(status.to_string(), problem);
    }
    for (status, response) in responses.iter_mut() {
        if response["description"].as_str().is_none_or(str::is_empty) {
            response["description"] = described(status).into();
        }
    }
}

fn described(status: &str) -> &'static str {
    match status {
        "200" => "Done.",
        "201" => "It was made.",
        "204" => "Done, with nothing to say.",
        _ => "See the status.",
    }
}

/// The answer with a status that says what went wrong.
fn problem(status: u64) -> Value {
    let codes = [
        Code::InvalidRequest,
        Code::Unauthorized,
        Code::Forbidden,
        Code::NotFound,
        Code::Conflict,
        Code::IdempotencyConflict,
        Code::Gone,
        Code::PayloadTooLarge,
        Code::QueueFull,
        Code::RateLimited,
        Code::StorageFull,
        Code::NotLeader,
        Code::Unavailable,
        Code::Internal,
    ];
    let said: Vec<String> = codes
        .into_iter()
        .filter(|code| u64::from(code.status()) == status)
        .map(|code| format!("`{}`: {}", code.as_str(), code.title()))
        .collect();
    let mut response = json!({
        "description": format!("{}.", said.join("; ")),
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    });
    let header =
        |description: &str, kind: &str| json!({"description": description, "schema": {"type": kind}});
    match status {
        401 => response["headers"]["WWW-Authenticate"] = header("What is asked for.", "string"),
        429 | 503 => {
            response["headers"]["Retry-After"] = header("When to come again, in seconds.", "integer")
        }
        _ => {}
    }
    response
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "health", operation_id = "get_openapi",
    responses((status = 200, description = "OpenAPI 3.1.", content((Object = "application/json")))),
)]
pub(super) async fn openapi(_caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    Ok(([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response())
}

/// This document, for people.
#[utoipa::path(
    get, path = "/docs", tag = "health", operation_id = "get_docs",
    responses((status = 200, description = "A page that needs nothing else.", content((String = "text/html")))),
)]
pub(super) async fn docs(_caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    let mut response = Html(PAGE.as_str()).into_response();
    let policy =
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}
