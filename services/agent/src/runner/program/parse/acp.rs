//! The messages of an agent that speaks the Agent Client Protocol.
//!
//! What the client asks of it has telling ids, so that each answer says by itself what it is about. The messages are read as they
//! come and not by the types of the protocol's crate: these refuse a message for one kind that they do not know, and their crate
//! would have every JSON object of these programs keep the order of its fields.

mod calls;

use serde_json::{Value, json};

use super::super::class::{self, Class};
use super::{Ask, Known, Offer, Reply, Request, Said, Session, number, text};
use crate::run::events::Event;
use calls::Calls;

/// The version of the protocol that is spoken.
pub(in crate::runner) const VERSION: u64 = 1;
/// The ids of what the client asks; those of prompts end in a number.
pub(in crate::runner) const INITIALIZE: &str = "initialize";
pub(in crate::runner) const NEW: &str = "session/new";
pub(in crate::runner) const LOAD: &str = "session/load";
pub(in crate::runner) const RESUME: &str = "session/resume";
pub(in crate::runner) const SET: &str = "set";
pub(in crate::runner) const PROMPT: &str = "prompt-";
/// What an agent answers that has nobody who is logged in.
const AUTH_REQUIRED: i64 = -32_000;
/// A message that comes in pieces is one event; a longer one is several.
const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// What is being said in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Message,
    Thought,
}

#[derive(Debug, Default)]
pub(in crate::runner) struct Parser {
    pub known: Known,
    pub requests: Vec<Request>,
    /// Whether a prompt was said. What an agent tells before is of earlier turns.
    is_in_turn: bool,
    /// Whether the last line was of earlier turns.
    pub is_of_before: bool,
    said: Option<Pieces>,
    calls: Calls,
}

/// What was said of a message or a thought so far.
#[derive(Debug)]
struct Pieces {
    piece: Piece,
    /// The message's own id, where it has one.
    id: Option<String>,
    text: String,
}

impl Parser {
    /// A prompt was said in a session: what comes from now on is of this turn.
    pub fn begin_turn(&mut self, session: &str) {
        self.known.found_session(session);
        self.is_in_turn = true;
        self.known.end = None;
    }

    /// Takes a message; false when its kind is not known.
    pub fn event(&mut self, value: &Value, events: &mut Vec<Event>) -> bool {
        self.is_of_before = false;
        match (text(value, "method"), value.get("id")) {
            (Some("session/update"), _) => match value["params"].get("update") {
                Some(_) if !self.is_in_turn => self.is_of_before = true,
                Some(update) => return self.update(update, events),
                None => return false,
            },
            (Some("session/request_permission"), Some(id)) => {
                self.permission(id.to_string(), &value["params"], events)
            }
            (Some("$/cancel_request"), _) => {
                self.requests.push(Request::Withdrawn { id: value["params"]["requestId"].to_string() });
            }
            (Some(_), Some(id)) => self.requests.push(Request::Unknown { id: id.to_string() }),
            (Some(_), None) => return false,
            (None, Some(Value::String(id))) => match value.get("error") {
                Some(error) => self.refused(id, error, events),
                None => self.answered(id, &value["result"], events),
            },
            (None, Some(_) | None) => return false,
        }
        true
    }

    fn answered(&mut self, id: &str, result: &Value, events: &mut Vec<Event>) {
        match id {
            INITIALIZE => {
                let version = number(result, "protocolVersion");
                if version != VERSION {
                    let message =
                        format!("it speaks version {version} of its protocol, and here is {VERSION}");
                    return self.fail(Class::InvalidRequest, message, events);
                }
                let can = &result["agentCapabilities"];
                let resumes = can["sessionCapabilities"].get("resume").is_some_and(|can| !can.is_null());
                let loads = can["loadSession"] == true;
                self.requests.push(Request::Reply(Reply::Ready { resumes, loads }));
            }
            NEW | LOAD | RESUME => {
                if let Some(session) = text(result, "sessionId") {
                    self.known.found_session(session);
                }
                let session = Session {
                    id: text(result, "sessionId").map(ToOwned::to_owned),
                    is_loaded: id == LOAD,
                    model: model_option(result),
                };
                self.requests.push(Request::Reply(Reply::Session(session)));
            }
            SET => self.requests.push(Request::Reply(Reply::Set)),
            id if id.starts_with(PROMPT) => self.turn_ended(result, events),
            _ => {}
        }
    }

