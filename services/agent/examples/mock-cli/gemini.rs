//! The lines of Gemini.

use serde_json::{Value, json};

use crate::play::{Said, USED, event};
use crate::steps::Step;

pub fn lines(said: &Said<'_>) -> Vec<Value> {
    match said {
        Said::Begin { session } => vec![event("init", json!({"session_id": session, "model": "mock"}))],
        // In two pieces, as it comes.
        Said::Message { text } => {
            let half = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
            let piece =
                |text: &str| event("message", json!({"role": "assistant", "content": text, "delta": true}));
            vec![piece(&text[..half]), piece(&text[half..])]
        }
        Said::Call { id, command } => vec![event(
            "tool_use",
            json!({"tool_id": id, "tool_name": "run_shell_command", "parameters": {"command": command}}),
        )],
        Said::Result { id, output, code, .. } => {
            let status = if *code == 0 { "success" } else { "error" };
            vec![event("tool_result", json!({"tool_id": id, "status": status, "output": output}))]
        }
        Said::Failed { why } => {
            let error = json!({"type": "Error", "message": message(why)});
            vec![event("result", json!({"status": "error", "error": error, "stats": {}}))]
        }
        Said::Done { messages, calls, .. } => {
            let [input, output, cached] = USED.map(|used| used * messages);
            let stats = json!({"input_tokens": input + cached, "output_tokens": output, "cached": cached, "tool_calls": calls});
            vec![event("result", json!({"status": "success", "stats": stats}))]
        }
    }
}

fn message(why: &Step) -> String {
    let api =
        |code: u64, text: &str| format!("[API Error: {}]", json!({"error": {"code": code, "message": text}}));
    match why {
        Step::Limit(_) => api(429, "Resource has been exhausted (e.g. check quota)."),
        Step::Overload => api(503, "The model is overloaded."),
        Step::Refuse => api(400, "API key not valid. Please pass a valid API key."),
        Step::TooLong => api(400, "The input token count exceeds the maximum number of tokens allowed"),
        Step::MaxTurns => "Reached max session turns for this session.".to_owned(),
        _ => api(400, "bad"),
    }
}
