//! Lists, their filters and their pages.

use std::collections::HashSet;

use conductor_core::{AttemptEnd, CancelReason, Event, FailureReason, Outcome, TaskId, Wall};

use super::{HistoryPlace, assigned, ended, feed, finished, ids, list, submitted, submitted_with, tell};
use crate::conformance::life::{Kept, lives};
use crate::conformance::samples;
use crate::history::{Cursor, Error, History, Query, Sort, State, TaskRecord};

/// Whether a record is what a query asks for, said without a database.
fn fits(record: &TaskRecord, query: &Query) -> bool {
    let task = &record.task;
    let failure = match &record.outcome {
        Some(Outcome::Failed(failure)) => Some(failure.reason),
        Some(Outcome::Cancelled(CancelReason::Dependency(_))) => Some(FailureReason::Dependency),
        Some(Outcome::Cancelled(_) | Outcome::Succeeded) | None => None,
    };
    let any = |names: &[conductor_core::Name]| names.contains(&task.group);
    (query.states.is_empty() || query.states.contains(&record.state))
        && (query.groups.is_empty() || any(&query.groups))
        && query.visible.as_deref().is_none_or(any)
        && query
            .runner
            .as_ref()
            .is_none_or(|runner| task.runner == *runner || record.ran_on.as_ref() == Some(runner))
        && query.labels.iter().all(|label| task.labels.contains(label))
        && query.name.as_deref().is_none_or(|name| task.name.as_deref() == Some(name))
        && query.task_type.as_ref().is_none_or(|name| task.task_type == *name)
        && query.created_by.as_ref().is_none_or(|name| record.created_by.name == *name)
        && query.parent.is_none_or(|parent| task.parent == Some(parent))
        && query.failure.is_none_or(|reason| failure == Some(reason))
        && query.after.is_none_or(|after| record.created_at >= after)
        && query.before.is_none_or(|before| record.created_at < before)
        && query.min_cost_usd_micros.is_none_or(|cost| record.usage.cost_usd_micros.unwrap_or(0) >= cost)
}

pub(super) fn each_filter_finds_what_it_names(place: &dyn HistoryPlace) {
    let history = place.open();
    let (events, kept) = lives(300, 3);
    for piece in events.chunks(100) {
        feed(&*history, piece.to_vec(), &kept);
    }
    let all = history.list(&Query::default()).expect("lists").tasks;
    assert_eq!(all.len(), 300);
    let name = samples::name;
    let some_time = all[150].created_at;
    let queries = [
        Query { states: vec![State::Succeeded], ..Query::default() },
        Query { states: vec![State::Queued, State::Failed, State::Waiting], ..Query::default() },
        Query { groups: vec![name("red")], ..Query::default() },
        Query { groups: vec![name("red"), name("blue")], states: vec![State::Cancelled], ..Query::default() },
        Query { visible: Some(vec![name("blue")]), ..Query::default() },
        Query { visible: Some(vec![]), ..Query::default() },
        Query { groups: vec![name("red")], visible: Some(vec![name("blue")]), ..Query::default() },
        Query { groups: vec![name("unheard-of")], ..Query::default() },
        Query { runner: Some(name("mock")), ..Query::default() },
        Query { runner: Some(name("codex")), ..Query::default() },
        Query { labels: vec![(name("shard"), name("2"))], ..Query::default() },
        Query { labels: vec![(name("shard"), name("2")), (name("shard"), name("3"))], ..Query::default() },
        Query { name: Some("Job 10".to_owned()), ..Query::default() },
        Query { name: Some("job 10".to_owned()), ..Query::default() },
        Query { task_type: Some(name("generic")), groups: vec![name("default")], ..Query::default() },
        Query { task_type: Some(name("analysis")), ..Query::default() },
        Query { created_by: Some(name("alice")), states: vec![State::Running], ..Query::default() },
        Query { created_by: Some(name("bob")), ..Query::default() },
        Query { failure: Some(FailureReason::ExitCode), ..Query::default() },
        Query { failure: Some(FailureReason::Dependency), ..Query::default() },
        Query { after: Some(some_time), ..Query::default() },
        Query { before: Some(some_time), ..Query::default() },
        Query { after: Some(some_time), before: Some(some_time.after(3_600_000)), ..Query::default() },
        Query { after: Some(Wall(i64::MAX)), ..Query::default() },
        Query { before: Some(Wall(i64::MIN)), ..Query::default() },
        Query { min_cost_usd_micros: Some(10), ..Query::default() },
    ];
    let mut seen = HashSet::new();
    for query in queries {
        let mut expected: Vec<TaskRecord> =
            all.iter().filter(|record| fits(record, &query)).cloned().collect();
        assert_eq!(history.list(&query).expect("lists").tasks, expected, "{query:?}");
        seen.insert(expected.len());
        expected.reverse();
        let oldest = Query { sort: Sort::Oldest, ..query.clone() };
        assert_eq!(history.list(&oldest).expect("lists").tasks, expected, "{oldest:?}");
        let paged = Query { limit: 7, ..query };
        assert_eq!(pages(&*history, paged.clone(), |_| {}).len(), expected.len(), "{paged:?}");
    }
    assert!(seen.len() > 10, "the queries tell tasks apart");
}

