//! The dialect of OpenAI's responses.

use serde_json::{Value, json};

use super::{CACHED_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, Turn, fresh};

/// What is answered without taking a turn.
pub(super) fn aside(path: &str) -> Option<Value> {
    (!path.ends_with("/responses")).then(|| json!({"data": []}))
}

/// A turn as it is streamed.
pub(super) fn events(turn: &Turn) -> Vec<Value> {
    let id = fresh("resp");
    let mut events = vec![json!({"type": "response.created", "response": {"id": id}})];
    match turn {
        Turn::Run(command) => {
            let arguments = json!({"cmd": command}).to_string();
            let item = json!({
                "type": "function_call", "id": fresh("fc"), "call_id": fresh("call"), "name": "exec_command",
                "arguments": arguments,
            });
            events.push(json!({"type": "response.output_item.added", "item": item}));
            events.push(json!({"type": "response.output_item.done", "item": item}));
        }
        Turn::Say(text) | Turn::Cut(text) | Turn::Trail(text) => {
            let message = |content: Value| json!({"type": "message", "role": "assistant", "id": "msg_1", "content": content});
            events.push(json!({"type": "response.output_item.added", "item": message(json!([]))}));
            events.push(json!({
                "type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0,
                "delta": text,
            }));
            let whole = message(json!([{"type": "output_text", "text": text}]));
            events.push(json!({"type": "response.output_item.done", "item": whole}));
        }
        Turn::Use(..) | Turn::Refuse(..) | Turn::Hang => {}
    }
    if !matches!(turn, Turn::Cut(_) | Turn::Trail(_)) {
        let usage = json!({
            "input_tokens": INPUT_TOKENS, "input_tokens_details": {"cached_tokens": CACHED_TOKENS},
            "output_tokens": OUTPUT_TOKENS, "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        });
        events.push(json!({"type": "response.completed", "response": {"id": id, "usage": usage}}));
    }
    events
}
