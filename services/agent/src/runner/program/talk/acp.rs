//! How an agent is spoken with that knows the Agent Client Protocol.
//!
//! First come `initialize` and the session, then one `session/prompt` for each turn. Files and terminals are not offered to the agent:
//! it works in its own sandbox with its own tools.

use std::collections::VecDeque;
use std::time::Duration;

use conductor_runtime::config::Permission;
use serde_json::{Value, json};

use super::super::super::control::Answer;
use super::super::parse::acp::{INITIALIZE, LOAD, NEW, PROMPT, RESUME, SET, VERSION};
use super::super::parse::{Ask, Reply, Session};
use super::NOT_ALLOWED;

/// How long an agent has to be silent that tells what was in a session: some go on telling after they answered.
const REST: Duration = Duration::from_millis(250);
/// The answer to a request that is not offered here.
const METHOD_NOT_FOUND: i64 = -32_601;

/// With what a conversation begins.
#[derive(Debug)]
pub(in crate::runner) struct Opening {
    pub prompt: String,
    pub work: String,
    /// The session to go on with.
    pub session: Option<String>,
    /// Servers of tools.
    pub servers: Vec<Value>,
    /// The model, and the mode of the session, where the command does not say them.
    pub model: Option<String>,
    pub mode: Option<String>,
    pub permission: Permission,
}

/// How far a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// An answer is to come before anything can be said.
    Awaits,
    /// It is telling what was in the session.
    Tells,
    /// There is a session, and settings may be asked for.
    Ready,
    InTurn,
    /// Nothing more is said.
    Over,
}

/// What is known of a conversation.
#[derive(Debug)]
pub(super) struct Voice {
    stage: Stage,
    opening: Opening,
    session: String,
    /// The settings that are still to be asked for.
    settings: VecDeque<Value>,
    /// The prompts that were not said yet.
    prompts: VecDeque<String>,
    said: u32,
    has_begun: bool,
}

