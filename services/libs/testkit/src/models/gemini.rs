//! The dialect of Gemini.

use serde_json::{Value, json};

use super::{CACHED_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, Turn};

/// What is answered without taking a turn: the CLI asks a small model which model to take.
pub(super) fn aside(path: &str) -> Option<Value> {
    if path.ends_with(":streamGenerateContent") {
        return None;
    }
    if path.ends_with(":countTokens") {
        return Some(json!({"totalTokens": 10}));
    }
    let choice = json!({
        "reasoning": "r", "model_choice": "flash", "complexity_reasoning": "r", "complexity_score": 10,
    });
    Some(answer(&[json!({"text": choice.to_string()})]))
}

/// A turn as it is streamed.
pub(super) fn events(turn: &Turn, request: &str) -> Vec<Value> {
    let part = match turn {
        Turn::Run(command) => {
            let args = json!({"command": command, "description": "as the test says"});
            json!({"functionCall": {"name": "run_shell_command", "args": args}})
        }
        Turn::Say(text) | Turn::Cut(text) | Turn::Trail(text) => json!({"text": text}),
        Turn::Use(tool, input) => json!({"functionCall": {"name": tool, "args": input(request)}}),
        Turn::Refuse(..) | Turn::Hang => json!({"text": ""}),
    };
    let mut event = answer(&[part]);
    if matches!(turn, Turn::Cut(_) | Turn::Trail(_)) {
        // It is not finished.
        event["candidates"][0]["finishReason"] = Value::Null;
    }
    vec![event]
}

fn answer(parts: &[Value]) -> Value {
    json!({
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": INPUT_TOKENS, "candidatesTokenCount": OUTPUT_TOKENS,
            "cachedContentTokenCount": CACHED_TOKENS, "totalTokenCount": INPUT_TOKENS + OUTPUT_TOKENS,
        },
        "modelVersion": "gemini-test",
    })
}
