//! The events of Codex.

use serde_json::Value;

use super::super::class::{self, Class};
use super::{Known, Said, number, plain, text};
use crate::run::events::Event;

#[derive(Debug, Default)]
pub(in crate::runner) struct Parser {
    pub known: Known,
    /// The last `error`, which says more than `turn.failed` where that says nothing.
    complaint: Option<String>,
}

impl Parser {
    /// Takes an event; false when its kind is not known.
    pub fn event(&mut self, value: &Value, events: &mut Vec<Event>) -> bool {
        match text(value, "type") {
            Some("thread.started") => {
                if let Some(id) = text(value, "thread_id") {
                    self.known.found_session(id);
                }
            }
            Some("turn.started") => self.known.turns = self.known.turns.saturating_add(1),
            Some("item.started") => return self.item(value, Stage::Started, events),
            Some("item.updated") => return self.item(value, Stage::Updated, events),
            Some("item.completed") => return self.item(value, Stage::Completed, events),
            Some("turn.completed") => self.completed(value, events),
            Some("turn.failed") => self.failed(value, events),
            Some("error") => self.error(value, events),
            Some(_) | None => return false,
        }
        true
    }

    fn item(&mut self, value: &Value, stage: Stage, events: &mut Vec<Event>) -> bool {
        let Some(item) = value.get("item") else { return false };
        let said = || text(item, "text").unwrap_or_default().to_owned();
        match (text(item, "type").unwrap_or_default(), stage) {
            ("agent_message", Stage::Completed) => {
                self.known.last_message = Some(said());
                events.push(Event::Message { text: said() });
            }
            ("reasoning", Stage::Completed) => events.push(Event::Thinking { text: said() }),
            ("error", Stage::Completed) => {
                let message = text(item, "message").unwrap_or_default().to_owned();
                events.push(Event::Error { message });
            }
            ("command_execution", stage) => self.tool("shell", item, &["command"], stage, events),
            ("file_change", stage) => self.tool("file_change", item, &["changes"], stage, events),
            ("web_search", stage) => self.tool("web_search", item, &["query"], stage, events),
            ("mcp_tool_call", stage) => {
                let name = format!(
                    "{}.{}",
                    text(item, "server").unwrap_or("mcp"),
                    text(item, "tool").unwrap_or("tool")
                );
                self.tool(&name, item, &["arguments"], stage, events);
            }
            ("agent_message" | "reasoning" | "error" | "todo_list", _) => {}
            _ => return false,
        }
        true
    }

    fn tool(&mut self, name: &str, item: &Value, input: &[&str], stage: Stage, events: &mut Vec<Event>) {
        let id = text(item, "id").unwrap_or_default().to_owned();
        let is_open = self.known.open_tools.contains(&id);
        if !is_open && stage != Stage::Updated {
            self.known.begin_tool(&id);
            let given: serde_json::Map<_, _> =
                input.iter().filter_map(|key| Some(((*key).to_owned(), item.get(*key)?.clone()))).collect();
            let (id, name) = (id.clone(), name.to_owned());
            events.push(Event::ToolCall { id, name, input: Value::Object(given).to_string() });
        }
        if stage == Stage::Completed {
            self.known.end_tool(&id);
            let output = ["aggregated_output", "result", "error"]
                .iter()
                .filter_map(|key| item.get(*key))
                .map(plain)
                .find(|output| !output.is_empty())
                .unwrap_or_default();
            let is_error = text(item, "status") == Some("failed")
                || item.get("exit_code").and_then(Value::as_i64).is_some_and(|code| code != 0);
            events.push(Event::ToolResult { id, output, is_error });
        }
    }

    fn completed(&mut self, value: &Value, events: &mut Vec<Event>) {
        if let Some(usage) = value.get("usage") {
            let cached = number(usage, "cached_input_tokens");
            let input = number(usage, "input_tokens").saturating_sub(cached);
            let output = number(usage, "output_tokens");
            (self.known.input_tokens, self.known.output_tokens) = (input, output);
            self.known.cached_input_tokens = cached;
            let (input_tokens, output_tokens, cached_input_tokens) = (input, output, cached);
            events.push(Event::Usage { input_tokens, output_tokens, cached_input_tokens });
        }
        self.known.end = Some(Said::Done { summary: self.known.last_message.clone() });
    }

    fn failed(&mut self, value: &Value, events: &mut Vec<Event>) {
        let said = value.get("error").and_then(|error| text(error, "message")).map(ToOwned::to_owned);
        let message = said.or_else(|| self.complaint.clone()).unwrap_or_else(|| "the turn failed".to_owned());
        if self.complaint.as_ref() != Some(&message) {
            events.push(Event::Error { message: message.clone() });
        }
        let class = class::of(&message, None);
        if class == Class::Limit {
            self.known.resets_at = None;
        }
        self.known.end = Some(Said::Failed { class, message });
    }

    fn error(&mut self, value: &Value, events: &mut Vec<Event>) {
        let message = text(value, "message").unwrap_or_default().to_owned();
        if message.starts_with("Reconnecting") {
            events.push(Event::Retry { text: message });
        } else {
            events.push(Event::Error { message: message.clone() });
            self.complaint = Some(message);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Started,
    Updated,
    Completed,
}
