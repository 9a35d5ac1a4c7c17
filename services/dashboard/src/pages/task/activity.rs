//! What the runner reported: messages, tool calls and their results.

use std::collections::VecDeque;

use conductor_client::Control;
use conductor_protocol::control::Output as OutputCall;
use conductor_protocol::task::TaskView;
use conductor_web::Refusal;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::pretty;
use crate::format;
use crate::words::Words;

/// The most entries that are shown: the last ones.
const MAX_ENTRIES: usize = 400;
/// The most bytes of the events of one attempt that are read for a view.
const MAX_BYTES: u64 = 4 << 20;
/// The longest text of an entry in characters.
const MAX_TEXT_CHARS: usize = 20_000;
/// The beginning of a folded entry.
const HEAD_CHARS: usize = 160;

/// What the runner reported.
#[derive(Debug, Default)]
pub struct Activity {
    /// Its entries.
    pub entries: Vec<Entry>,
    /// How many are left out before them.
    pub left_out: usize,
    /// The same for people.
    pub left_out_text: String,
}

/// One thing that a run did.
#[derive(Debug)]
pub struct Entry {
    pub number: usize,
    pub at: String,
    pub class: &'static str,
    pub label: String,
    pub head: String,
    pub text: String,
    pub is_folded: bool,
}

/// A line of `events.ndjson`. What a newer runner adds is passed over.
#[derive(Debug, Deserialize)]
struct Reported {
    #[serde(default)]
    ms: u64,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    input: Option<Box<RawValue>>,
    #[serde(default)]
    output: Option<String>,
    #[serde(default)]
    is_error: bool,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    outcome: Option<String>,
    #[serde(default)]
    summary: Option<String>,
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
}

/// Reads what an attempt reported.
pub async fn read(
    w: &Words,
    control: &Control,
    task: &TaskView,
    asked: Option<u32>,
) -> Result<Activity, Refusal> {
    if task.attempt == 0 {
        return Ok(Activity::default());
    }
    let attempt = Some(asked.unwrap_or(task.attempt).max(1));
    let call = OutputCall { id: task.id, attempt, offset: 0, follow: false, limit: Some(MAX_BYTES) };
    let mut lines = control.run_events(call).await?;
    let (mut entries, mut count) = (VecDeque::new(), 0);
    while let Some(line) = lines.next().await? {
        let Ok(reported) = serde_json::from_str::<Reported>(line.get()) else { continue };
        count += 1;
        entries.extend(entry(w, count, reported));
        if entries.len() > MAX_ENTRIES {
            entries.pop_front();
        }
    }
    let left_out = entries.front().map_or(0, |first: &Entry| first.number - 1);
    let left_out_text = w.counted(left_out as u64, w.earlier_entries);
    Ok(Activity { entries: entries.into(), left_out, left_out_text })
}

fn entry(w: &Words, number: usize, it: Reported) -> Option<Entry> {
    let text = it.text.or(it.message).unwrap_or_default();
    let input = it.input.map(|input| match serde_json::from_str::<String>(input.get()) {
        Ok(text) => pretty(&text),
        Err(_) => pretty(input.get()),
    });
    let (class, label, text, is_folded) = match it.kind.as_str() {
        "message" => ("say", w.message.to_owned(), text, false),
        "thinking" => ("think", w.thinking.to_owned(), text, true),
        "tool_call" => {
            let name = it.name.unwrap_or_default();
            ("tool", format!("{} {name}", w.tool_call), input.unwrap_or_default(), true)
        }
        "tool_result" if it.is_error => ("bad", w.tool_error.to_owned(), it.output.unwrap_or(text), true),
        "tool_result" => ("tool", w.tool_result.to_owned(), it.output.unwrap_or(text), true),
        "usage" => {
            let (read, wrote) = (format::count(it.input_tokens), format::count(it.output_tokens));
            ("note", w.usage.to_owned(), format!("{read} {} · {wrote} {}", w.input, w.output_short), false)
        }
        "retry" => ("note", w.retry.to_owned(), text, false),
        "limit" => ("bad", w.limit.to_owned(), text, false),
        "question" => ("ask", w.question.to_owned(), text, false),
        "told" => ("ask", w.told.to_owned(), text, false),
        "withdrawn" => ("ask", w.withdrawn.to_owned(), text, false),
        "answer" => ("ask", w.answer.to_owned(), text, false),
        "error" => ("bad", w.error.to_owned(), text, false),
        "finished" => {
            let outcome = it.outcome.unwrap_or_default();
            ("note", format!("{}: {outcome}", w.outcome), it.summary.unwrap_or(text), false)
        }
        _ => return None,
    };
    let head = format::cut(text.lines().next().unwrap_or_default(), HEAD_CHARS);
    let at = format::seconds(it.ms as f64 / 1_000.0);
    Some(Entry { number, at, class, label, head, text: format::cut(&text, MAX_TEXT_CHARS), is_folded })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Lang;

    fn told(json: &str) -> Option<Entry> {
        entry(Lang::En.words(), 1, serde_json::from_str(json).unwrap())
    }

    #[test]
    fn what_runners_report_is_told() {
        let call =
            told(r#"{"ms":1500,"type":"tool_call","id":"1","name":"Bash","input":"{\"command\":\"ls\"}"}"#)
                .unwrap();
        assert_eq!((call.at.as_str(), call.label.as_str(), call.is_folded), ("1.5 s", "Tool Bash", true));
        assert!(call.text.contains("\"command\": \"ls\""), "{}", call.text);
        let result =
            told(r#"{"ms":1,"type":"tool_result","id":"1","output":"a\nb","is_error":true}"#).unwrap();
        assert_eq!((result.class, result.head.as_str()), ("bad", "a"));
        assert_eq!(
            told(r#"{"ms":1,"type":"finished","outcome":"succeeded","summary":"x"}"#).unwrap().label,
            "Outcome: succeeded"
        );
    }

    #[test]
    fn a_question_that_is_taken_back_is_told_as_one() {
        let entry = told(r#"{"ms":1,"type":"withdrawn","request":2}"#).unwrap();
        assert_eq!((entry.class, entry.label.as_str()), ("ask", "Question withdrawn"));
    }

    #[test]
    fn what_is_not_known_is_passed_over() {
        assert!(told(r#"{"ms":1,"type":"brand_new","x":{}}"#).is_none());
    }
}
