//! What the tools answer: views that a model can read, each of a bounded length.

use conductor_client::Error;
use conductor_core::TaskId;
use conductor_protocol::control::{Affected, FilesView, Page};
use conductor_protocol::task::TaskView;
use conductor_protocol::text::rfc3339;
use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Map, Value, json};

use super::text::Part;

/// The most files that are named in one answer.
const MAX_FILES: usize = 200;
/// The most tasks that are named in one answer.
const MAX_IDS: usize = 100;
/// The longest text of a field in characters.
const MAX_TEXT: usize = 4_000;
/// The longest text of a field in characters, in a list.
const MAX_TEXT_LISTED: usize = 300;
/// The most faults of a body that are named.
const MAX_FAULTS: usize = 10;

/// What went wrong, as a text for a model.
pub(super) struct Fault;

impl Fault {
    /// What went wrong, with all that helps to do better.
    pub(super) fn text(error: Error) -> String {
        let problem = match error {
            Error::Refused(problem) => problem,
            Error::Unreachable { .. }
            | Error::Key { .. }
            | Error::Lost(_)
            | Error::Malformed(_)
            | Error::Slow => return format!("unavailable: {error}"),
        };
        let mut text = problem.to_string();
        if problem.errors.len() > 1 {
            for fault in problem.errors.iter().take(MAX_FAULTS) {
                text.push_str(&format!("\n{}: {}", fault.pointer, fault.detail));
            }
        }
        if let Some(seconds) = problem.retry_after_seconds {
            text.push_str(&format!(" (try again in {seconds} s)"));
        }
        cut(&text, MAX_TEXT)
    }
}

/// An answer that is a value.
pub(super) fn answered(value: Value) -> CallToolResult {
    CallToolResult::structured(value)
}

/// An answer that is a part of a text: the text as it is, and beside it where it stands.
pub(super) fn part(part: Part) -> CallToolResult {
    let Part { text, offset, next_offset, bytes } = part;
    let mut place =
        json!({"offset": offset, "next_offset": next_offset, "bytes": bytes, "more": next_offset < bytes});
    let text = match text {
        Some(text) => text,
        None => {
            place["binary"] = true.into();
            "(not shown: this is not text)".to_owned()
        }
    };
    CallToolResult::success(vec![ContentBlock::text(text), ContentBlock::text(place.to_string())])
}

/// A task as wait shows it.
pub(super) fn brief(task: &TaskView) -> Value {
    let mut shown = summary(task, MAX_TEXT);
    let mut add = |name: &str, value: Value| {
        if !value.is_null() {
            shown.insert(name.to_owned(), value);
        }
    };
    add("done", task.state.is_terminal().into());
    add("pending_reason", json!(task.pending_reason));
    add("attempt", task.attempt.into());
    add("verified", json!(task.verified));
    if task.simulated {
        add("simulated", true.into());
    }
    let mut result = json!(task.result);
    if let Some(result) = result.as_object_mut() {
        result.remove("files_left_out");
        if let Some(files) = result.get_mut("files").and_then(Value::as_array_mut) {
            files.truncate(MAX_FILES);
        }
        if let Some(Value::String(text)) = result.get_mut("summary") {
            *text = cut(text, MAX_TEXT);
        }
    }
    add("result", result);
    add("usage", json!(task.usage));
    Value::Object(shown)
}

/// What every view of a task has.
fn summary(task: &TaskView, longest: usize) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert("id".to_owned(), task.id.to_string().into());
    shown.insert("state".to_owned(), task.state.as_str().into());
    shown.insert("runner".to_owned(), task.runner.clone().into());
    if let Some(name) = &task.name {
        shown.insert("name".to_owned(), name.clone().into());
    }
    if let Some(failure) = &task.failure {
        let mut failure = json!(failure);
        for field in ["message", "hint"] {
            if let Some(Value::String(text)) = failure.get_mut(field) {
                *text = cut(text, longest);
            }
        }
        shown.insert("failure".to_owned(), failure);
    }
    if let Some(waiting) = &task.waiting {
        let question = json!({
            "request_id": waiting.request_id.to_string(), "kind": waiting.kind, "text": cut(&waiting.text, longest),
            "tool": waiting.tool,
        });
        shown.insert("waiting".to_owned(), question);
    }
    shown
}

/// A page of tasks.
pub(super) fn listed(page: &Page) -> Value {
    let items: Vec<Value> = page
        .items
        .iter()
        .map(|task| {
            let mut shown = summary(task, MAX_TEXT_LISTED);
            shown.insert("created_at".to_owned(), rfc3339(task.created_at).into());
            if let Some(text) = task.result.as_ref().and_then(|result| result.summary.as_deref()) {
                shown.insert("summary".to_owned(), cut(text, MAX_TEXT_LISTED).into());
            }
            Value::Object(shown)
        })
        .collect();
    json!({"items": items, "next_cursor": page.next_cursor})
}

/// The files of a task.
pub(super) fn files(view: &FilesView) -> Value {
    let files: Vec<Value> = view
        .files
        .iter()
        .take(MAX_FILES)
        .map(|file| json!({"path": file.path, "bytes": file.bytes}))
        .collect();
    json!({"files": files, "files_total": view.files_total})
}

/// The tasks that something was done to.
pub(super) fn affected(affected: &Affected) -> Value {
    let ids: Vec<String> = affected.ids.iter().take(MAX_IDS).map(TaskId::to_string).collect();
    json!({"ids": ids, "total": affected.ids.len()})
}

/// The beginning of a text, with a mark where it was cut.
fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use conductor_protocol::{Code, Problem};

    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(cut("漢字漢字", 2), "漢字…");
        assert_eq!(cut("漢字", 2), "漢字");
    }

    #[test]
    fn a_refusal_says_its_code_and_when_to_try_again() {
        let full = Problem::new(Code::QueueFull, "the queue is full").retry_after(3);
        assert_eq!(Fault::text(Error::Refused(full)), "queue_full: the queue is full (try again in 3 s)");
        let lost = Fault::text(Error::Lost("it ended".into()));
        assert!(lost.starts_with("unavailable: ") && lost.contains("it ended"), "{lost}");
    }
}
