//! The events of Gemini.

use serde_json::Value;

use super::super::class;
use super::{Known, Said, number, plain, text};
use crate::run::events::Event;

/// A message that comes in pieces is one event; a longer one is several.
const MAX_MESSAGE_BYTES: usize = 64 << 10;

#[derive(Debug, Default)]
pub(in crate::runner) struct Parser {
    pub known: Known,
    /// The pieces of a message that may go on.
    message: String,
}

impl Parser {
    /// Takes an event; false when its kind is not known.
    pub fn event(&mut self, value: &Value, events: &mut Vec<Event>) -> bool {
        let kind = text(value, "type").unwrap_or_default();
        if kind == "message" && text(value, "role") == Some("assistant") {
            self.message.push_str(text(value, "content").unwrap_or_default());
            let goes_on = value.get("delta").and_then(Value::as_bool).unwrap_or(false);
            if !goes_on || self.message.len() > MAX_MESSAGE_BYTES {
                events.extend(self.finish());
            }
            return true;
        }
        events.extend(self.finish());
        match kind {
            "init" => {
                if let Some(id) = text(value, "session_id") {
                    self.known.found_session(id);
                }
                self.known.model = text(value, "model").map(ToOwned::to_owned);
            }
            "message" => {}
            "tool_use" => {
                let id = text(value, "tool_id").unwrap_or_default().to_owned();
                self.known.begin_tool(&id);
                let name = text(value, "tool_name").unwrap_or_default().to_owned();
                let input = value.get("parameters").map(Value::to_string).unwrap_or_default();
                events.push(Event::ToolCall { id, name, input });
            }
            "tool_result" => {
                let id = text(value, "tool_id").unwrap_or_default().to_owned();
                self.known.end_tool(&id);
                let is_error = text(value, "status") != Some("success");
                let said = value.get("output").map(plain).filter(|output| !output.is_empty());
                let error = || value.get("error").map(message_of).unwrap_or_default();
                events.push(Event::ToolResult { id, output: said.unwrap_or_else(error), is_error });
            }
            "error" => events.push(Event::Error { message: message_of(value) }),
            "result" => self.result(value, events),
            _ => return false,
        }
        true
    }

    /// Says the message that was held back.
    pub fn finish(&mut self) -> Vec<Event> {
        if self.message.is_empty() {
            return Vec::new();
        }
        let text = std::mem::take(&mut self.message);
        self.known.turns = self.known.turns.saturating_add(1);
        self.known.last_message = Some(text.clone());
        vec![Event::Message { text }]
    }

    fn result(&mut self, value: &Value, events: &mut Vec<Event>) {
        if let Some(stats) = value.get("stats") {
            let cached = number(stats, "cached");
            self.known.input_tokens = number(stats, "input_tokens").saturating_sub(cached);
            self.known.output_tokens = number(stats, "output_tokens");
            self.known.cached_input_tokens = cached;
            let Known { input_tokens, output_tokens, cached_input_tokens, .. } = self.known;
            if input_tokens + output_tokens + cached_input_tokens > 0 {
                events.push(Event::Usage { input_tokens, output_tokens, cached_input_tokens });
            }
        }
        self.known.end = Some(match text(value, "status") {
            Some("success") => Said::Done { summary: self.known.last_message.clone() },
            _ => {
                let message = value.get("error").map(message_of).unwrap_or_else(|| "it failed".to_owned());
                events.push(Event::Error { message: message.clone() });
                let class = class::of(&message, status_in(&message));
                Said::Failed { class, message }
            }
        });
    }
}

fn message_of(error: &Value) -> String {
    text(error, "message").map_or_else(|| plain(error), ToOwned::to_owned)
}

/// The status of the service's answer, where the message quotes it.
fn status_in(message: &str) -> Option<u64> {
    let (_, rest) = message.split_once("\"code\":")?;
    let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
