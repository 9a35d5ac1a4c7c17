//! Numbers over time, and what was taken in since the opening.

use conductor_core::{
    AttemptEnd, Event, EventKind, Failure, FailureReason, NewTask, Outcome, Standing, TaskId, Wall,
};

use super::{HistoryPlace, assigned, ended, feed, finished};
use crate::conformance::life::Kept;
use crate::conformance::samples;
use crate::history::{Hour, KEPT_MINUTES, StatsQuery, TrendsQuery};

const MINUTE: i64 = 60_000;

fn at(ms: i64, kind: EventKind) -> Event {
    Event { at: Wall(ms), kind }
}

fn queued(id: u128, group: &str, ms: i64) -> Event {
    let task = NewTask { group: samples::name(group), ..samples::plain_task(id) };
    let standing = Standing::Queued { queued_at: Wall(ms) };
    at(ms, EventKind::TaskSubmitted { task: Box::new(task), standing, key: None, by: samples::actor() })
}

/// One that succeeds in the first minute, one that fails in the third, one that waits since the third.
fn some_minutes() -> Vec<Event> {
    let failed = Outcome::Failed(Failure::new(FailureReason::Timeout, "too slow"));
    vec![
        queued(1, "red", 10),
        queued(2, "blue", 20),
        at(110, assigned(1, 1)),
        at(120, EventKind::TaskStarted { task: TaskId(1), lease: samples::lease(1) }),
        at(520, ended(1, 1, AttemptEnd::Succeeded, Some(4))),
        at(520, finished(1, Outcome::Succeeded)),
        at(2 * MINUTE, assigned(2, 1)),
        at(2 * MINUTE + 5, queued(3, "red", 2 * MINUTE + 5).kind),
        at(2 * MINUTE + 9, ended(2, 1, AttemptEnd::Succeeded, Some(1))),
        at(2 * MINUTE + 9, finished(2, failed)),
    ]
}

fn minutes(steps: usize, until: i64) -> TrendsQuery {
    TrendsQuery { step_minutes: 1, until: Wall(until), steps, visible: None }
}

pub(super) fn steps_of_time_add_up(place: &dyn HistoryPlace) {
    let history = place.open();
    feed(&*history, some_minutes(), &Kept::default());
    let steps = history.trends(&minutes(4, 3 * MINUTE + 1)).expect("adds up");
    assert_eq!(
        steps.iter().map(|step| step.from).collect::<Vec<_>>(),
        [0, 1, 2, 3].map(|minute| Wall(minute * MINUTE))
    );
    let (first, third) = (&steps[0], &steps[2]);
    assert_eq!((first.submitted, first.started, first.succeeded, first.wait_ms), (2, 1, 1, 100));
    assert_eq!((first.tokens, first.cost_usd_micros, first.run_ms), (15, 4, 400));
    assert_eq!((third.submitted, third.started, third.failed), (1, 1, 1));
    assert_eq!(third.wait_ms, u64::try_from(2 * MINUTE - 20).expect("positive"));
    for empty in [&steps[1], &steps[3]] {
        assert_eq!(*empty, Hour { from: empty.from, ..Hour::default() });
    }
    let two = TrendsQuery { step_minutes: 2, ..minutes(2, 2 * MINUTE) };
    let steps = history.trends(&two).expect("adds up");
    assert_eq!(steps.iter().map(|step| step.submitted).collect::<Vec<_>>(), [2, 1]);
    let hour = TrendsQuery { step_minutes: 120, ..minutes(1, 0) };
    let steps = history.trends(&hour).expect("adds up");
    assert_eq!((steps.len(), steps[0].submitted, steps[0].started), (1, 3, 2), "from the hours");
}

