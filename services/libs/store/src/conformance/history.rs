//! What every History does.

use std::collections::HashSet;
use std::sync::Arc;

use conductor_core::{
    AgentId, AttemptEnd, CancelReason, Event, EventKind, Failure, FailureReason, Outcome, Profile, Question,
    Report, RequestId, Requeue, Seq, Standing, TaskId, Usage, Wall,
};

use super::life::{Kept, lives};
use super::samples;
use crate::history::{
    AttemptState, AuditQuery, Cursor, Error, History, Query, Sort, State, StatsQuery, TaskRecord,
};
use crate::log::{LogId, Payloads, Stretch};

/// Where one History can be kept and opened again; a new one is empty.
pub trait HistoryPlace {
    /// Opens the History that is kept here. The one that was opened before is closed by then.
    fn open(&self) -> Arc<dyn History>;
}

type Case = (&'static str, fn(&dyn HistoryPlace));

const CASES: &[Case] = &[
    ("an_empty_history_has_nothing", an_empty_history_has_nothing),
    ("a_life_is_told_as_it_was", a_life_is_told_as_it_was),
    ("a_question_shows_until_it_is_answered", a_question_shows_until_it_is_answered),
    ("events_count_once_however_often_they_come", events_count_once_however_often_they_come),
    ("events_that_do_not_follow_are_refused", events_that_do_not_follow_are_refused),
    ("what_was_applied_is_there_after_a_restart", what_was_applied_is_there_after_a_restart),
    ("each_filter_finds_what_it_names_and_nothing_else", each_filter_finds_what_it_names),
    ("pages_show_each_task_once_while_others_arrive", pages_show_each_task_once_while_others_arrive),
    ("the_dearest_come_first_when_asked", the_dearest_come_first_when_asked),
    ("a_cursor_of_another_list_is_refused", a_cursor_of_another_list_is_refused),
    ("text_is_found_whatever_its_case", text_is_found_whatever_its_case),
    ("statistics_add_up", statistics_add_up),
    ("deleted_tasks_are_gone_and_their_audit_stays", deleted_tasks_are_gone_and_their_audit_stays),
    ("those_that_ended_first_are_listed_first", those_that_ended_first_are_listed_first),
    ("the_audit_tells_who_did_what", the_audit_tells_who_did_what),
    ("a_closed_history_answers", a_closed_history_answers),
];

/// Runs the whole suite; `make` makes a new place for each case.
///
/// # Panics
/// When a case does not hold.
pub fn history<P: HistoryPlace>(make: impl Fn() -> P) {
    for (name, case) in CASES {
        eprintln!("history: {name}");
        case(&make());
    }
    eprintln!("history: however_events_are_cut_the_records_are_the_same");
    however_events_are_cut_the_records_are_the_same(make);
}

const LOG: LogId = LogId(1);

fn feed(history: &dyn History, events: Vec<Event>, payloads: &dyn Payloads) {
    let stretch = Stretch { first: history.applied().next(), events };
    let last = stretch.last();
    assert_eq!(history.apply(LOG, &stretch, payloads).expect("events are applied"), last);
    assert_eq!(history.applied(), last);
}

fn tell(history: &dyn History, kinds: impl IntoIterator<Item = EventKind>) {
    let from = i64::try_from(history.applied().0).expect("a small number");
    let events = kinds
        .into_iter()
        .zip(from..)
        .map(|(kind, number)| Event { at: Wall(1_000 * (number + 1)), kind })
        .collect();
    feed(history, events, &Kept::default());
}

fn submitted(id: u128) -> EventKind {
    submitted_with(samples::plain_task(id))
}

fn submitted_with(task: conductor_core::NewTask) -> EventKind {
    let standing = Standing::Queued { queued_at: Wall(1) };
    EventKind::TaskSubmitted { task: Box::new(task), standing, key: None, by: samples::actor() }
}

fn assigned(id: u128, attempt: u32) -> EventKind {
    let lease = samples::lease(attempt.into());
    let runner = samples::name("claude");
    EventKind::TaskAssigned { task: TaskId(id), agent: AgentId(7), lease, attempt, runner }
}

fn ended(id: u128, attempt: u32, end: AttemptEnd, cost: Option<u64>) -> EventKind {
    let usage =
        Usage { input_tokens: 10, output_tokens: 5, cost_usd_micros: cost, turns: 1, ..Usage::default() };
    let report = Report {
        exit_code: Some(3),
        simulated: true,
        usage,
        result_json: Some(format!(r#"{{"summary":"attempt {attempt}"}}"#).into()),
    };
    EventKind::AttemptEnded {
        task: TaskId(id),
        lease: samples::lease(attempt.into()),
        end,
        report: Box::new(report),
    }
}

fn finished(id: u128, outcome: Outcome) -> EventKind {
    EventKind::TaskFinished { task: TaskId(id), outcome, by: None }
}

fn record(history: &dyn History, id: u128) -> TaskRecord {
    let found = history.tasks(&[TaskId(id)]).expect("reads").pop().expect("one answer for one id");
    found.expect("the task is known")
}

fn ids(tasks: &[TaskRecord]) -> Vec<u128> {
    tasks.iter().map(|record| record.task.id.0).collect()
}

fn list(history: &dyn History, query: &Query) -> Vec<u128> {
    ids(&history.list(query).expect("lists").tasks)
}

fn an_empty_history_has_nothing(place: &dyn HistoryPlace) {
    let history = place.open();
    assert_eq!((history.applied(), history.log()), (Seq(0), None));
    assert_eq!(history.sync().expect("syncs"), Seq(0));
    assert_eq!(history.tasks(&[TaskId(1)]).expect("reads"), [None]);
    let page = history.list(&Query::default()).expect("lists");
    assert_eq!((page.tasks.len(), page.next, page.as_of), (0, None, Seq(0)));
    let stats = history.stats(&StatsQuery::default()).expect("adds up");
    assert_eq!(stats.states, State::ALL.map(|state| (state, 0)));
    assert!(stats.hours.is_empty());
}

fn a_life_is_told_as_it_was(place: &dyn HistoryPlace) {
    let history = place.open();
    let failure = Failure::new(FailureReason::ExitCode, "it ended with 3");
    let joined = EventKind::AgentJoined { profile: Box::new(Profile { ..samples::profile() }) };
    tell(&*history, [joined, submitted_with(samples::full_task(9))]);
    let queued = record(&*history, 9);
    assert_eq!(
        (queued.state, queued.queued_at, queued.submitted_seq),
        (State::Queued, Some(Wall(1)), Seq(2))
    );
    assert_eq!((queued.created_at, &queued.task), (Wall(2_000), &samples::full_task(9)));
    assert_eq!(queued.created_by, samples::actor());
    tell(&*history, [assigned(9, 1)]);
    let running = record(&*history, 9);
    assert_eq!((running.state, running.started_at), (State::Running, None));
    assert_eq!(running.attempts[0].agent, samples::name("builder-1"), "an agent is told by its name");
    assert_eq!(running.attempts[0].state, AttemptState::Running);
    tell(
        &*history,
        [
            EventKind::TaskStarted { task: TaskId(9), lease: samples::lease(1) },
            ended(9, 1, AttemptEnd::Failed(failure.clone()), Some(7)),
            EventKind::TaskRequeued {
                task: TaskId(9),
                cause: Requeue::Backoff,
                ready_at: Some(Wall(77)),
                queued_at: Wall(5),
            },
        ],
    );
    let resting = record(&*history, 9);
    assert_eq!((resting.state, resting.scheduled_at), (State::Scheduled, Some(Wall(77))));
    assert_eq!(resting.attempts[0].state, AttemptState::Failed(failure));
    assert_eq!(resting.attempts[0].finished_at, Some(Wall(5_000)));
    tell(
        &*history,
        [
            EventKind::TaskFreed { task: TaskId(9), standing: Standing::Queued { queued_at: Wall(6) } },
            assigned(9, 2),
            ended(9, 2, AttemptEnd::Succeeded, None),
            finished(9, Outcome::Succeeded),
        ],
    );
    let over = record(&*history, 9);
    assert_eq!((over.state, over.outcome), (State::Succeeded, Some(Outcome::Succeeded)));
    assert_eq!(
        (over.started_at, over.finished_at, over.scheduled_at),
        (Some(Wall(4_000)), Some(Wall(10_000)), None)
    );
    assert_eq!(over.attempts.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((over.usage.input_tokens, over.usage.turns, over.usage.cost_usd_micros), (20, 2, Some(7)));
    assert_eq!(over.result_json.as_deref(), Some(r#"{"summary":"attempt 2"}"#));
    assert_eq!((over.ran_on, over.simulated, over.seq), (Some(samples::name("claude")), true, Seq(10)));
}

fn a_question_shows_until_it_is_answered(place: &dyn HistoryPlace) {
    let history = place.open();
    let question = Question { request_id: RequestId(3), detail_json: "{}".into() };
    let asked = EventKind::TaskAsked {
        task: TaskId(1),
        lease: samples::lease(1),
        question: question.clone(),
        timeout_left_ms: 5,
        expires_at: Wall(99),
    };
    tell(&*history, [submitted(1), assigned(1, 1), asked]);
    let waiting = record(&*history, 1);
    assert_eq!(waiting.state, State::Waiting);
    let shown = waiting.waiting.expect("the question shows");
    assert_eq!((shown.question, shown.since, shown.expires_at), (question, Wall(3_000), Wall(99)));
    let by = samples::actor();
    tell(&*history, [EventKind::TaskAnswered { task: TaskId(1), answer_json: "1".into(), by }]);
    let running = record(&*history, 1);
    assert_eq!((running.state, running.waiting), (State::Running, None));
}

fn events_count_once_however_often_they_come(place: &dyn HistoryPlace) {
    let history = place.open();
    let (events, kept) = lives(20, 1);
    let whole = Stretch { first: Seq(1), events };
    let half = Stretch { first: Seq(1), events: whole.events[..whole.events.len() / 2].to_vec() };
    history.apply(LOG, &half, &kept).expect("applies");
    history.apply(LOG, &half, &kept).expect("the same again is passed over");
    history.apply(LOG, &whole, &kept).expect("what is new of it is applied");
    history.apply(LOG, &half, &kept).expect("what is old is passed over");
    assert_eq!(history.applied(), whole.last());
    let stats = history.stats(&StatsQuery::default()).expect("adds up");
    assert_eq!(stats.states.iter().map(|(_, count)| count).sum::<u64>(), 20);
    assert_eq!(stats.hours.iter().map(|hour| hour.submitted).sum::<u64>(), 20);
}

fn events_that_do_not_follow_are_refused(place: &dyn HistoryPlace) {
    let history = place.open();
    tell(&*history, [submitted(1), submitted(2)]);
    let event = samples::submitted(3, Wall(0));
    let gap = Stretch { first: Seq(4), events: vec![event.clone()] };
    let refused = history.apply(LOG, &gap, &Kept::default());
    assert!(matches!(refused, Err(Error::Sequence { first: Seq(4), applied: Seq(2) })), "{refused:?}");
    let next = Stretch { first: Seq(3), events: vec![event] };
    let refused = history.apply(LogId(2), &next, &Kept::default());
    assert!(matches!(refused, Err(Error::OtherLog { .. })), "{refused:?}");
    assert_eq!(history.applied(), Seq(2));
    history.apply(LOG, &next, &Kept::default()).expect("what follows is applied");
}

fn what_was_applied_is_there_after_a_restart(place: &dyn HistoryPlace) {
    let history = place.open();
    tell(&*history, [submitted(1), submitted(2)]);
    assert_eq!(history.durable(), Seq(0), "nobody asked for it yet");
    assert_eq!(history.sync().expect("syncs"), Seq(2));
    assert_eq!(history.durable(), Seq(2));
    tell(&*history, [submitted(3)]);
    assert_eq!((history.applied(), history.durable()), (Seq(3), Seq(2)));
    history.close();
    let history = place.open();
    assert_eq!((history.applied(), history.log()), (Seq(3), Some(LOG)));
    assert_eq!(history.sync().expect("syncs"), Seq(3));
    assert_eq!(history.durable(), Seq(3));
    assert_eq!(list(&*history, &Query::default()), [3, 2, 1]);
}

fn however_events_are_cut_the_records_are_the_same<P: HistoryPlace>(make: impl Fn() -> P) {
    let (events, kept) = lives(60, 7);
    let told = |size: usize| {
        let place = make();
        let history = place.open();
        for piece in events.chunks(size) {
            feed(&*history, piece.to_vec(), &kept);
        }
        let tasks = history.list(&Query::default()).expect("lists").tasks;
        let stats = history.stats(&StatsQuery::default()).expect("adds up");
        (tasks, stats, history.ended_before(Wall(i64::MAX), usize::MAX).expect("lists"))
    };
    let at_once = told(events.len());
    assert_eq!(at_once.0.len(), 60);
    for size in [1, 7, 50] {
        assert_eq!(told(size), at_once, "in pieces of {size}");
    }
}

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
        && query.failure.is_none_or(|reason| failure == Some(reason))
        && query.after.is_none_or(|after| record.created_at >= after)
        && query.before.is_none_or(|before| record.created_at < before)
        && query.min_cost_usd_micros.is_none_or(|cost| record.usage.cost_usd_micros.unwrap_or(0) >= cost)
}

fn each_filter_finds_what_it_names(place: &dyn HistoryPlace) {
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

fn pages_show_each_task_once_while_others_arrive(place: &dyn HistoryPlace) {
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

fn the_dearest_come_first_when_asked(place: &dyn HistoryPlace) {
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

fn a_cursor_of_another_list_is_refused(place: &dyn HistoryPlace) {
    let history = place.open();
    tell(&*history, (1..=3).map(submitted));
    for text in ["", "n", "o1", "n-1", "nx", "c1.2", "n1;DROP TABLE tasks", "n99999999999999999999"] {
        let query = Query { cursor: Some(Cursor(text.to_owned())), ..Query::default() };
        let refused = history.list(&query);
        assert!(matches!(refused, Err(Error::Cursor)), "{text}: {refused:?}");
    }
}

fn text_is_found_whatever_its_case(place: &dyn HistoryPlace) {
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

fn statistics_add_up(place: &dyn HistoryPlace) {
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

fn deleted_tasks_are_gone_and_their_audit_stays(place: &dyn HistoryPlace) {
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

fn those_that_ended_first_are_listed_first(place: &dyn HistoryPlace) {
    let history = place.open();
    tell(&*history, (1..=4).map(submitted));
    tell(&*history, [3, 1, 4].map(|id| finished(id, Outcome::Succeeded)));
    let ended = |before, limit| history.ended_before(Wall(before), limit).expect("lists");
    assert_eq!(ended(i64::MAX, 10), [3, 1, 4].map(TaskId));
    assert_eq!(ended(i64::MAX, 2), [3, 1].map(TaskId));
    assert_eq!(ended(7_000, 10), [3, 1].map(TaskId), "the third ended at 7 s, not before");
    assert_eq!(ended(0, 10), []);
}

fn the_audit_tells_who_did_what(place: &dyn HistoryPlace) {
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

fn a_closed_history_answers(place: &dyn HistoryPlace) {
    let history = place.open();
    tell(&*history, [submitted(1)]);
    history.close();
    assert!(history.tasks(&[TaskId(1)]).is_err());
    assert!(history.list(&Query::default()).is_err());
    assert!(history.sync().is_err());
    let stretch = Stretch { first: Seq(2), events: vec![samples::submitted(2, Wall(1))] };
    assert!(history.apply(LOG, &stretch, &Kept::default()).is_err());
    history.close();
}