/// Lists page by page; `between` runs after each.
fn pages(history: &dyn History, mut query: Query, between: impl Fn(&dyn History)) -> Vec<u128> {
    let mut found = Vec::new();
    loop {
        let page = history.list(&query).expect("lists");
        assert!(page.tasks.len() <= query.limit);
        found.extend(ids(&page.tasks));
        between(history);
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return found,
        }
    }
}

pub(super) fn pages_show_each_task_once_while_others_arrive(place: &dyn HistoryPlace) {
    let history = place.open();
    tell(&*history, (1..=25).map(submitted));
    let arrive = |history: &dyn History| {
        let next = u128::from(history.applied().0) + 1;
        tell(history, [submitted(next), finished(next, Outcome::Succeeded)]);
    };
    let query = Query { limit: 10, ..Query::default() };
    assert_eq!(pages(&*history, query, arrive), (1..=25).rev().collect::<Vec<_>>());
    let exact = Query { limit: 10, states: vec![State::Queued], ..Query::default() };
    assert_eq!(pages(&*history, exact, arrive), (1..=25).rev().collect::<Vec<_>>());
    let huge = Query { limit: usize::MAX, ..Query::default() };
    assert!(history.list(&huge).expect("lists").tasks.len() <= crate::history::MAX_PAGE);
}

pub(super) fn the_dearest_come_first_when_asked(place: &dyn HistoryPlace) {
    let history = place.open();
    tell(&*history, (1..=6).map(submitted));
    for (id, cost) in [(1, Some(5)), (2, None), (3, Some(9)), (4, Some(5)), (6, Some(0))] {
        tell(&*history, [assigned(id, 1), ended(id, 1, AttemptEnd::Succeeded, cost)]);
        tell(&*history, [finished(id, Outcome::Succeeded)]);
    }
    let query = Query { sort: Sort::Cost, ..Query::default() };
    let expected = [3, 4, 1, 6, 5, 2];
    assert_eq!(list(&*history, &query), expected);
    for limit in 1..=7 {
        let query = Query { limit, ..query.clone() };
        assert_eq!(pages(&*history, query, |_| {}), expected, "in pages of {limit}");
    }
    let query = Query { states: vec![State::Succeeded], ..query };
    assert_eq!(list(&*history, &query), [3, 4, 1, 6, 2]);
}

pub(super) fn a_cursor_of_another_list_is_refused(place: &dyn HistoryPlace) {
    let history = place.open();
    tell(&*history, (1..=3).map(submitted));
    for text in ["", "n", "o1", "n-1", "nx", "c1.2", "n1;DROP TABLE tasks", "n99999999999999999999"] {
        let query = Query { cursor: Some(Cursor(text.to_owned())), ..Query::default() };
        let refused = history.list(&query);
        assert!(matches!(refused, Err(Error::Cursor)), "{text}: {refused:?}");
    }
}

pub(super) fn text_is_found_whatever_its_case(place: &dyn HistoryPlace) {
    let history = place.open();
    let mut kept = Kept::default();
    let payloads = [
        r#"{"prompt":"Größe ÄNDERN 100% of_it"}"#.to_owned(),
        r#"{"command":["cargo","test","--all"],"env":{"SECRET":"hidden"}}"#.to_owned(),
        "not json".to_owned(),
        format!(r#"{{"prompt":"{}needle"}}"#, "é".repeat(600_000)),
    ];
    for (id, payload) in (1..).zip(payloads) {
        kept.0.insert(TaskId(id).into(), payload.into_bytes());
    }
    let mut named = samples::plain_task(3);
    named.name = Some("Nightly Build".into());
    let tasks = [samples::plain_task(1), samples::plain_task(2), named, samples::plain_task(4)];
    let events = tasks.map(|task| Event { at: Wall(1), kind: submitted_with(task) });
    feed(&*history, events.to_vec(), &kept);
    let found = |text: &str| list(&*history, &Query { text: Some(text.to_owned()), ..Query::default() });
    assert_eq!(found("größe änd"), [1]);
    assert_eq!(found("GRÖSSE"), [] as [u128; 0], "letters are compared, not spellings");
    assert_eq!(found("100% OF_IT"), [1], "no character stands for others");
    assert_eq!(found("100_"), [] as [u128; 0]);
    assert_eq!(found("Cargo Test"), [2]);
    assert_eq!(found("hidden"), [] as [u128; 0], "only prompt, command and name are searched");
    assert_eq!(found("nightly"), [3]);
    assert_eq!(found("needle"), [] as [u128; 0], "only the beginning is searched");
    assert_eq!(found("éé"), [4]);
    assert_eq!(found(""), [4, 3, 2, 1], "no text asks for nothing");
}
