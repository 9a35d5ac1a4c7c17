//! The events of Claude Code.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::class::{self, Class};
use super::{Ask, Known, MAX_MESSAGES, Request, Said, number, plain, text};
use crate::run::events::Event;

#[derive(Debug, Default)]
pub(in crate::runner) struct Parser {
    pub known: Known,
    /// What each message used, by its id: several lines may tell of one.
    messages: BTreeMap<String, [u64; 3]>,
    /// What the last complaint of the service was.
    complaint: Option<(Class, String)>,
    /// What it wants and nobody has taken yet.
    pub requests: Vec<Request>,
    /// What was used and cost until the last result: it may be told more and give another one.
    before: Before,
}

/// What the results so far told.
#[derive(Debug, Default)]
struct Before {
    tokens: [u64; 3],
    cost_usd: Option<f64>,
    turns: u32,
}

impl Parser {
    /// Takes an event; false when its kind is not known.
    pub fn event(&mut self, value: &Value, events: &mut Vec<Event>) -> bool {
        if let Some(session) = text(value, "session_id") {
            self.known.found_session(session);
        }
        match text(value, "type") {
            Some("system") => self.system(value, events),
            Some("assistant") => {
                self.assistant(value, events);
                true
            }
            Some("user") => {
                self.user(value, events);
                true
            }
            // How far what it was told is; that it took it up is said besides.
            Some("command_lifecycle") => true,
            Some("control_request") => {
                self.control_request(value);
                true
            }
            Some("control_cancel_request") => {
                let id = text(value, "request_id").unwrap_or_default().to_owned();
                self.requests.push(Request::Withdrawn { id });
                true
            }
            Some("rate_limit_event") => {
                self.limit(value, events);
                true
            }
            Some("result") => {
                self.result(value, events);
                true
            }
            Some(_) | None => false,
        }
    }

    fn control_request(&mut self, value: &Value) {
        let id = text(value, "request_id").unwrap_or_default().to_owned();
        let request = value.get("request");
        let of = |name| request.and_then(|request| text(request, name));
        self.requests.push(match (of("subtype"), of("tool_name")) {
            (Some("can_use_tool"), Some(tool)) => {
                let input = request.and_then(|request| request.get("input")).cloned().unwrap_or_default();
                let (tool, call, kind) = (tool.to_owned(), String::new(), String::new());
                Request::Ask(Ask { id, tool, input, call, kind, offers: Vec::new() })
            }
            _ => Request::Unknown { id },
        });
    }

    fn system(&mut self, value: &Value, events: &mut Vec<Event>) -> bool {
        match text(value, "subtype") {
            Some("init") => {
                self.known.model = text(value, "model").map(ToOwned::to_owned);
                self.goes_on();
            }
            Some("api_retry") => {
                let said = text(value, "error").unwrap_or("error");
                let status = value.get("error_status").and_then(Value::as_u64);
                let status = status.map(|status| format!(" ({status})")).unwrap_or_default();
                let number = |name| value.get(name).and_then(Value::as_u64).unwrap_or(0);
                let (attempt, most) = (number("attempt"), number("max_retries"));
                events.push(Event::Retry { text: format!("{said}{status}, try {attempt} of {most}") });
            }
            Some("thinking_tokens") => {}
            Some(_) | None => return false,
        }
        true
    }

    fn assistant(&mut self, value: &Value, events: &mut Vec<Event>) {
        let Some(message) = value.get("message") else { return };
        self.goes_on();
        if let Some(error) = text(value, "error") {
            let said = first_text(message).unwrap_or_else(|| error.to_owned());
            let status = value.get("api_error_status").and_then(Value::as_u64);
            self.complaint = Some((classify(error, status, &said), said.clone()));
            events.push(Event::Error { message: said });
            return;
        }
        for part in message.get("content").and_then(Value::as_array).into_iter().flatten() {
            match text(part, "type") {
                Some("text") => {
                    let text = text(part, "text").unwrap_or_default().to_owned();
                    self.known.last_message = Some(text.clone());
                    events.push(Event::Message { text });
                }
                Some("thinking") => {
                    let text = text(part, "thinking").unwrap_or_default();
                    if !text.is_empty() {
                        events.push(Event::Thinking { text: text.to_owned() });
                    }
                }
                Some("tool_use" | "server_tool_use") => {
                    let id = text(part, "id").unwrap_or_default().to_owned();
                    let name = text(part, "name").unwrap_or_default().to_owned();
                    self.known.begin_tool(&id);
                    let input = part.get("input").map(Value::to_string).unwrap_or_default();
                    events.push(Event::ToolCall { id, name, input });
                }
                Some(_) | None => {}
            }
        }
        self.used(message, events);
    }

    /// Counts what a message used; a later line of the same message replaces what an earlier one said.
    fn used(&mut self, message: &Value, events: &mut Vec<Event>) {
        let (Some(id), Some(usage)) = (text(message, "id"), message.get("usage")) else { return };
        let used = tokens(usage);
        if used == [0; 3] || (self.messages.len() >= MAX_MESSAGES && !self.messages.contains_key(id)) {
            return;
        }
        let before = self.messages.insert(id.to_owned(), used);
        if before.is_none() {
            self.known.turns = self.known.turns.saturating_add(1);
        }
        if before != Some(used) {
            let [input_tokens, output_tokens, cached_input_tokens] = used;
            events.push(Event::Usage { input_tokens, output_tokens, cached_input_tokens });
        }
        let sum = |at: usize| self.messages.values().map(|used| used[at]).sum();
        (self.known.input_tokens, self.known.output_tokens) = (sum(0), sum(1));
        self.known.cached_input_tokens = sum(2);
    }

