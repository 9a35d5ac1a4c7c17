//! Samples of what somebody is told.

use conductor_core::{Answer, Delivery, EventKind, Notice, Part, Route, Seq, TaskId, Tried, Wall};

use super::name;

pub(super) fn event_kinds(task: TaskId) -> Vec<(&'static str, EventKind)> {
    let answer = Answer {
        to: "https://example.com/hook".into(),
        status: Some(503),
        error: Some("it answered 503".into()),
    };
    let tried = |tried| EventKind::DeliveryTried {
        delivery: Seq(7),
        task: Some(task),
        tried,
        answer: Box::new(answer.clone()),
    };
    let due =
        |route, notice| EventKind::DeliveryDue { task: Some(task), route, notice, detail: "why".into() };
    vec![
        ("delivery_tried", tried(Tried::Delivered)),
        ("delivery_tried_again", tried(Tried::Again { next_at: Wall(9) })),
        ("delivery_tried_in_vain", tried(Tried::GivenUp)),
        ("webhook_asked", EventKind::WebhookAsked { task }),
        ("delivery_due", due(Route::Webhook, Notice::Failed)),
        ("delivery_due_by_rule", due(Route::Rule(name("slack-0123")), Notice::Unservable)),
    ]
}

pub(super) fn parts() -> Vec<(&'static str, Part)> {
    let delivery = Delivery {
        seq: Seq(7),
        made_at: Wall(1),
        task: None,
        route: Route::Rule(name("slack-0123")),
        notice: Notice::DiskFloor,
        detail: "9 bytes left".into(),
        tries: 2,
        next_at: Wall(3),
    };
    vec![("webhook", Part::Webhook(TaskId(9))), ("delivery", Part::Delivery(Box::new(delivery)))]
}
