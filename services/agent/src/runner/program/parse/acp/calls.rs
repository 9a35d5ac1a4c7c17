//! The tools that an agent uses.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use super::super::{Known, MAX_OPEN_TOOLS, plain, text};
use crate::run::events::Event;

/// The most bytes of a tool's result that are read from what it shows.
const MAX_SHOWN_BYTES: usize = 1 << 20;
/// The most bytes that are kept of all tools at work together; what passes it is not learned.
const MAX_KEPT_BYTES: usize = 32 << 20;
/// The most uses of tools that are remembered as over.
const MAX_OVER: usize = 64;

/// The tools that are at work, by the names of their uses.
#[derive(Debug, Default)]
pub(super) struct Calls {
    open: BTreeMap<String, Call>,
    /// Uses of tools that are over; what is told of them later is nothing new.
    over: VecDeque<String>,
}

/// A tool that is at work.
#[derive(Debug, Default)]
pub(super) struct Call {
    pub name: String,
    /// What it does: `read`, `edit`, `execute` and such.
    pub kind: String,
    title: String,
    input: Value,
    shown: Value,
    /// What input and shown take.
    values: usize,
    /// What it printed, where that is told as it comes.
    printed: String,
    is_told: bool,
}

impl Calls {
    /// Takes what is told of the use of a tool.
    pub fn update(&mut self, update: &Value, known: &mut Known) -> Vec<Event> {
        let mut events = Vec::new();
        let id = text(update, "toolCallId").unwrap_or_default();
        if let Some(at) = self.over.iter().position(|over| over == id) {
            // One that begins under an old name is another one.
            if text(update, "sessionUpdate") != Some("tool_call") {
                return events;
            }
            self.over.remove(at);
        }
        let status = text(update, "status").unwrap_or_default();
        // What it is given may follow a moment later.
        let is_known = self.learn(id, update).is_some_and(|call| call.input.is_object());
        if is_known || !matches!(status, "" | "pending") {
            events.extend(self.tell_of(id, known));
        }
        let is_error = match status {
            "completed" => false,
            "failed" => true,
            _ => return events,
        };
        if let Some(call) = self.end(id, known) {
            events.push(Event::ToolResult { id: id.to_owned(), output: call.output(update), is_error });
        }
        events
    }

    /// Takes what is told of a tool; none when too many are at work, or too much is kept of them already.
    pub fn learn(&mut self, id: &str, told: &Value) -> Option<&Call> {
        if self.open.len() >= MAX_OPEN_TOOLS && !self.open.contains_key(id) {
            return None;
        }
        let kept: usize = self.open.values().map(Call::kept).sum();
        if kept + size(told) > MAX_KEPT_BYTES {
            return None;
        }
        let call = self.open.entry(id.to_owned()).or_default();
        call.learn(told);
        Some(call)
    }

    /// Tells of a tool that is used, once.
    pub fn tell_of(&mut self, id: &str, known: &mut Known) -> Option<Event> {
        let call = self.open.get_mut(id).filter(|call| !call.is_told)?;
        call.is_told = true;
        known.begin_tool(id);
        let (name, input) = (call.name.clone(), call.input().to_string());
        Some(Event::ToolCall { id: id.to_owned(), name, input })
    }

    pub fn end(&mut self, id: &str, known: &mut Known) -> Option<Call> {
        let call = self.open.remove(id)?;
        known.end_tool(id);
        if self.over.len() >= MAX_OVER {
            self.over.pop_front();
        }
        self.over.push_back(id.to_owned());
        Some(call)
    }

    pub fn end_all(&mut self, known: &mut Known) {
        for id in std::mem::take(&mut self.open).into_keys() {
            known.end_tool(&id);
        }
    }
}

impl Call {
    fn learn(&mut self, told: &Value) {
        if let Some(kind) = text(told, "kind") {
            self.kind = kind.to_owned();
        }
        // Some say the tool's own name besides.
        let name = text(&told["_meta"]["claudeCode"], "toolName").or_else(|| text(told, "name"));
        match name {
            Some(name) => self.name = name.to_owned(),
            None if self.name.is_empty() => self.name.clone_from(&self.kind),
            None => {}
        }
        if let Some(title) = text(told, "title") {
            self.title = title.to_owned();
        }
        let is_said = |value: &&Value| value.as_object().is_some_and(|object| !object.is_empty());
        if let Some(input) = told.get("rawInput").filter(is_said) {
            self.input = input.clone();
        }
        if let Some(shown) =
            told.get("content").filter(|shown| shown.as_array().is_some_and(|all| !all.is_empty()))
        {
            self.shown = shown.clone();
        }
        self.values = size(&self.input) + size(&self.shown);
        let printed = text(&told["_meta"]["terminal_output_delta"], "data").unwrap_or_default();
        if self.printed.len() + printed.len() <= MAX_SHOWN_BYTES {
            self.printed.push_str(printed);
        }
    }

    /// How many bytes are kept of it.
    fn kept(&self) -> usize {
        self.name.len() + self.kind.len() + self.title.len() + self.printed.len() + self.values
    }

    /// What the tool is given: as it is told, else what is shown of it.
    pub fn input(&self) -> Value {
        if self.input.is_object() {
            return self.input.clone();
        }
        match &self.shown {
            Value::Null => json!({"title": self.title}),
            shown => json!({"title": self.title, "content": shown}),
        }
    }

    fn output(&self, update: &Value) -> String {
        match update.get("rawOutput") {
            Some(Value::String(output)) if !output.is_empty() => return output.clone(),
            Some(_) | None => {}
        }
        let mut room = MAX_SHOWN_BYTES;
        let parts = update["content"].as_array().into_iter().flatten().filter_map(|part| {
            let shown = match text(part, "type") {
                Some("content") => text(&part["content"], "text")?.to_owned(),
                Some("diff") => format!("changed {}", text(part, "path").unwrap_or_default()),
                Some(_) | None => return None,
            };
            room = room.checked_sub(shown.len())?;
            Some(shown)
        });
        let parts: Vec<_> = parts.collect();
        if !parts.is_empty() {
            return parts.join("\n");
        }
        if self.printed.is_empty() {
            update.get("rawOutput").map(plain).unwrap_or_default()
        } else {
            self.printed.clone()
        }
    }
}

/// About how many bytes a value takes in memory, which may be many times those of its text.
fn size(value: &Value) -> usize {
    let below = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| size_of::<String>() + name.len() + size(value)).sum()
        }
    };
    size_of::<Value>() + below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_all_tools_together_has_an_end_and_those_that_end_make_room() {
        let (mut calls, mut known) = (Calls::default(), Known::default());
        let told = |size: usize| json!({"rawInput": {"text": "x".repeat(size)}});
        let quarter = told(MAX_KEPT_BYTES / 4);
        let learned = (0..8).filter(|number| calls.learn(&number.to_string(), &quarter).is_some()).count();
        assert_eq!(learned, 3, "the fourth would pass it by what it takes besides its text");
        assert!(calls.learn("small", &told(10)).is_some());
        assert!(calls.learn("0", &quarter).is_none(), "nor is more learned of one that is known");
        calls.end("0", &mut known);
        assert!(calls.learn("8", &quarter).is_some());
        let flat = json!({"rawInput": {"list": vec![0; MAX_KEPT_BYTES / 16]}});
        assert!(Calls::default().learn("flat", &flat).is_none(), "short text, but much to keep");
    }
}
