//! What was told of tasks.

use conductor_core::{Answer, EventKind, Notice, Outcome, Route, Seq, TaskId, Tried, Wall};

use super::{HistoryPlace, finished, submitted, tell};
use crate::conformance::samples;
use crate::history::{DeliveryRecord, DeliveryState};

fn due(task: Option<u128>, route: Route) -> EventKind {
    EventKind::DeliveryDue { task: task.map(TaskId), route, notice: Notice::Finished, detail: "".into() }
}

fn tried(delivery: u64, tried: Tried, status: Option<u16>, error: Option<&str>) -> EventKind {
    let answer = Answer { to: "https://example.com/".into(), status, error: error.map(Into::into) };
    EventKind::DeliveryTried {
        delivery: Seq(delivery),
        task: Some(TaskId(1)),
        tried,
        answer: Box::new(answer),
    }
}

pub(super) fn what_was_told_of_a_task_goes_with_it(place: &dyn HistoryPlace) {
    let history = place.open();
    let rule = Route::Rule(samples::name("slack-1"));
    tell(&*history, [submitted(1), submitted(2), finished(1, Outcome::Succeeded)]);
    tell(&*history, [due(Some(1), Route::Webhook), due(Some(1), rule.clone()), due(None, rule.clone())]);
    let again = Tried::Again { next_at: Wall(99) };
    tell(
        &*history,
        [tried(4, again, Some(500), Some("it answered 500")), tried(5, Tried::GivenUp, None, Some("x"))],
    );
    let first = DeliveryRecord {
        seq: Seq(4),
        task: TaskId(1),
        route: Route::Webhook,
        notice: Notice::Finished,
        to: Some("https://example.com/".into()),
        tries: 1,
        state: DeliveryState::Pending { next_at: Wall(99) },
        status: Some(500),
        error: Some("it answered 500".into()),
        last_at: Wall(7_000),
    };
    let listed = history.deliveries(TaskId(1)).expect("lists");
    assert_eq!(listed.iter().map(|told| told.seq).collect::<Vec<_>>(), [Seq(5), Seq(4)], "the newest first");
    assert_eq!((listed[0].state, &listed[0].route), (DeliveryState::GivenUp, &rule));
    assert_eq!(listed[1], first);
    tell(&*history, [tried(4, Tried::Delivered, Some(204), None)]);
    let listed = history.deliveries(TaskId(1)).expect("lists");
    assert_eq!(
        (listed[1].tries, listed[1].state, listed[1].error.clone()),
        (2, DeliveryState::Delivered, None)
    );
    assert_eq!(history.deliveries(TaskId(2)).expect("lists"), []);
    tell(&*history, [EventKind::TasksDeleted { tasks: [TaskId(1)].into(), by: None }]);
    assert_eq!(history.deliveries(TaskId(1)).expect("lists"), []);
}
