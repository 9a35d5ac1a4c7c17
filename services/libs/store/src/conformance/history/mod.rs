//! What every History does.

mod deliveries;
mod lists;
mod sums;
mod trends;

use std::sync::Arc;

use conductor_core::{
    AgentId, AttemptEnd, Event, EventKind, Failure, FailureReason, Outcome, Profile, Question, Report,
    RequestId, Requeue, Seq, Standing, TaskId, Usage, Wall,
};

use super::life::{Kept, lives};
use super::samples;
use crate::history::{AttemptState, Error, History, Query, State, StatsQuery, TaskRecord};
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
    ("each_filter_finds_what_it_names_and_nothing_else", lists::each_filter_finds_what_it_names),
    ("pages_show_each_task_once_while_others_arrive", lists::pages_show_each_task_once_while_others_arrive),
    ("the_dearest_come_first_when_asked", lists::the_dearest_come_first_when_asked),
    ("a_cursor_of_another_list_is_refused", lists::a_cursor_of_another_list_is_refused),
    ("text_is_found_whatever_its_case", lists::text_is_found_whatever_its_case),
    ("statistics_add_up", sums::statistics_add_up),
    ("steps_of_time_add_up", trends::steps_of_time_add_up),
    ("only_visible_groups_are_in_the_steps", trends::only_visible_groups_are_in_the_steps),
    (
        "what_failures_cost_is_added_up_also_where_the_task_succeeds_later",
        trends::what_failures_cost_is_added_up_also_where_the_task_succeeds_later,
    ),
    ("old_minutes_stay_as_hours", trends::old_minutes_stay_as_hours),
    ("what_was_taken_in_is_tallied_by_runner", trends::what_was_taken_in_is_tallied_by_runner),
    ("what_was_told_of_a_task_goes_with_it", deliveries::what_was_told_of_a_task_goes_with_it),
    ("deleted_tasks_are_gone_and_their_audit_stays", sums::deleted_tasks_are_gone_and_their_audit_stays),
    ("those_that_ended_first_are_listed_first", sums::those_that_ended_first_are_listed_first),
    ("the_audit_tells_who_did_what", sums::the_audit_tells_who_did_what),
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
