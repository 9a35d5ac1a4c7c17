//! The lines of Codex.

use serde_json::{Value, json};

use crate::play::{Said, USED, at, event};
use crate::steps::Step;

pub fn lines(said: &Said<'_>) -> Vec<Value> {
    let item = |stage: &str, item: Value| vec![event(&format!("item.{stage}"), json!({"item": item}))];
    match said {
        Said::Begin { session } => {
            vec![event("thread.started", json!({"thread_id": session})), event("turn.started", json!({}))]
        }
        Said::Message { text } => {
            item("completed", json!({"id": "m", "type": "agent_message", "text": text}))
        }
        Said::Call { id, command } => item(
            "started",
            json!({"id": id, "type": "command_execution", "command": command, "aggregated_output": "",
                   "exit_code": null, "status": "in_progress"}),
        ),
        Said::Result { id, command, output, code } => item(
            "completed",
            json!({"id": id, "type": "command_execution", "command": command, "aggregated_output": output,
                   "exit_code": code, "status": if *code == 0 { "completed" } else { "failed" }}),
        ),
        Said::Failed { why } => {
            let message = message(why);
            vec![
                event("error", json!({"message": message})),
                event("turn.failed", json!({"error": {"message": message}})),
            ]
        }
        Said::Done { messages, .. } => {
            let [input, output, cached] = USED.map(|used| used * messages);
            let usage = json!({"input_tokens": input + cached, "cached_input_tokens": cached, "output_tokens": output});
            vec![event("turn.completed", json!({"usage": usage}))]
        }
    }
}

fn message(why: &Step) -> String {
    match why {
        Step::Limit(Some(seconds)) => {
            let zone = jiff::tz::TimeZone::system();
            let reset = jiff::Timestamp::from_second(at(*seconds)).expect("a time of this century");
            let reset = reset.to_zoned(zone);
            // As it is said of another day; of the same one the hour is said alone.
            let day = reset.strftime("%b %-d").to_string();
            let time = reset.strftime("%Y %-I:%M %p").to_string();
            format!("You've hit your usage limit. Upgrade to Pro, or try again at {day}th, {time}.")
        }
        Step::Limit(None) => "You've hit your usage limit. Try again later.".to_owned(),
        Step::Overload => "unexpected status 503 Service Unavailable: overloaded".to_owned(),
        Step::Refuse => "unexpected status 401 Unauthorized: Incorrect API key provided".to_owned(),
        Step::TooLong => "Codex ran out of room in the model's context window.".to_owned(),
        Step::MaxTurns => "max session turns".to_owned(),
        _ => "unexpected status 400 Bad Request: bad".to_owned(),
    }
}
