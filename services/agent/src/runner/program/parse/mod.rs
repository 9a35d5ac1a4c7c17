//! What programs print, as events. A parser takes one line and gives what happened; it knows no process and no clock.

pub(in crate::runner) mod acp;
mod claude;
mod codex;
mod gemini;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use conductor_runtime::config::RunnerOutput;
use serde_json::Value;

use super::class::Class;
use crate::run::events::Event;

/// The most bytes of a line of an unknown kind that is passed on.
const MAX_OTHER_BYTES: usize = 16 << 10;
/// The most tools that can be at work at once; of those beyond it the end is not waited for.
const MAX_OPEN_TOOLS: usize = 256;
/// The most messages whose use is remembered while it is not final.
const MAX_MESSAGES: usize = 4_096;
/// The longest id of a session.
const MAX_SESSION_CHARS: usize = 128;

/// How a program says that it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runner) enum Said {
    /// It reached its result.
    Done { summary: Option<String> },
    /// It did not, and why.
    Failed { class: Class, message: String },
}

/// What is known of a run from what its program printed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::runner) struct Known {
    pub session: Option<String>,
    pub model: Option<String>,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cached_input_tokens: u64,
    /// Whether input is told without saying how much of it was cached.
    pub is_input_rough: bool,
    /// In US dollars, as the program tells it.
    pub cost_usd: Option<f64>,
    pub turns: u32,
    pub tool_calls: u32,
    pub last_message: Option<String>,
    pub end: Option<Said>,
    /// When a limit ends, in seconds since 1970, as the program tells it.
    pub resets_at: Option<i64>,
    /// Tools that are at work.
    open_tools: BTreeSet<String>,
}

impl Known {
    /// Whether a tool is at work, so that silence is no stall.
    pub fn works(&self) -> bool {
        !self.open_tools.is_empty()
    }

    fn begin_tool(&mut self, id: &str) {
        self.tool_calls = self.tool_calls.saturating_add(1);
        if self.open_tools.len() < MAX_OPEN_TOOLS {
            self.open_tools.insert(id.to_owned());
        }
    }

    fn end_tool(&mut self, id: &str) {
        self.open_tools.remove(id);
    }

    fn found_session(&mut self, id: &str) {
        // It becomes an argument of the next run.
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if !id.is_empty() && id.len() <= MAX_SESSION_CHARS && !id.starts_with('-') && id.chars().all(fits) {
            self.session = Some(id.to_owned());
        }
    }
}

/// What a program wants of whoever runs it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::runner) enum Request {
    /// It asks before it uses a tool.
    Ask(Ask),
    /// It wants no answer any more.
    Withdrawn { id: String },
    /// Something that is not offered here.
    Unknown { id: String },
    /// It took up a message that it was told.
    Took { name: String },
    /// It answers what it was asked.
    Reply(Reply),
}

/// What an agent answers that is asked by a protocol of requests and replies.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::runner) enum Reply {
    /// It listens, and says how it can go on with a session.
    Ready { resumes: bool, loads: bool },
    /// It has a session.
    Session(Session),
    /// It took over a setting of the session.
    Set,
    /// A turn is over, or will not begin.
    TurnEnded { is_done: bool },
}

/// A session that an agent opened.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::runner) struct Session {
    /// None where it is the one that was asked for.
    pub id: Option<String>,
    /// Whether the agent tells what was in it.
    pub is_loaded: bool,
    /// The name of the option that is its model.
    pub model: Option<String>,
}

/// A tool that a program asks to use.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::runner) struct Ask {
    /// Names the request.
    pub id: String,
    pub tool: String,
    pub input: Value,
    /// Names the use of the tool, where that is another name.
    pub call: String,
    /// What the tool does, as the agent tells it.
    pub kind: String,
    /// The answers that it takes, where it says so.
    pub offers: Vec<Offer>,
}

/// An answer that an agent takes.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::runner) struct Offer {
    pub id: String,
    /// `allow_once`, `allow_always`, `reject_once` or `reject_always`.
    pub kind: String,
}

