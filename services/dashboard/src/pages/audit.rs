//! `/audit`: who did what.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use conductor_core::TaskId;
use conductor_protocol::control::{AuditCall, AuditEntry};
use conductor_web::Refusal;

use crate::app::page;
use crate::frame::{Frame, Section};
use crate::ui::{self, Html};
use crate::visitor::Visitor;
use crate::words::Words;

/// Entries of a page.
const ROWS: u32 = 100;

#[derive(Debug, Template)]
#[template(path = "audit.html")]
struct View {
    f: Frame,
    w: &'static Words,
    rows: Vec<Row>,
    is_newest: bool,
    before: Option<u64>,
}

#[derive(Debug)]
struct Row {
    seq: u64,
    at: Html,
    action: String,
    subject: String,
    task: Option<String>,
    by: String,
    role: String,
    via: String,
    address: String,
}

/// `GET /audit`
pub async fn show(visitor: Visitor) -> Response {
    visitor.answer(view(&visitor).await)
}

async fn view(visitor: &Visitor) -> Result<Response, Refusal> {
    let w = visitor.words();
    let before = visitor.query().parsed("before")?;
    let control = visitor.control().await?;
    let f = visitor.frame(&control, Section::Audit, w.audit).await?;
    let entries = control.audit(AuditCall { before, limit: Some(ROWS) }).await?.items;
    let is_full = entries.len() >= ROWS as usize;
    let next = entries.last().map(|entry| entry.seq).filter(|_| is_full);
    let rows = entries.into_iter().map(row).collect();
    page(StatusCode::OK, &View { f, w, rows, is_newest: before.is_none(), before: next })
}

fn row(entry: AuditEntry) -> Row {
    let task = entry.subject.strip_prefix("task ").unwrap_or(&entry.subject).parse::<TaskId>().ok();
    Row {
        seq: entry.seq,
        at: ui::instant(entry.at),
        action: entry.action,
        task: task.map(|id| id.to_string()),
        subject: entry.subject,
        by: entry.by,
        role: entry.role,
        via: entry.via,
        address: entry.address.unwrap_or_default(),
    }
}