    fn turn_ended(&mut self, result: &Value, events: &mut Vec<Event>) {
        events.extend(self.finish());
        self.used(result, events);
        self.calls.end_all(&mut self.known);
        let done = || Said::Done { summary: self.known.last_message.clone() };
        let failed = |class, message: &str| Said::Failed { class, message: message.to_owned() };
        let end = match text(result, "stopReason").unwrap_or_default() {
            "end_turn" => done(),
            "max_tokens" => failed(Class::Other, "its answer grew longer than its model gives"),
            "max_turn_requests" => {
                failed(Class::MaxTurns, "it asked its model as often as it may in one turn")
            }
            "refusal" => failed(Class::Other, "its model refused to go on"),
            "cancelled" => failed(Class::Other, "its turn was cancelled"),
            other => {
                failed(Class::Other, &format!("it stopped for a reason that is not known here: {other}"))
            }
        };
        let is_done = matches!(end, Said::Done { .. });
        if let Said::Failed { message, .. } = &end {
            events.push(Event::Error { message: message.clone() });
        }
        self.known.end = Some(end);
        self.requests.push(Request::Reply(Reply::TurnEnded { is_done }));
    }

    /// What a turn used, by the protocol, and by Gemini, which tells it in a field of its own.
    fn used(&mut self, result: &Value, events: &mut Vec<Event>) {
        let [input_tokens, output_tokens, cached_input_tokens] = match result.get("usage") {
            Some(usage) if usage.is_object() => [
                number(usage, "inputTokens") + number(usage, "cachedWriteTokens"),
                number(usage, "outputTokens"),
                number(usage, "cachedReadTokens"),
            ],
            Some(_) | None => {
                let count = &result["_meta"]["quota"]["token_count"];
                self.known.is_input_rough = true;
                [number(count, "input_tokens"), number(count, "output_tokens"), 0]
            }
        };
        if input_tokens + output_tokens + cached_input_tokens > 0 {
            self.known.input_tokens += input_tokens;
            self.known.output_tokens += output_tokens;
            self.known.cached_input_tokens += cached_input_tokens;
            events.push(Event::Usage { input_tokens, output_tokens, cached_input_tokens });
        }
        if let Some(model) = result["_meta"]["quota"]["model_usage"][0]["model"].as_str() {
            self.known.model = Some(model.to_owned());
        }
    }

    fn refused(&mut self, id: &str, error: &Value, events: &mut Vec<Event>) {
        events.extend(self.finish());
        self.calls.end_all(&mut self.known);
        let code = error["code"].as_i64().unwrap_or_default();
        let said = text(error, "message").unwrap_or("it gave no reason");
        let details = text(&error["data"], "details").or_else(|| text(&error["data"], "message"));
        let message = details.map_or_else(|| said.to_owned(), |details| format!("{said}: {details}"));
        // Some tell the status of their model's answer as the code.
        let status = u64::try_from(code).ok().filter(|code| (400..600).contains(code));
        let class = match class::of(&message, status) {
            _ if code == AUTH_REQUIRED => Class::Auth,
            Class::Other if matches!(id, LOAD | RESUME) => Class::NoSession,
            Class::Other if id == SET => Class::InvalidRequest,
            class => class,
        };
        self.fail(class, message, events);
    }

    fn fail(&mut self, class: Class, message: String, events: &mut Vec<Event>) {
        events.push(Event::Error { message: message.clone() });
        self.known.end = Some(Said::Failed { class, message });
        self.requests.push(Request::Reply(Reply::TurnEnded { is_done: false }));
    }

