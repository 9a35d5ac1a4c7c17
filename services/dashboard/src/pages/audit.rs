//! `/audit`: who did what, and whether that is what was written.

use std::str::FromStr as _;
use std::time::{Duration, Instant};

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use conductor_client::{AuditCheck, AuditHead};
use conductor_core::TaskId;
use conductor_protocol::Code;
use conductor_protocol::control::{AuditCall, AuditEntry};
use conductor_web::{Refusal, Whole};

use crate::app::page;
use crate::format;
use crate::frame::{Frame, Section};
use crate::ui::{self, Html};
use crate::visitor::Visitor;
use crate::words::Words;

/// Entries of a page.
const ROWS: u32 = 100;
/// How long somebody waits for a check; it goes on with another click.
const CHECK_TIME: Duration = Duration::from_secs(5);

#[derive(Debug, Template)]
#[template(path = "audit.html")]
struct View {
    f: Frame,
    w: &'static Words,
    rows: Vec<Row>,
    is_newest: bool,
    before: Option<u64>,
    checked: Option<Checked>,
}

/// What a check found.
#[derive(Debug)]
struct Checked {
    said: String,
    /// What is not as it was written.
    fault: Option<String>,
    /// What is to be kept elsewhere, or where the check goes on.
    head: String,
    /// What was kept of an earlier check and was not come to yet.
    kept: String,
    is_over: bool,
}

#[derive(Debug)]
struct Row {
    seq: u64,
    at: Html,
    action: String,
    /// The task that it was about, or the first of them.
    task: Option<String>,
    /// How many more there were.
    more: Option<String>,
    /// What it was about besides.
    subject: String,
    by: String,
    role: String,
    via: String,
    address: String,
}

/// `GET /audit`
pub async fn show(visitor: Visitor) -> Response {
    visitor.answer(view(&visitor, None).await)
}

/// `POST /audit`: checks it, as far as that goes in a while.
pub async fn verify(visitor: Visitor, body: Whole) -> Response {
    let checked = async {
        let form = visitor.form(&body)?;
        let head = |name: &str| form.get(name).map(AuditHead::from_str).transpose();
        let wrong = |detail: &str| Refusal::new(Code::InvalidRequest, format!("SEQ:DIGEST: {detail}"));
        let mut check = AuditCheck::new(head("after").map_err(wrong)?, head("head").map_err(wrong)?);
        let (control, began) = (visitor.control().await?, Instant::now());
        while let Some(call) = check.next().filter(|_| began.elapsed() < CHECK_TIME) {
            check.take(control.verify_audit(call).await?);
        }
        view(&visitor, Some(told(visitor.words(), &check))).await
    };
    visitor.answer(checked.await)
}

fn told(w: &Words, check: &AuditCheck) -> Checked {
    let until = check.head().map_or(0, |head| head.seq);
    let said = w.audit_verified(check.records, until);
    let undigested =
        (check.undigested > 0).then(|| format!(" {}", w.counted(check.undigested, w.audit_undigested)));
    Checked {
        said: said + &undigested.unwrap_or_default(),
        fault: check.fault.as_ref().map(|fault| format!("#{}: {}", fault.seq, w.told(&fault.what))),
        head: check.head().map(|head| head.to_string()).unwrap_or_default(),
        kept: check.kept().map(ToString::to_string).unwrap_or_default(),
        is_over: check.next().is_none(),
    }
}

async fn view(visitor: &Visitor, checked: Option<Checked>) -> Result<Response, Refusal> {
    let w = visitor.words();
    let before = visitor.query().parsed("before")?;
    let control = visitor.control().await?;
    let f = visitor.frame(&control, Section::Audit, w.audit).await?;
    let entries = control.audit(AuditCall { before, limit: Some(ROWS) }).await?.items;
    let is_full = entries.len() >= ROWS as usize;
    let next = entries.last().map(|entry| entry.seq).filter(|_| is_full);
    let rows = entries.into_iter().map(row).collect();
    page(StatusCode::OK, &View { f, w, rows, is_newest: before.is_none(), before: next, checked })
}

fn row(entry: AuditEntry) -> Row {
    let (tasks, subject) = parted(&entry.subject);
    Row {
        seq: entry.seq,
        at: ui::instant(entry.at),
        action: entry.action,
        task: tasks.first().map(ToString::to_string),
        more: (tasks.len() > 1).then(|| format!("+{}", format::count(tasks.len() as u64 - 1))),
        subject: subject.to_owned(),
        by: entry.by,
        role: entry.role,
        via: entry.via,
        address: entry.address.unwrap_or_default(),
    }
}

/// The tasks that a subject begins with, and the rest of it.
fn parted(subject: &str) -> (Vec<TaskId>, &str) {
    let (mut tasks, mut rest) = (Vec::new(), subject);
    loop {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        let Ok(task) = word.parse() else { return (tasks, rest) };
        tasks.push(task);
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_its_tasks_and_the_rest() {
        let [one, other] = [1, 2].map(TaskId);
        assert_eq!(parted(&format!("{one} {other}")), (vec![one, other], ""));
        assert_eq!(parted(&format!("{one} pinned by {other}")), (vec![one], &*format!("pinned by {other}")));
        assert_eq!(parted("token worker"), (vec![], "token worker"));
        assert_eq!(parted(""), (vec![], ""));
    }
}