/// Reads the output of one program.
#[derive(Debug)]
pub(in crate::runner) enum Parser {
    Claude(claude::Parser),
    Codex(codex::Parser),
    Gemini(gemini::Parser),
    Acp(acp::Parser),
    /// Text is for people, and nothing is known of it.
    Plain(Known),
}

impl Parser {
    pub fn new(output: RunnerOutput) -> Self {
        match output {
            RunnerOutput::ClaudeStreamJson => Self::Claude(claude::Parser::default()),
            RunnerOutput::CodexJsonl => Self::Codex(codex::Parser::default()),
            RunnerOutput::GeminiStreamJson => Self::Gemini(gemini::Parser::default()),
            RunnerOutput::Acp => Self::Acp(acp::Parser::default()),
            RunnerOutput::Plain => Self::Plain(Known::default()),
        }
    }

    /// Whether the lines are events; else they are text.
    pub fn is_structured(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }

    pub fn known(&self) -> &Known {
        match self {
            Self::Claude(parser) => &parser.known,
            Self::Codex(parser) => &parser.known,
            Self::Gemini(parser) => &parser.known,
            Self::Acp(parser) => &parser.known,
            Self::Plain(known) => known,
        }
    }

    /// Takes a line and gives what happened. A line that is no event is text, and said as such.
    pub fn line(&mut self, line: &str) -> Vec<Event> {
        let line = line.trim();
        if line.is_empty() {
            return Vec::new();
        }
        let object = serde_json::from_str::<Value>(line).ok().filter(Value::is_object);
        let Some(value) = object else { return Vec::new() };
        let mut events = Vec::new();
        let is_known = match self {
            Self::Claude(parser) => parser.event(&value, &mut events),
            Self::Codex(parser) => parser.event(&value, &mut events),
            Self::Gemini(parser) => parser.event(&value, &mut events),
            Self::Acp(parser) => parser.event(&value, &mut events),
            Self::Plain(_) => return events,
        };
        if !is_known && line.len() <= MAX_OTHER_BYTES {
            let name = text(&value, "type").or_else(|| acp::kind(&value)).unwrap_or("unknown").to_owned();
            events.push(Event::Other { name, raw: value });
        }
        events
    }

    /// Takes what the program wants of whoever runs it.
    pub fn requests(&mut self) -> Vec<Request> {
        match self {
            Self::Claude(parser) => std::mem::take(&mut parser.requests),
            Self::Acp(parser) => std::mem::take(&mut parser.requests),
            Self::Codex(_) | Self::Gemini(_) | Self::Plain(_) => Vec::new(),
        }
    }

    /// A prompt was said. Only a protocol that says each prompt by itself needs to know.
    pub fn begin_turn(&mut self, session: &str) {
        match self {
            Self::Acp(parser) => parser.begin_turn(session),
            Self::Claude(_) | Self::Codex(_) | Self::Gemini(_) | Self::Plain(_) => {}
        }
    }

    /// Whether the last line told of earlier turns of the session.
    pub fn told_of_before(&self) -> bool {
        match self {
            Self::Acp(parser) => parser.is_of_before,
            Self::Claude(_) | Self::Codex(_) | Self::Gemini(_) | Self::Plain(_) => false,
        }
    }

    /// Takes that a tool was not allowed, where the program itself may tell nothing of it.
    pub fn denied(&mut self, call: &str, why: &str) -> Option<Event> {
        match self {
            Self::Acp(parser) => parser.denied(call, why),
            Self::Claude(_) | Self::Codex(_) | Self::Gemini(_) | Self::Plain(_) => None,
        }
    }

    /// Takes the end of the output: what was held back.
    pub fn finish(&mut self) -> Vec<Event> {
        match self {
            Self::Gemini(parser) => parser.finish(),
            Self::Acp(parser) => parser.finish(),
            Self::Claude(_) | Self::Codex(_) | Self::Plain(_) => Vec::new(),
        }
    }
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str)
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or(0)
}

/// A value as text: a text is itself, anything else is JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
