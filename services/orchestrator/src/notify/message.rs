//! What is written to whom.

use conductor_core::{Delivery, Notice};
use conductor_protocol::task::{TaskView, reason_text};
use conductor_runtime::config::NotifyTo;
use serde::Serialize;
use url::Url;

use super::mail::Mail;
use super::sign::Signer;
use conductor_outbound::Post;

/// Characters of a failure's message or a question that are told where people read.
const MAX_SAID_CHARS: usize = 500;

/// The body of a webhook.
#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a str,
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<&'a TaskView>,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'a str,
}

/// What a notice is called.
pub(crate) fn kind(notice: Notice) -> &'static str {
    match notice {
        Notice::Finished => "task.finished",
        Notice::Failed => "task.failed",
        Notice::Waiting => "task.waiting",
        Notice::Unservable => "task.unservable",
        Notice::DiskFloor => "storage.disk_floor",
        Notice::ScheduleStopped => "schedule.stopped",
        Notice::LaneClosed => "queue.lane_closed",
        Notice::BudgetNear => "budget.near",
    }
}

/// Where something goes, without what may be secret in it.
fn shown(url: &Url) -> String {
    let rest = if url.path() == "/" && url.query().is_none() { "/" } else { "/…" };
    format!("{}{rest}", url.origin().ascii_serialization())
}

/// What all messages are made of.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) delivery: &'a Delivery,
    pub(super) task: Option<&'a TaskView>,
    pub(super) signer: &'a Signer,
    pub(super) now_seconds: i64,
}

/// A signed webhook.
pub(super) fn webhook(url: Url, about: About<'_>) -> Post {
    let About { delivery, task, signer, now_seconds } = about;
    let body = Body { r#type: kind(delivery.notice), seq: delivery.seq.0, task, detail: &delivery.detail };
    let body = serde_json::to_vec(&body).expect("a view can be written");
    // The same for every try, so that a receiver can tell a repetition.
    let id = match delivery.task {
        Some(task) => format!("msg_{task}_{}", delivery.seq),
        None => format!("msg_{}_{}", delivery.made_at.0, delivery.seq),
    };
    let signature = signer.sign(&id, now_seconds, &body);
    let headers = vec![
        ("webhook-id", id),
        ("webhook-timestamp", now_seconds.to_string()),
        ("webhook-signature", signature),
    ];
    Post { url, content_type: "application/json", headers, body }
}

/// What is sent, by the way that it takes.
#[derive(Debug)]
pub(super) enum Message {
    Post(Post),
    Mail(Mail),
}

impl Message {
    /// Where it goes, without what may be secret in it.
    pub(super) fn to(&self) -> String {
        match self {
            Self::Post(post) => shown(&post.url),
            Self::Mail(mail) => format!("mailto:{}", mail.to),
        }
    }
}

/// What a notice says in a few words, and how urgent ntfy takes it to be.
fn title(notice: Notice) -> (&'static str, &'static str) {
    match notice {
        Notice::Finished => ("3", "Conductor: a task is over"),
        Notice::Failed => ("4", "Conductor: a task failed"),
        Notice::Waiting => ("4", "Conductor: a task waits for you"),
        Notice::Unservable => ("4", "Conductor: nothing can run a task"),
        Notice::DiskFloor => ("5", "Conductor: the disk is nearly full"),
        Notice::ScheduleStopped => ("4", "Conductor: a schedule is stopped"),
        Notice::LaneClosed => ("5", "Conductor: a credential is refused"),
        Notice::BudgetNear => ("4", "Conductor: a budget is nearly spent"),
    }
}

/// What goes to where a rule leads.
pub(super) fn by_rule(to: &NotifyTo, about: About<'_>) -> Message {
    let post = match to {
        NotifyTo::Mailto(mailbox) => {
            return Message::Mail(Mail {
                to: mailbox.clone(),
                subject: title(about.delivery.notice).1,
                text: text(about),
                // The same for every try, so that a mailbox can tell a repetition.
                id: format!("{}.{}@conductor", about.delivery.made_at.0, about.delivery.seq),
            });
        }
        NotifyTo::Webhook(url) => webhook(url.clone(), about),
        NotifyTo::Slack(url) => {
            let body = serde_json::json!({ "text": text(about) });
            let body = serde_json::to_vec(&body).expect("a text can be written");
            Post { url: url.clone(), content_type: "application/json", headers: Vec::new(), body }
        }
        NotifyTo::Ntfy(url) => {
            let (priority, title) = title(about.delivery.notice);
            let headers = vec![("title", title.to_owned()), ("priority", priority.to_owned())];
            let body = text(about).into_bytes();
            Post { url: url.clone(), content_type: "text/plain; charset=utf-8", headers, body }
        }
    };
    Message::Post(post)
}

/// A sentence for people.
fn text(about: About<'_>) -> String {
    let About { delivery, task, .. } = about;
    let called = match (task.and_then(|task| task.name.as_ref()), delivery.task) {
        (Some(name), Some(id)) => format!("Task {name:?} ({id})"),
        (_, Some(id)) => format!("Task {id}"),
        (_, None) => "Conductor".to_owned(),
    };
    let said = match delivery.notice {
        Notice::Finished => {
            let state = task.map_or("is over", |task| task.state.as_str());
            let result = task.and_then(|task| task.result.as_ref());
            match result.and_then(|result| result.summary.as_deref()).filter(|text| !text.is_empty()) {
                Some(summary) => format!("{state}: {summary}"),
                None => state.to_owned(),
            }
        }
        Notice::Failed => match task.and_then(|task| task.failure.as_ref()) {
            Some(failure) => format!("failed ({}): {}", reason_text(failure.reason), failure.message),
            None => "failed".to_owned(),
        },
        Notice::Waiting => match task.and_then(|task| task.waiting.as_ref()) {
            Some(waiting) => format!("waits for a person: {}", waiting.text),
            None => "waited for a person".to_owned(),
        },
        Notice::Unservable => format!("waits: {}", delivery.detail),
        Notice::LaneClosed => format!(
            "runs nothing more under the credential {}: it was refused twice in a row. Change it, or have it tried again.",
            delivery.detail
        ),
        Notice::DiskFloor => {
            format!("has too little space left; submits are refused. {}", delivery.detail)
        }
        Notice::BudgetNear => format!("has spent most of a budget: {}", delivery.detail),
        Notice::ScheduleStopped => format!("stopped a schedule: {}", delivery.detail),
    };
    let short: String = said.chars().take(MAX_SAID_CHARS).collect();
    format!("{called} {short}")
}
