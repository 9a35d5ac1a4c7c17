//! Statistics, the audit, and what goes.

use conductor_core::{
    AgentId, AttemptEnd, CancelReason, Event, EventKind, Failure, FailureReason, Outcome, Seq, Standing,
    TaskId, Wall,
};

use super::{HistoryPlace, assigned, ended, feed, finished, list, submitted, tell};
use crate::conformance::life::Kept;
use crate::conformance::samples;
use crate::history::{AuditQuery, Query, State, StatsQuery};

pub(super) fn statistics_add_up(place: &dyn HistoryPlace) {
    let history = place.open();
    let hour = 3_600_000;
    let at = |ms: i64, kind: EventKind| Event { at: Wall(ms), kind };
    let queued = |id: u128, group: &str, ms: i64| {
        let task = conductor_core::NewTask { group: samples::name(group), ..samples::plain_task(id) };
        let standing = Standing::Queued { queued_at: Wall(ms) };
        at(ms, EventKind::TaskSubmitted { task: Box::new(task), standing, key: None, by: samples::actor() })
    };
    let failed = Outcome::Failed(Failure::new(FailureReason::Timeout, "too slow"));
    let events = vec![
        queued(1, "red", 10),
        queued(2, "blue", 20),
        queued(3, "red", hour + 1),
        at(110, assigned(1, 1)),
        at(120, EventKind::TaskStarted { task: TaskId(1), lease: samples::lease(1) }),
        at(520, ended(1, 1, AttemptEnd::Succeeded, Some(4))),
        at(520, finished(1, Outcome::Succeeded)),
        at(2_020, assigned(2, 1)),
        at(hour + 5, ended(2, 1, AttemptEnd::Succeeded, Some(1))),
        at(hour + 5, finished(2, failed)),
    ];
    feed(&*history, events, &Kept::default());
    let stats = history.stats(&StatsQuery::default()).expect("adds up");
    let count = |stats: &crate::history::Stats, state| {
        stats.states.iter().find(|(found, _)| *found == state).expect("every state is there").1
    };
    assert_eq!(
        [State::Succeeded, State::Failed, State::Queued, State::Running].map(|s| count(&stats, s)),
        [1, 1, 1, 0]
    );
    assert_eq!(stats.hours.iter().map(|hour| hour.from).collect::<Vec<_>>(), [Wall(hour), Wall(0)]);
    let (later, first) = (&stats.hours[0], &stats.hours[1]);
    assert_eq!((first.submitted, first.started, first.succeeded, first.failed), (2, 2, 1, 0));
    assert_eq!((first.wait_ms, first.wait_max_ms, first.run_ms), (100 + 2_000, 2_000, 400));
    assert_eq!((later.submitted, later.failed, later.cost_usd_micros, later.tokens), (1, 1, 1, 15));
    let red = StatsQuery { visible: Some(vec![samples::name("red")]), since: Some(Wall(hour + 99)) };
    let stats = history.stats(&red).expect("adds up");
    assert_eq!((count(&stats, State::Succeeded), count(&stats, State::Failed)), (1, 0));
    assert_eq!(
        stats.hours.iter().map(|hour| (hour.from, hour.submitted)).collect::<Vec<_>>(),
        [(Wall(hour), 1)]
    );
}