    fn permission(&mut self, id: String, params: &Value, events: &mut Vec<Event>) {
        let call = &params["toolCall"];
        let tool = text(call, "toolCallId").unwrap_or_default().to_owned();
        events.extend(self.finish());
        let told = self.calls.learn(&tool, call);
        let (name, input, kind) =
            told.map(|call| (call.name.clone(), call.input(), call.kind.clone())).unwrap_or_default();
        events.extend(self.calls.tell_of(&tool, &mut self.known));
        let offers = params["options"].as_array().into_iter().flatten();
        let offers = offers.filter_map(|offer| {
            Some(Offer { id: text(offer, "optionId")?.to_owned(), kind: text(offer, "kind")?.to_owned() })
        });
        let offers = offers.collect();
        self.requests.push(Request::Ask(Ask { id, tool: name, input, call: tool, kind, offers }));
    }

    fn update(&mut self, update: &Value, events: &mut Vec<Event>) -> bool {
        let kind = text(update, "sessionUpdate").unwrap_or_default();
        let piece = match kind {
            "agent_message_chunk" => Some(Piece::Message),
            "agent_thought_chunk" => Some(Piece::Thought),
            _ => None,
        };
        if let Some(piece) = piece {
            self.piece(piece, update, events);
            return true;
        }
        match kind {
            // What is known already, or of no concern to people.
            "user_message_chunk"
            | "available_commands_update"
            | "current_mode_update"
            | "config_option_update"
            | "session_info_update" => {}
            "usage_update" => {
                let cost =
                    update["cost"].as_object().filter(|cost| cost.get("currency") == Some(&json!("USD")));
                if let Some(amount) = cost.and_then(|cost| cost.get("amount")?.as_f64()) {
                    self.known.cost_usd = Some(amount);
                }
            }
            "tool_call" | "tool_call_update" => {
                events.extend(self.finish());
                events.extend(self.calls.update(update, &mut self.known));
            }
            _ => {
                events.extend(self.finish());
                return false;
            }
        }
        true
    }

    fn piece(&mut self, piece: Piece, chunk: &Value, events: &mut Vec<Event>) {
        let id = text(chunk, "messageId").map(ToOwned::to_owned);
        if self.said.as_ref().is_some_and(|said| said.piece != piece || said.id != id) {
            events.extend(self.finish());
        }
        let said = self.said.get_or_insert(Pieces { piece, id, text: String::new() });
        said.text.push_str(text(&chunk["content"], "text").unwrap_or_default());
        if said.text.len() > MAX_MESSAGE_BYTES {
            events.extend(self.finish());
        }
    }

    /// Says what was held back.
    pub fn finish(&mut self) -> Vec<Event> {
        let Some(Pieces { piece, text, .. }) = self.said.take().filter(|said| !said.text.trim().is_empty())
        else {
            return Vec::new();
        };
        match piece {
            Piece::Thought => vec![Event::Thinking { text }],
            Piece::Message => {
                self.known.turns = self.known.turns.saturating_add(1);
                self.known.last_message = Some(text.clone());
                vec![Event::Message { text }]
            }
        }
    }

    /// A person, or the task's permission, did not allow a tool: some agents tell nothing more of it.
    pub fn denied(&mut self, id: &str, why: &str) -> Option<Event> {
        self.calls.end(id, &mut self.known)?;
        Some(Event::ToolResult { id: id.to_owned(), output: why.to_owned(), is_error: true })
    }
}

/// The option of a session that is its model.
fn model_option(result: &Value) -> Option<String> {
    let mut options = result["configOptions"].as_array().into_iter().flatten();
    let option = options.find(|option| text(option, "category") == Some("model"))?;
    text(option, "id").map(ToOwned::to_owned)
}

/// What a message is, where the protocol has a name for it.
pub(super) fn kind(value: &Value) -> Option<&str> {
    let update = value["params"].get("update").and_then(|update| text(update, "sessionUpdate"));
    update.or_else(|| text(value, "method"))
}
