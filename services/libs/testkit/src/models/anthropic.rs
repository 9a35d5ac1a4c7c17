//! The dialect of Anthropic.

use serde_json::{Value, json};

use super::{CACHED_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, Turn, fresh};

/// What is answered without taking a turn.
pub(super) fn aside(path: &str) -> Option<Value> {
    (!path.ends_with("/v1/messages")).then(|| json!({"input_tokens": 10}))
}

/// A turn as it is streamed, in answer to a request.
pub(super) fn events(turn: &Turn, model: &str, request: &str) -> Vec<Value> {
    let usage = json!({
        "input_tokens": INPUT_TOKENS - CACHED_TOKENS, "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": CACHED_TOKENS, "output_tokens": 1,
    });
    let message = json!({
        "id": fresh("msg"), "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage,
    });
    let mut events = vec![json!({"type": "message_start", "message": message})];
    let mut block = |start: Value, delta: Value| {
        events.push(json!({"type": "content_block_start", "index": 0, "content_block": start}));
        events.push(json!({"type": "content_block_delta", "index": 0, "delta": delta}));
        events.push(json!({"type": "content_block_stop", "index": 0}));
    };
    let said =
        |text: &str| (json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": text}));
    let used = |tool: &str, input: &Value| {
        (
            json!({"type": "tool_use", "id": fresh("toolu"), "name": tool, "input": {}}),
            json!({"type": "input_json_delta", "partial_json": input.to_string()}),
        )
    };
    let stop_reason = match turn {
        Turn::Run(command) => {
            let (start, delta) = used("Bash", &json!({"command": command}));
            block(start, delta);
            "tool_use"
        }
        Turn::Use(tool, input) => {
            let (start, delta) = used(tool, &input(request));
            block(start, delta);
            "tool_use"
        }
        Turn::Say(text) | Turn::Cut(text) | Turn::Trail(text) => {
            let (start, delta) = said(text);
            block(start, delta);
            "end_turn"
        }
        Turn::Refuse(..) | Turn::Hang => "end_turn",
    };
    if !matches!(turn, Turn::Cut(_) | Turn::Trail(_)) {
        let delta = json!({"stop_reason": stop_reason, "stop_sequence": null});
        events.push(
            json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": OUTPUT_TOKENS}}),
        );
        events.push(json!({"type": "message_stop"}));
    }
    events
}