pub(super) fn deleted_tasks_are_gone_and_their_audit_stays(place: &dyn HistoryPlace) {
    let history = place.open();
    tell(&*history, [submitted(1), submitted(2), finished(1, Outcome::Succeeded)]);
    let by = Some(samples::actor());
    tell(&*history, [EventKind::TasksDeleted { tasks: [TaskId(1), TaskId(99)].into(), by }]);
    assert_eq!(history.tasks(&[TaskId(1)]).expect("reads"), [None]);
    assert_eq!(list(&*history, &Query::default()), [2]);
    let states = history.stats(&StatsQuery::default()).expect("adds up").states;
    assert_eq!(states.iter().map(|(_, count)| count).sum::<u64>(), 1);
    let audit = history.audit(&AuditQuery::default()).expect("lists").records;
    assert_eq!(audit[0].action.as_str(), "delete");
    assert!(
        audit.iter().any(|record| record.action.as_str() == "submit" && record.tasks.contains(&TaskId(1)))
    );
    // One that comes and goes in the same stretch leaves nothing.
    let gone = EventKind::TasksDeleted { tasks: [TaskId(3)].into(), by: None };
    tell(&*history, [submitted(3), finished(3, Outcome::Succeeded), gone]);
    assert_eq!(list(&*history, &Query::default()), [2]);
    let states = history.stats(&StatsQuery::default()).expect("adds up").states;
    assert_eq!(states.iter().map(|(_, count)| count).sum::<u64>(), 1);
}

pub(super) fn those_that_ended_first_are_listed_first(place: &dyn HistoryPlace) {
    let history = place.open();
    tell(&*history, (1..=4).map(submitted));
    tell(&*history, [3, 1, 4].map(|id| finished(id, Outcome::Succeeded)));
    let ended = |before, limit| history.ended_before(Wall(before), limit).expect("lists");
    assert_eq!(ended(i64::MAX, 10), [3, 1, 4].map(TaskId));
    assert_eq!(ended(i64::MAX, 2), [3, 1].map(TaskId));
    assert_eq!(ended(7_000, 10), [3, 1].map(TaskId), "the third ended at 7 s, not before");
    assert_eq!(ended(0, 10), []);
}

pub(super) fn the_audit_tells_who_did_what(place: &dyn HistoryPlace) {
    let history = place.open();
    let by = samples::actor;
    let together: Vec<Event> = (1..=3).map(|id| Event { at: Wall(5), kind: submitted(id) }).collect();
    feed(&*history, together, &Kept::default());
    let reason = CancelReason::Requested(Some("wrong branch".into()));
    tell(
        &*history,
        [
            EventKind::CancelRequested { task: TaskId(1), reason: reason.clone(), by: Some(by()) },
            EventKind::CancelRequested { task: TaskId(2), reason: CancelReason::Schedule, by: None },
            EventKind::TaskFinished { task: TaskId(3), outcome: Outcome::Cancelled(reason), by: Some(by()) },
            EventKind::QueuePaused { paused: true, by: by() },
            EventKind::AgentJoined { profile: Box::new(samples::profile()) },
            EventKind::AgentDrained { agent: AgentId(7), draining: false, by: by() },
        ],
    );
    let page = history.audit(&AuditQuery::default()).expect("lists");
    let told: Vec<(&str, Vec<u128>, Option<&str>)> = page
        .records
        .iter()
        .map(|record| {
            let tasks = record.tasks.iter().map(|task| task.0).collect();
            (record.action.as_str(), tasks, record.detail.as_deref())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("undrain", vec![], Some("builder-1")),
            ("pause", vec![], None),
            ("cancel", vec![3], Some("wrong branch")),
            ("cancel", vec![1], Some("wrong branch")),
            ("submit", vec![1, 2, 3], None),
        ]
    );
    assert_eq!((page.next, page.as_of), (None, Seq(9)));
    let cancels = AuditQuery { action: Some(samples::name("cancel")), limit: 1, ..AuditQuery::default() };
    let page = history.audit(&cancels).expect("lists");
    assert_eq!(page.records.iter().map(|record| record.seq).collect::<Vec<_>>(), [Seq(6)]);
    let next = AuditQuery { older_than: page.next, ..cancels };
    assert_eq!(history.audit(&next).expect("lists").records[0].seq, Seq(4));
    let nobody = AuditQuery { actor: Some(samples::name("bob")), ..AuditQuery::default() };
    assert!(history.audit(&nobody).expect("lists").records.is_empty());
    let times = AuditQuery { after: Some(Wall(5)), before: Some(Wall(6)), ..AuditQuery::default() };
    assert_eq!(history.audit(&times).expect("lists").records.len(), 1);
}
