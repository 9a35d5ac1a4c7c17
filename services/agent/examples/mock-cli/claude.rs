//! The lines of Claude Code.

use serde_json::{Value, json};

use crate::play::{Said, USED, at, event};
use crate::steps::Step;

pub fn lines(said: &Said<'_>) -> Vec<Value> {
    let fresh = || uuid::Uuid::now_v7().to_string();
    let [input, output, cached] = USED;
    let usage = json!({"input_tokens": input, "output_tokens": output, "cache_read_input_tokens": cached});
    let spoken = |part: Value| {
        let message = json!({"id": fresh(), "role": "assistant", "content": [part], "usage": usage});
        event("assistant", json!({"message": message}))
    };
    match said {
        Said::Begin { session } => {
            vec![event(
                "system",
                json!({"subtype": "init", "session_id": session, "model": "mock", "tools": ["Bash"]}),
            )]
        }
        Said::Message { text } => vec![spoken(json!({"type": "text", "text": text}))],
        Said::Call { id, command } => {
            vec![spoken(json!({"type": "tool_use", "id": id, "name": "Bash", "input": {"command": command}}))]
        }
        Said::Result { id, output, code, .. } => {
            let part =
                json!({"type": "tool_result", "tool_use_id": id, "content": output, "is_error": *code != 0});
            vec![event("user", json!({"message": {"role": "user", "content": [part]}}))]
        }
        Said::Failed { why } => failed(why),
        Said::Done { text, messages, .. } => {
            let all = USED.map(|used| used * messages);
            let usage =
                json!({"input_tokens": all[0], "output_tokens": all[1], "cache_read_input_tokens": all[2]});
            vec![event(
                "result",
                json!({"subtype": "success", "is_error": false, "result": text, "num_turns": messages,
                       "total_cost_usd": 0.01, "usage": usage}),
            )]
        }
    }
}

fn failed(why: &Step) -> Vec<Value> {
    let result = |subtype: &str, status: Option<u64>, text: &str| {
        event(
            "result",
            json!({"subtype": subtype, "is_error": true, "api_error_status": status, "result": text,
                   "total_cost_usd": 0.0}),
        )
    };
    let complaint = |kind: &str, text: &str| {
        let message = json!({"id": "e", "role": "assistant", "content": [{"type": "text", "text": text}]});
        event("assistant", json!({"message": message, "error": kind}))
    };
    let both = |kind: &str, status: u64, text: &str| {
        vec![complaint(kind, text), result("success", Some(status), text)]
    };
    match why {
        Step::Limit(seconds) => {
            let resets_at = seconds.map(at);
            let info = json!({"status": "rejected", "resetsAt": resets_at, "rateLimitType": "five_hour"});
            let mut lines = vec![event("rate_limit_event", json!({"rate_limit_info": info}))];
            lines.extend(both("rate_limit", 429, "You've hit your limit"));
            lines
        }
        Step::Overload => both("server_error", 529, "API Error: 529 Overloaded"),
        Step::Refuse => both("authentication_failed", 401, "Invalid API key · Please run /login"),
        Step::TooLong => both("invalid_request", 400, "Prompt is too long"),
        Step::MaxTurns => vec![result("error_max_turns", None, "")],
        _ => both("invalid_request", 400, "API Error: 400 bad"),
    }
}
