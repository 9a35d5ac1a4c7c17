//! Reading what an answer used, event by event, in three formats.

use serde_json::Value;

use super::Wire;
use super::meter::Answered;

/// About so many characters of an answer are one token, until the model tells how many there were.
const CHARS_A_TOKEN: usize = 4;

/// Reads an answer as it comes.
#[derive(Debug, Default)]
pub(super) struct Reader {
    answered: Answered,
    /// Characters of output that came since the model told how much there was.
    chars: usize,
    /// What it told.
    told: u64,
}

impl Reader {
    pub fn answered(&self) -> &Answered {
        &self.answered
    }

    /// Takes what could not be read as output.
    pub fn skip(&mut self, bytes: usize) {
        self.chars += bytes;
        self.estimate();
    }

    /// Takes one event, or a whole answer that is not streamed.
    pub fn event(&mut self, wire: Wire, event: &Value) {
        match wire {
            Wire::Anthropic => self.anthropic(event),
            Wire::OpenAi => self.open_ai(event),
            Wire::Gemini => match event {
                // Without `alt=sse` a stream is one list.
                Value::Array(parts) => parts.iter().for_each(|part| self.gemini(part)),
                part => self.gemini(part),
            },
        }
        self.estimate();
    }

    fn anthropic(&mut self, event: &Value) {
        match text(event, "type") {
            Some("content_block_delta") => {
                let delta = &event["delta"];
                for name in ["text", "partial_json", "thinking"] {
                    self.chars += text(delta, name).map_or(0, str::len);
                }
            }
            // An answer that is not streamed is the message itself.
            Some("message_start" | "message_delta" | "message") => {
                let message = event.get("message").unwrap_or(event);
                self.model(text(message, "model"));
                let Some(usage) = message.get("usage") else { return };
                if usage.get("input_tokens").is_some() {
                    let written = number(usage, "cache_creation_input_tokens");
                    self.answered.input = number(usage, "input_tokens") + written;
                    self.answered.cached = number(usage, "cache_read_input_tokens");
                }
                self.tell(number(usage, "output_tokens"));
            }
            Some(_) | None => {}
        }
    }

    fn open_ai(&mut self, event: &Value) {
        let kind = text(event, "type").unwrap_or_default();
        if kind.ends_with(".delta") {
            self.chars += text(event, "delta").map_or(0, str::len);
        }
        for choice in event["choices"].as_array().into_iter().flatten() {
            self.chars += text(&choice["delta"], "content").map_or(0, str::len);
            for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
                self.chars += text(&call["function"], "arguments").map_or(0, str::len);
            }
        }
        let answer = event.get("response").unwrap_or(event);
        self.model(text(answer, "model"));
        let Some(usage) = answer.get("usage").filter(|usage| usage.is_object()) else { return };
        let either =
            |one, other| if usage.get(one).is_some() { number(usage, one) } else { number(usage, other) };
        let details = usage.get("input_tokens_details").or_else(|| usage.get("prompt_tokens_details"));
        self.answered.cached = details.map_or(0, |details| number(details, "cached_tokens"));
        self.answered.input = either("input_tokens", "prompt_tokens").saturating_sub(self.answered.cached);
        self.tell(either("output_tokens", "completion_tokens"));
    }

    fn gemini(&mut self, part: &Value) {
        self.model(text(part, "modelVersion"));
        for candidate in part["candidates"].as_array().into_iter().flatten() {
            for piece in candidate["content"]["parts"].as_array().into_iter().flatten() {
                self.chars += text(piece, "text").map_or(0, str::len);
            }
        }
        let Some(usage) = part.get("usageMetadata") else { return };
        self.answered.cached = number(usage, "cachedContentTokenCount");
        self.answered.input = number(usage, "promptTokenCount").saturating_sub(self.answered.cached);
        let output = number(usage, "candidatesTokenCount") + number(usage, "thoughtsTokenCount");
        if output > 0 {
            self.tell(output);
        }
    }

    fn model(&mut self, model: Option<&str>) {
        if let Some(model) = model.filter(|model| self.answered.model.as_deref() != Some(model)) {
            self.answered.model = Some(model.to_owned());
        }
    }

    fn tell(&mut self, output: u64) {
        self.told = output;
        self.chars = 0;
    }

    fn estimate(&mut self) {
        self.answered.output = self.told + (self.chars / CHARS_A_TOKEN) as u64;
    }
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(wire: Wire, events: &[Value]) -> (u64, u64, u64, String) {
        let mut reader = Reader::default();
        events.iter().for_each(|event| reader.event(wire, event));
        let Answered { model, input, cached, output } = reader.answered().clone();
        (input, cached, output, model.unwrap_or_default())
    }

    #[test]
    fn usage_is_read_in_three_formats() {
        let anthropic = [
            json!({"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 80,
                "cache_creation_input_tokens": 5, "cache_read_input_tokens": 20, "output_tokens": 1}}}),
            json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "twelve chars"}}),
            json!({"type": "message_delta", "usage": {"output_tokens": 30}}),
        ];
        assert_eq!(read(Wire::Anthropic, &anthropic[..1]), (85, 20, 1, "m".into()));
        assert_eq!(read(Wire::Anthropic, &anthropic[..2]), (85, 20, 4, "m".into()), "an estimate");
        assert_eq!(read(Wire::Anthropic, &anthropic), (85, 20, 30, "m".into()));
        let whole =
            json!({"type": "message", "model": "m", "usage": {"input_tokens": 7, "output_tokens": 3}});
        assert_eq!(read(Wire::Anthropic, &[whole]), (7, 0, 3, "m".into()));

        let responses = [
            json!({"type": "response.output_text.delta", "delta": "12345678"}),
            json!({"type": "response.completed", "response": {"model": "m", "usage": {"input_tokens": 100,
                "input_tokens_details": {"cached_tokens": 20}, "output_tokens": 30}}}),
        ];
        assert_eq!(read(Wire::OpenAi, &responses[..1]).2, 2);
        assert_eq!(read(Wire::OpenAi, &responses), (80, 20, 30, "m".into()));
        let chat = [
            json!({"model": "m", "choices": [{"delta": {"content": "12345678"}}], "usage": null}),
            json!({"model": "m", "choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 3}}),
        ];
        assert_eq!(read(Wire::OpenAi, &chat), (10, 0, 3, "m".into()));

        let gemini = [
            json!({"candidates": [{"content": {"parts": [{"text": "12345678"}]}}], "modelVersion": "m"}),
            json!({"usageMetadata": {"promptTokenCount": 100, "cachedContentTokenCount": 20,
                "candidatesTokenCount": 25, "thoughtsTokenCount": 5}, "modelVersion": "m"}),
        ];
        assert_eq!(read(Wire::Gemini, &gemini[..1]).2, 2);
        assert_eq!(read(Wire::Gemini, &gemini), (80, 20, 30, "m".into()));
        assert_eq!(read(Wire::Gemini, &[Value::Array(gemini.into())]), (80, 20, 30, "m".into()));
    }
}