impl Voice {
    /// Begins; gives the first message.
    pub fn begin(mut opening: Opening) -> (Self, Value) {
        let offered = json!({"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false});
        let client = json!({"name": "conductor", "version": env!("CARGO_PKG_VERSION")});
        let params = json!({"protocolVersion": VERSION, "clientCapabilities": offered, "clientInfo": client});
        let first = request(INITIALIZE, INITIALIZE, &params);
        let prompts = VecDeque::from([std::mem::take(&mut opening.prompt)]);
        let session = opening.session.clone().unwrap_or_default();
        let settings = VecDeque::new();
        (Self { stage: Stage::Awaits, opening, session, settings, prompts, said: 0, has_begun: false }, first)
    }

    pub fn tell(&mut self, text: &str) {
        self.prompts.push_back(text.to_owned());
    }

    /// Whether a turn can begin, or the last one is over.
    pub fn is_between_turns(&self) -> bool {
        self.stage == Stage::Ready && self.settings.is_empty() && self.prompts.is_empty()
    }

    pub fn is_in_turn(&self) -> bool {
        self.stage == Stage::InTurn
    }

    /// Whether a turn is going on or will.
    pub fn has_more(&self) -> bool {
        match self.stage {
            Stage::InTurn => true,
            Stage::Awaits | Stage::Tells | Stage::Ready => !self.prompts.is_empty(),
            Stage::Over => false,
        }
    }

    pub fn take_begun(&mut self) -> Option<&str> {
        std::mem::take(&mut self.has_begun).then_some(&self.session)
    }

    pub fn rest(&self) -> Option<Duration> {
        (self.stage == Stage::Tells).then_some(REST)
    }

    pub fn has_rested(&mut self) {
        if self.stage == Stage::Tells {
            self.stage = Stage::Ready;
        }
    }

    /// What is said to leave a turn.
    pub fn cancel(&mut self) -> Option<Value> {
        let is_in_turn = self.stage == Stage::InTurn;
        self.stage = Stage::Over;
        let params = json!({"sessionId": self.session});
        is_in_turn.then(|| json!({"jsonrpc": "2.0", "method": "session/cancel", "params": params}))
    }

    /// Takes an answer; true when a turn is over with it.
    pub fn hear(&mut self, reply: Reply) -> bool {
        match reply {
            Reply::Ready { resumes, loads } => {
                let session = self.opening.session.as_deref();
                let how = match session {
                    None => NEW,
                    Some(_) if resumes => RESUME,
                    Some(_) if loads => LOAD,
                    // The work is still there, and the prompt says what it is about.
                    Some(_) => NEW,
                };
                let mut params = json!({"cwd": self.opening.work, "mcpServers": self.opening.servers});
                if let Some(session) = session.filter(|_| how != NEW) {
                    params["sessionId"] = session.into();
                }
                self.settings.push_back(request(how, how, &params));
                self.stage = Stage::Ready;
            }
            Reply::Session(session) => self.opened(session),
            Reply::Set => self.stage = Stage::Ready,
            Reply::TurnEnded { is_done } => {
                // After a turn that failed nothing more is said: the next attempt hears it.
                self.stage = if is_done && self.stage != Stage::Over { Stage::Ready } else { Stage::Over };
                return true;
            }
        }
        false
    }

    fn opened(&mut self, session: Session) {
        if let Some(id) = session.id {
            self.session = id;
        }
        let id = &self.session;
        if let Some(mode) = &self.opening.mode {
            let params = json!({"sessionId": id, "modeId": mode});
            self.settings.push_back(request(SET, "session/set_mode", &params));
        }
        if let Some(model) = &self.opening.model {
            let line = match &session.model {
                Some(option) => {
                    let params = json!({"sessionId": id, "configId": option, "value": model});
                    request(SET, "session/set_config_option", &params)
                }
                None => request(SET, "session/set_model", &json!({"sessionId": id, "modelId": model})),
            };
            self.settings.push_back(line);
        }
        self.stage = if session.is_loaded { Stage::Tells } else { Stage::Ready };
    }

    /// What is said next; none while an answer is awaited, or nothing is left.
    pub fn next(&mut self) -> Option<Value> {
        if self.stage != Stage::Ready {
            return None;
        }
        if let Some(setting) = self.settings.pop_front() {
            self.stage = Stage::Awaits;
            return Some(setting);
        }
        let prompt = self.prompts.pop_front()?;
        self.stage = Stage::InTurn;
        self.said += 1;
        self.has_begun = true;
        let params = json!({"sessionId": self.session, "prompt": [{"type": "text", "text": prompt}]});
        Some(request(&format!("{PROMPT}{}", self.said), "session/prompt", &params))
    }

    /// What the task's permission says by itself: the answer, or why not; none where a person is asked.
    pub fn answers_by_itself(&self, ask: &Ask) -> Option<Result<Value, &'static str>> {
        let reads = matches!(ask.kind.as_str(), "read" | "search" | "think");
        let changes = matches!(ask.kind.as_str(), "edit" | "delete" | "move");
        let allowed = match self.opening.permission {
            Permission::Ask => return None,
            Permission::Skip => true,
            Permission::Edit => reads || changes,
            Permission::Plan => reads,
        };
        if !allowed {
            return Some(Err("The task's permission does not allow this."));
        }
        let always = self.opening.permission == Permission::Skip;
        let kinds: &[_] = if always { &["allow_once", "allow_always"] } else { &["allow_once"] };
        Some(chosen(ask, kinds).ok_or("It cannot be allowed for once."))
    }
}

/// What a person decided: the answer, or why not.
pub(super) fn decision(ask: &Ask, answer: &Answer) -> Result<Value, String> {
    match answer {
        // What would be allowed for longer was not asked.
        Answer::Allow => {
            chosen(ask, &["allow_once"]).ok_or_else(|| "It cannot be allowed for once.".to_owned())
        }
        Answer::Deny => Err(NOT_ALLOWED.to_owned()),
        Answer::Text(text) => Err(format!("A person did not allow this, and says: {text}")),
        Answer::Expired => Err("Nobody answered.".to_owned()),
    }
}

/// A refusal.
pub(super) fn refusal(ask: &Ask) -> Value {
    chosen(ask, &["reject_once", "reject_always"]).unwrap_or_else(|| cancelled(ask))
}

/// What a request is told whose turn is left.
pub(super) fn cancelled(ask: &Ask) -> Value {
    response(&ask.id, &json!({"outcome": {"outcome": "cancelled"}}))
}

pub(super) fn not_supported(id: &str) -> Value {
    let error = json!({"code": METHOD_NOT_FOUND, "message": "this is not offered here"});
    json!({"jsonrpc": "2.0", "id": id_of(id), "error": error})
}

/// The first of these kinds that the agent takes.
fn chosen(ask: &Ask, kinds: &[&str]) -> Option<Value> {
    let offer = kinds.iter().find_map(|kind| ask.offers.iter().find(|offer| offer.kind == *kind))?;
    Some(response(&ask.id, &json!({"outcome": {"outcome": "selected", "optionId": offer.id}})))
}

fn response(id: &str, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id_of(id), "result": result})
}

fn request(id: &str, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// An id as it came: a number, or a text.
fn id_of(id: &str) -> Value {
    serde_json::from_str(id).unwrap_or_default()
}
