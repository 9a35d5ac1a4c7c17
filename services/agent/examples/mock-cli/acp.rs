//! The messages of an agent that speaks the Agent Client Protocol.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::Dialect;
use crate::play::{Said, USED, print};
use crate::session::Session;
use crate::steps::Step;
use crate::talk::{May, line, until};

/// The id of the prompt that is being answered.
static PROMPT: Mutex<Value> = Mutex::new(Value::Null);

pub fn lines(said: &Said<'_>, session: &str) -> Vec<Value> {
    let update = |kind: &str, mut fields: Value| {
        fields["sessionUpdate"] = kind.into();
        let params = json!({"sessionId": session, "update": fields});
        json!({"jsonrpc": "2.0", "method": "session/update", "params": params})
    };
    let content = |text: &str| json!({"content": {"type": "text", "text": text}});
    match said {
        Said::Begin { .. } => Vec::new(),
        // In two pieces, as it comes.
        Said::Message { text } => {
            let half = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
            let id = uuid::Uuid::now_v7().to_string();
            let piece = |text: &str| {
                let mut piece = content(text);
                piece["messageId"] = id.clone().into();
                update("agent_message_chunk", piece)
            };
            vec![piece(&text[..half]), piece(&text[half..])]
        }
        Said::Call { id, command } => vec![update(
            "tool_call",
            json!({
                "toolCallId": id, "title": command, "kind": "execute", "status": "in_progress",
                "rawInput": {"command": command},
            }),
        )],
        Said::Result { id, output, code, .. } => {
            let status = if *code == 0 { "completed" } else { "failed" };
            let mut shown = content(output);
            shown["type"] = "content".into();
            vec![update("tool_call_update", json!({"toolCallId": id, "status": status, "content": [shown]}))]
        }
        Said::Failed { why: Step::MaxTurns } => vec![stopped("max_turn_requests", 0)],
        Said::Failed { why } => {
            let (code, message) = match why {
                Step::Limit(_) => (429, "Resource has been exhausted (e.g. check quota)."),
                Step::Overload => (503, "The model is overloaded."),
                Step::Refuse => (401, "API key not valid. Please pass a valid API key."),
                Step::TooLong => (400, "The input token count exceeds the maximum number of tokens allowed"),
                _ => (400, "bad"),
            };
            vec![answer(json!({"error": {"code": code, "message": message}}))]
        }
        Said::Done { messages, .. } => vec![stopped("end_turn", *messages)],
    }
}

/// The end of a turn that was left.
pub fn left() -> Value {
    stopped("cancelled", 0)
}

fn stopped(reason: &str, messages: u64) -> Value {
    let [input, output, cached] = USED.map(|used| used * messages);
    let usage = json!({
        "inputTokens": input, "outputTokens": output, "cachedReadTokens": cached,
        "totalTokens": input + output + cached,
    });
    answer(json!({"result": {"stopReason": reason, "usage": usage}}))
}

fn answer(mut with: Value) -> Value {
    with["jsonrpc"] = "2.0".into();
    with["id"] = PROMPT.lock().unwrap_or_else(PoisonError::into_inner).clone();
    with
}

/// Speaks until it is given a prompt; none when there is nothing more.
pub fn prompt(session: &mut Option<String>) -> Option<String> {
    loop {
        let line = line()?;
        let (params, reply) = (&line["params"], |with: Value| {
            let mut reply = with;
            reply["jsonrpc"] = "2.0".into();
            reply["id"] = line["id"].clone();
            print(&reply.to_string());
        });
        match line["method"].as_str() {
            Some("initialize") => {
                let can = json!({"loadSession": true});
                reply(json!({"result": {"protocolVersion": 1, "agentCapabilities": can}}));
            }
            Some("session/new") => {
                let new = Session::new(Dialect::Acp, None);
                if let Err(error) = new.keep(&[]) {
                    eprintln!("the session cannot be kept: {error}");
                    return None;
                }
                reply(json!({"result": {"sessionId": &new.id}}));
                *session = Some(new.id);
            }
            Some("session/load") => {
                let id = params["sessionId"].as_str().unwrap_or_default();
                let known = Session::new(Dialect::Acp, Some(id));
                if known.left().is_none() {
                    let error = json!({"code": -32_603, "message": "Internal error"});
                    reply(json!({"error": error}));
                    continue;
                }
                reply(json!({"result": {}}));
                // After the answer, as some do.
                for line in lines(&Said::Message { text: "of the turn before" }, id) {
                    print(&line.to_string());
                }
                *session = Some(known.id);
            }
            Some("session/prompt") => {
                *PROMPT.lock().unwrap_or_else(PoisonError::into_inner) = line["id"].clone();
                return Some(params["prompt"][0]["text"].as_str().unwrap_or_default().to_owned());
            }
            Some(_) | None => {}
        }
    }
}

/// Asks whether it may run a command.
pub fn may(id: &str, command: &str, takes_back: bool) -> May {
    let option = |id: &str, kind: &str| json!({"optionId": id, "name": id, "kind": kind});
    let options =
        [option("always", "allow_always"), option("yes", "allow_once"), option("no", "reject_once")];
    let call = json!({"toolCallId": id, "title": command, "kind": "execute", "status": "pending"});
    let params = json!({"sessionId": "s", "toolCall": call, "options": options});
    let request =
        json!({"jsonrpc": "2.0", "id": 7, "method": "session/request_permission", "params": params});
    print(&request.to_string());
    if takes_back {
        until("asked");
        let params = json!({"requestId": 7});
        print(&json!({"jsonrpc": "2.0", "method": "$/cancel_request", "params": params}).to_string());
        return May::No("it took its question back".to_owned());
    }
    let mut is_left = false;
    while let Some(line) = line() {
        is_left |= line["method"] == "session/cancel";
        if line["id"] != 7 {
            continue;
        }
        return match line["result"]["outcome"]["optionId"].as_str() {
            Some("yes") => May::Yes,
            Some(other) => May::No(format!("the answer was {other}")),
            None if is_left => May::Leave,
            None => May::No("nobody answered".to_owned()),
        };
    }
    May::No("nobody answered".to_owned())
}
