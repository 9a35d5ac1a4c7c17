//! `/compare/{a}/{b}`: two tasks beside each other.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use conductor_protocol::control::FilesView;
use conductor_protocol::task::{FileView, TaskView, reason_text};
use conductor_web::Refusal;

use super::task::diff::{DiffView, patch};
use super::task::{id_of, work};
use crate::app::page;
use crate::format;
use crate::frame::{Frame, Section};
use crate::ui::{self, Html};
use crate::visitor::Visitor;
use crate::words::Words;

/// The most files that are named as different.
const MAX_FILES: usize = 200;

#[derive(Debug, Template)]
#[template(path = "compare.html")]
struct View {
    f: Frame,
    w: &'static Words,
    a: Side,
    b: Side,
    facts: Vec<Fact>,
    is_same_work: bool,
    work: String,
    files: Vec<File>,
    same_files: String,
    diffs: Vec<DiffView>,
}

#[derive(Debug)]
struct Side {
    id: String,
    title: String,
    simulated: Html,
    work: String,
}

#[derive(Debug)]
struct Fact {
    label: &'static str,
    a: String,
    b: String,
}

impl Fact {
    fn differs(&self) -> bool {
        self.a != self.b
    }
}

#[derive(Debug, PartialEq, Eq)]
struct File {
    path: String,
    a: String,
    b: String,
}

/// `GET /compare/{a}/{b}`
pub async fn show(visitor: Visitor, Path((a, b)): Path<(String, String)>) -> Response {
    visitor.answer(view(&visitor, &a, &b).await)
}

async fn view(visitor: &Visitor, a: &str, b: &str) -> Result<Response, Refusal> {
    let w = visitor.words();
    let (a, b) = (id_of(a)?, id_of(b)?);
    let control = visitor.control().await?;
    let f = visitor.frame(&control, Section::Tasks, w.compare).await?;
    let (task_a, task_b, files_a, files_b) =
        tokio::try_join!(control.get(a), control.get(b), control.files(a), control.files(b))?;
    let mut diffs = Vec::new();
    for id in [a, b] {
        let patch = patch(&control, id).await?.unwrap_or_default();
        diffs.push(DiffView { patch, is_split: false, summary: String::new(), nothing: w.no_changes });
    }
    let (files, same) = differing(&files_a, &files_b);
    let (left, right) = (side(w, &task_a), side(w, &task_b));
    let view = View {
        f,
        w,
        facts: facts(w, &task_a, &task_b),
        is_same_work: left.work == right.work,
        work: left.work.clone(),
        a: left,
        b: right,
        files,
        same_files: w.counted(same, w.same_files),
        diffs,
    };
    page(StatusCode::OK, &view)
}

fn side(w: &Words, task: &TaskView) -> Side {
    Side {
        id: task.id.to_string(),
        title: format::title(task),
        simulated: ui::simulated(w, task.simulated),
        work: work(task),
    }
}

/// Tells something of a task.
type Told<'a> = &'a dyn Fn(&TaskView) -> String;

fn facts(w: &'static Words, a: &TaskView, b: &TaskView) -> Vec<Fact> {
    let none = || "–".to_owned();
    let result = |task: &TaskView| match &task.failure {
        Some(failure) => format!("{} · {}", w.state(task.state), reason_text(failure.reason)),
        None => w.state(task.state).to_owned(),
    };
    let duration = |task: &TaskView| match (task.started_at, task.finished_at) {
        (Some(from), Some(to)) => format::between(from, to),
        _ => none(),
    };
    let verified = |task: &TaskView| task.verified.map_or_else(none, |verified| verified.to_string());
    let exit_code = |task: &TaskView| {
        task.result.as_ref().and_then(|result| result.exit_code).map_or_else(none, |code| code.to_string())
    };
    let labels = |task: &TaskView| {
        let labels: Vec<_> = task.labels.iter().map(|(key, value)| format!("{key}:{value}")).collect();
        if labels.is_empty() { none() } else { labels.join(" ") }
    };
    let all: [(&'static str, Told<'_>); 13] = [
        (w.result, &result),
        (w.verified, &verified),
        (w.duration, &duration),
        (w.cost, &|task| task.usage.cost_usd.map_or_else(none, format::dollars)),
        (w.tokens, &|task| format::count(task.usage.input_tokens + task.usage.output_tokens)),
        (w.tool_calls, &|task| task.usage.tool_calls.to_string()),
        (w.exit_code, &exit_code),
        (w.attempts, &|task| task.attempt.to_string()),
        (w.runner, &|task| ui::runner(task).to_owned()),
        (w.type_word, &|task| task.task_type.clone()),
        (w.priority, &|task| task.priority.to_string()),
        (w.timeout, &|task| format::seconds(task.timeout_seconds as f64)),
        (w.labels, &labels),
    ];
    all.into_iter().map(|(label, of)| Fact { label, a: of(a), b: of(b) }).collect()
}

/// The files that are not the same on both, and how many are. Without a checksum nobody knows that they are.
fn differing(a: &FilesView, b: &FilesView) -> (Vec<File>, u64) {
    let mut by_path: BTreeMap<&str, [Option<&FileView>; 2]> = BTreeMap::new();
    for (side, view) in [a, b].into_iter().enumerate() {
        for file in &view.files {
            by_path.entry(&file.path).or_default()[side] = Some(file);
        }
    }
    let (mut files, mut same) = (Vec::new(), 0);
    for (path, [a, b]) in by_path {
        if let (Some(a), Some(b)) = (a, b)
            && a.sha256.is_some()
            && a == b
        {
            same += 1;
            continue;
        }
        let size =
            |file: Option<&FileView>| file.map_or_else(|| "–".to_owned(), |file| format::bytes(file.bytes));
        files.push(File { path: path.to_owned(), a: size(a), b: size(b) });
    }
    files.truncate(MAX_FILES);
    (files, same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, u64, Option<&str>)]) -> FilesView {
        let file = |(path, bytes, sha256): &(&str, u64, Option<&str>)| FileView {
            path: (*path).to_owned(),
            bytes: *bytes,
            sha256: sha256.map(str::to_owned),
        };
        FilesView {
            files: list.iter().map(file).collect(),
            files_total: list.len() as u64,
            folder: String::new(),
        }
    }

    #[test]
    fn files_are_the_same_only_when_their_checksums_are() {
        let a = files(&[
            ("both", 1, Some("x")),
            ("other", 1, Some("x")),
            ("left", 2_000, None),
            ("unknown", 1, None),
        ]);
        let b = files(&[
            ("both", 1, Some("x")),
            ("other", 1, Some("y")),
            ("right", 1, None),
            ("unknown", 1, None),
        ]);
        let (files, same) = differing(&a, &b);
        assert_eq!(same, 1);
        let told: Vec<_> =
            files.iter().map(|file| (file.path.as_str(), file.a.as_str(), file.b.as_str())).collect();
        assert_eq!(
            told,
            [
                ("left", "2.0 kB", "–"),
                ("other", "1 B", "1 B"),
                ("right", "–", "1 B"),
                ("unknown", "1 B", "1 B")
            ]
        );
    }
}