    /// A result was not the last: it was told more.
    fn goes_on(&mut self) {
        self.known.end = None;
    }

    fn user(&mut self, value: &Value, events: &mut Vec<Event>) {
        if let Some(name) = text(value, "uuid").filter(|_| value["isReplay"] == true) {
            self.requests.push(Request::Took { name: name.to_owned() });
            return;
        }
        let content = value.get("message").and_then(|message| message.get("content"));
        for part in content.and_then(Value::as_array).into_iter().flatten() {
            if text(part, "type") != Some("tool_result") {
                continue;
            }
            let id = text(part, "tool_use_id").unwrap_or_default().to_owned();
            self.known.end_tool(&id);
            let output = match part.get("content") {
                Some(Value::Array(parts)) => {
                    parts.iter().filter_map(|part| text(part, "text")).collect::<Vec<_>>().join("\n")
                }
                Some(other) => plain(other),
                None => String::new(),
            };
            let is_error = part.get("is_error").and_then(Value::as_bool).unwrap_or(false);
            events.push(Event::ToolResult { id, output, is_error });
        }
    }

    fn limit(&mut self, value: &Value, events: &mut Vec<Event>) {
        let Some(info) = value.get("rate_limit_info") else { return };
        let status = text(info, "status").unwrap_or_default();
        let resets_at = info.get("resetsAt").and_then(Value::as_i64);
        if status == "rejected" {
            self.known.resets_at = resets_at;
        }
        let kind = text(info, "rateLimitType").unwrap_or("limit");
        events.push(Event::Limit { text: format!("{kind}: {status}"), resets_at });
    }

    /// What this invocation cost so far. The total counts earlier ones of a resumed session in some versions; those say beside
    /// it what was used since the last result.
    fn cost(&mut self, value: &Value) -> Option<f64> {
        let Some(models) = value.get("model_usage_since_last_result").and_then(Value::as_object) else {
            return value.get("total_cost_usd").and_then(Value::as_f64);
        };
        let since: f64 =
            models.values().filter_map(|model| model.get("costUSD").and_then(Value::as_f64)).sum();
        self.before.cost_usd = Some(self.before.cost_usd.unwrap_or(0.0) + since);
        self.before.cost_usd
    }

    fn result(&mut self, value: &Value, events: &mut Vec<Event>) {
        if let Some(usage) = value.get("usage") {
            let used = tokens(usage);
            if used != [0; 3] {
                for (sum, more) in self.before.tokens.iter_mut().zip(used) {
                    *sum = sum.saturating_add(more);
                }
                let [input, output, cached] = self.before.tokens;
                (self.known.input_tokens, self.known.output_tokens) = (input, output);
                self.known.cached_input_tokens = cached;
            }
        }
        self.known.cost_usd = self.cost(value);
        if let Some(turns) = value.get("num_turns").and_then(Value::as_u64) {
            let turns = u32::try_from(turns).unwrap_or(u32::MAX);
            self.before.turns = self.before.turns.saturating_add(turns);
            self.known.turns = self.before.turns;
        }
        let said = text(value, "result").map(ToOwned::to_owned);
        let is_error = value.get("is_error").and_then(Value::as_bool).unwrap_or(false);
        let status = value.get("api_error_status").and_then(Value::as_u64);
        let subtype = text(value, "subtype").unwrap_or_default();
        if subtype == "success" && !is_error && status.is_none() {
            self.known.end = Some(Said::Done { summary: said });
            return;
        }
        let errors: Vec<_> =
            value.get("errors").and_then(Value::as_array).into_iter().flatten().map(plain).collect();
        let message = said.or_else(|| (!errors.is_empty()).then(|| errors.join("; ")));
        let message = message.unwrap_or_else(|| format!("it ended with {subtype}"));
        let class = match (subtype, self.complaint.take()) {
            ("error_max_turns", _) => Class::MaxTurns,
            ("error_max_budget_usd", _) => Class::Budget,
            _ if text(value, "terminal_reason") == Some("prompt_too_long") => Class::ContextOverflow,
            (_, Some((class, _))) if class != Class::Other => class,
            (_, Some(_) | None) => class::of(&message, status),
        };
        if errors.first().is_some_and(|error| !error.is_empty()) {
            events.push(Event::Error { message: message.clone() });
        }
        self.known.end = Some(Said::Failed { class, message });
    }
}

/// Input that was not cached, output, cached input.
fn tokens(usage: &Value) -> [u64; 3] {
    let input = number(usage, "input_tokens") + number(usage, "cache_creation_input_tokens");
    [input, number(usage, "output_tokens"), number(usage, "cache_read_input_tokens")]
}

fn classify(error: &str, status: Option<u64>, said: &str) -> Class {
    match error {
        "authentication_failed" | "billing_error" | "oauth_org_not_allowed" => Class::Auth,
        "rate_limit" => Class::Limit,
        "overloaded" | "server_error" => Class::Overload,
        "model_not_found" => Class::InvalidRequest,
        _ => class::of(said, status),
    }
}

fn first_text(message: &Value) -> Option<String> {
    let content = message.get("content")?.as_array()?;
    content.iter().find_map(|part| text(part, "text")).map(ToOwned::to_owned)
}