pub(super) fn what_failures_cost_is_added_up_also_where_the_task_succeeds_later(place: &dyn HistoryPlace) {
    let history = place.open();
    let failure = || Failure::new(FailureReason::ExitCode, "it exited with 1");
    let ends = [
        AttemptEnd::Failed(failure()),
        AttemptEnd::Crashed("the agent was lost".into()),
        AttemptEnd::Stopped,
        AttemptEnd::Limited { rest_ms: 1, message: "later".into() },
        AttemptEnd::Succeeded,
    ];
    let mut events = vec![queued(1, "red", 10)];
    for (number, end) in (1..).zip(ends) {
        events.push(at(20, assigned(1, number)));
        // Each costs another amount, so that the sum tells which of them are in it.
        events.push(at(30, ended(1, number, end, Some(10_u64.pow(number - 1)))));
    }
    events.push(at(40, finished(1, Outcome::Succeeded)));
    feed(&*history, events, &Kept::default());
    for step_minutes in [1, 60] {
        let steps = history.trends(&TrendsQuery { step_minutes, ..minutes(1, 40) }).expect("adds up");
        assert_eq!((steps[0].cost_usd_micros, steps[0].failed_cost_usd_micros), (11_111, 11));
    }
    let hours = history.stats(&StatsQuery::default()).expect("adds up").hours;
    assert_eq!(hours[0].failed_cost_usd_micros, 11);
}

pub(super) fn only_visible_groups_are_in_the_steps(place: &dyn HistoryPlace) {
    let history = place.open();
    feed(&*history, some_minutes(), &Kept::default());
    for step_minutes in [5, 60] {
        let seen = |group: Option<&str>| {
            let visible = Some(group.map(samples::name).into_iter().collect());
            let query = TrendsQuery { step_minutes, visible, ..minutes(1, 3 * MINUTE) };
            let steps = history.trends(&query).expect("adds up");
            (steps[0].submitted, steps[0].succeeded, steps[0].failed)
        };
        assert_eq!(seen(Some("red")), (2, 1, 0));
        assert_eq!(seen(Some("blue")), (1, 0, 1));
        assert_eq!(seen(Some("green")), (0, 0, 0));
        assert_eq!(seen(None), (0, 0, 0), "no group is not every group");
    }
}

pub(super) fn old_minutes_stay_as_hours(place: &dyn HistoryPlace) {
    let history = place.open();
    feed(&*history, vec![queued(1, "red", 0)], &Kept::default());
    let later = (KEPT_MINUTES + 1) * MINUTE;
    feed(&*history, vec![queued(2, "red", later)], &Kept::default());
    let old = history.trends(&minutes(1, 0)).expect("adds up");
    assert_eq!(old[0].submitted, 0, "its minute is not kept any more");
    let hours = TrendsQuery { step_minutes: 60, ..minutes(50, later) };
    let hours = history.trends(&hours).expect("adds up");
    assert_eq!((hours[0].submitted, hours[49].submitted), (1, 1));
}

pub(super) fn what_was_taken_in_is_tallied_by_runner(place: &dyn HistoryPlace) {
    let history = place.open();
    feed(&*history, some_minutes(), &Kept::default());
    let tally = history.tally();
    assert_eq!(tally.wait.buckets.iter().sum::<u64>(), 2);
    assert_eq!(tally.wait.sum_ms, 100 + u64::try_from(2 * MINUTE - 20).expect("positive"));
    let submitted: u64 = tally.runners.values().map(|runner| runner.submitted).sum();
    assert_eq!(submitted, 3);
    let ran = tally.runners.values().find(|runner| runner.succeeded > 0).expect("one ran them");
    assert_eq!((ran.succeeded, ran.failed, ran.cancelled), (1, 1, 0));
    assert_eq!(
        (ran.run.buckets.iter().sum::<u64>(), ran.run.sum_ms),
        (1, 400),
        "only one said that it began"
    );
    assert_eq!(ran.cost_usd_micros, 5);
    history.close();
    drop(history);
    assert_eq!(place.open().tally().runners.len(), 0, "it is counted from the opening on");
}
