//! Events as people read them in `output.log`.

use crate::run::events::Event;

/// How much of a tool's input and output is shown; `events.ndjson` has all of it.
const MAX_INPUT_CHARS: usize = 400;
const MAX_OUTPUT_CHARS: usize = 2_000;

/// The text of an event; none when it is not shown.
pub(in crate::runner) fn text(event: &Event) -> Option<String> {
    let text = match event {
        Event::Message { text } => format!("{}\n", text.trim_end()),
        Event::Thinking { text } => format!("[thinking] {}\n", text.trim()),
        Event::ToolCall { name, input, .. } => format!("[tool {name}] {}\n", input_line(input)),
        Event::ToolResult { output, is_error, .. } => {
            let mark = if *is_error { "[failed]\n" } else { "" };
            format!("{mark}{}", indented(&shorten(output.trim_end(), MAX_OUTPUT_CHARS)))
        }
        Event::Retry { text } => format!("[retry] {text}\n"),
        Event::Limit { text, .. } => format!("[limit] {text}\n"),
        Event::Error { message } => format!("[error] {message}\n"),
        Event::Question { text, .. } => format!("[question] {text}\n"),
        Event::Told { text } => format!("[message] {}\n", text.trim_end()),
        Event::Withdrawn { .. } => "[question] it is withdrawn\n".to_owned(),
        Event::Answer { text, .. } => format!("[answer] {text}\n"),
        Event::Usage { .. } | Event::Other { .. } | Event::Finished { .. } => return None,
    };
    (!text.trim().is_empty()).then_some(text)
}

/// The one argument of most tools by itself, others as they came.
pub(super) fn input_line(input: &str) -> String {
    let value = serde_json::from_str::<serde_json::Value>(input).ok();
    let main = value.as_ref().and_then(|value| {
        ["command", "cmd", "file_path", "path", "pattern", "query", "url", "title"]
            .iter()
            .find_map(|key| value.get(*key)?.as_str())
    });
    shorten(&main.unwrap_or(input).replace('\n', "\n    "), MAX_INPUT_CHARS)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_shown_by_what_it_does_and_its_output_is_set_off() {
        let call = Event::ToolCall {
            id: "1".into(),
            name: "Bash".into(),
            input: r#"{"command":"ls","description":"x"}"#.into(),
        };
        assert_eq!(text(&call).as_deref(), Some("[tool Bash] ls\n"));
        let result = Event::ToolResult { id: "1".into(), output: "a\nb\n".into(), is_error: true };
        assert_eq!(text(&result).as_deref(), Some("[failed]\n    a\n    b\n"));
        let usage = Event::Usage { input_tokens: 1, output_tokens: 1, cached_input_tokens: 0 };
        assert_eq!(text(&usage), None);
    }
}
