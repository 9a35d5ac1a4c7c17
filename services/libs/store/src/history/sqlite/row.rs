//! Rows of tasks: what is searched for, and the record.

use std::borrow::Cow;

use conductor_core::{AgentId, CancelReason, FailureReason, Name, Outcome, TaskId};
use rusqlite::{Connection, OptionalExtension};
use serde::Deserialize;

use crate::history::fold::Source;
use crate::history::{Error, State, TaskRecord};
use crate::record::{self, Decoder};

/// Stands before and after each label, and between a label's name and value; no name holds them.
const LABEL_EDGE: char = '\u{1f}';
const LABEL_MIDDLE: char = '\u{1e}';

/// Bytes of a prompt or command that can be searched.
const MAX_SEARCH_BYTES: usize = 2_048;

/// The number that stands for a state in the file.
pub(super) fn state_number(state: State) -> i64 {
    match state {
        State::Blocked => 0,
        State::Scheduled => 1,
        State::Queued => 2,
        State::Running => 3,
        State::Waiting => 4,
        State::Succeeded => 5,
        State::Failed => 6,
        State::Cancelled => 7,
    }
}

/// The state that a number stands for.
pub(super) fn state_of(number: i64) -> Option<State> {
    State::ALL.into_iter().find(|state| state_number(*state) == number)
}

/// The number that stands for a reason in the file.
pub(super) fn failure_number(reason: FailureReason) -> i64 {
    match reason {
        FailureReason::ExitCode => 0,
        FailureReason::Timeout => 1,
        FailureReason::QueueTimeout => 2,
        FailureReason::Stalled => 3,
        FailureReason::CrashLimit => 4,
        FailureReason::Budget => 5,
        FailureReason::MaxTurns => 6,
        FailureReason::RateLimited => 7,
        FailureReason::Auth => 8,
        FailureReason::ContextOverflow => 9,
        FailureReason::NoResult => 10,
        FailureReason::VerifyFailed => 11,
        FailureReason::PushFailed => 12,
        FailureReason::Oom => 13,
        FailureReason::OutputLimit => 14,
        FailureReason::ProcessLimit => 15,
        FailureReason::DiskFull => 16,
        FailureReason::Dependency => 17,
        FailureReason::InvalidRequest => 18,
        FailureReason::WaitingTimeout => 19,
        FailureReason::InvalidWorkspace => 20,
        FailureReason::RunnerUnavailable => 21,
        FailureReason::RunnerError => 22,
        FailureReason::Internal => 23,
    }
}

/// The reason that a task shows: its own, or that of what it depended on.
fn failure(outcome: &Outcome) -> Option<FailureReason> {
    match outcome {
        Outcome::Succeeded => None,
        Outcome::Failed(failure) => Some(failure.reason),
        Outcome::Cancelled(CancelReason::Dependency(_)) => Some(FailureReason::Dependency),
        Outcome::Cancelled(CancelReason::Requested(_) | CancelReason::Parent(_) | CancelReason::Schedule) => {
            None
        }
    }
}

/// How a label is looked for.
pub(super) fn label_text(name: &Name, value: &Name) -> String {
    format!("{LABEL_EDGE}{name}{LABEL_MIDDLE}{value}{LABEL_EDGE}")
}

fn labels_text(labels: &[(Name, Name)]) -> String {
    labels.iter().map(|(name, value)| label_text(name, value)).collect()
}

/// What of a payload can be searched.
#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow, default)]
    prompt: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    command: Option<Vec<Cow<'a, str>>>,
}

/// The beginning of a payload's prompt or command. A payload that is not the JSON of a task has none.
pub(super) fn excerpt(payload: &[u8]) -> String {
    let Ok(asked) = serde_json::from_slice::<Asked<'_>>(payload) else { return String::new() };
    let mut text = String::new();
    for part in asked.prompt.iter().chain(asked.command.iter().flatten()) {
        let room = MAX_SEARCH_BYTES.saturating_sub(text.len());
        text.push_str(&part[..part.floor_char_boundary(room)]);
        text.push(' ');
    }
    text
}

fn search_text(name: Option<&str>, excerpt: &str) -> String {
    format!("{}\n{excerpt}", name.unwrap_or_default()).to_lowercase()
}

/// Writes the row of a task that was submitted.
pub(super) fn insert(connection: &Connection, record: &TaskRecord, excerpt: &str) -> rusqlite::Result<()> {
    let task = &record.task;
    let body = record::encode_task(record);
    connection
        .prepare_cached(
            "INSERT INTO tasks (seq, id, grp, state, created_at, finished_at, runner, ran_on, task_type, name,
                 created_by, failure, cost, labels, search, crc, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        )?
        .execute(rusqlite::params![
            record.submitted_seq.0.cast_signed(),
            task.id.0.to_be_bytes(),
            task.group.as_str(),
            state_number(record.state),
            record.created_at.0,
            record.finished_at.map(|at| at.0),
            task.runner.as_str(),
            record.ran_on.as_ref().map(Name::as_str),
            task.task_type.as_str(),
            task.name.as_deref(),
            record.created_by.name.as_str(),
            record.outcome.as_ref().and_then(failure).map(failure_number),
            cost(record),
            labels_text(&task.labels),
            search_text(task.name.as_deref(), excerpt),
            crc32fast::hash(&body),
            body,
        ])?;
    let Some(parent) = task.parent else { return Ok(()) };
    connection
        .prepare_cached("INSERT INTO children (parent, seq) VALUES (?1, ?2)")?
        .execute((parent.0.to_be_bytes(), record.submitted_seq.0.cast_signed()))
        .map(drop)
}

/// Removes the row of a task.
pub(super) fn delete(connection: &Connection, record: &TaskRecord) -> rusqlite::Result<()> {
    let seq = record.submitted_seq.0.cast_signed();
    connection.prepare_cached("DELETE FROM tasks WHERE seq = ?1")?.execute([seq])?;
    let Some(parent) = record.task.parent else { return Ok(()) };
    connection
        .prepare_cached("DELETE FROM children WHERE parent = ?1 AND seq = ?2")?
        .execute((parent.0.to_be_bytes(), seq))
        .map(drop)
}

/// Writes what changed in the row of a task. The state stands apart, since an index holds it.
pub(super) fn update(connection: &Connection, record: &TaskRecord, before: State) -> rusqlite::Result<()> {
    let seq = record.submitted_seq.0.cast_signed();
    let body = record::encode_task(record);
    let crc = crc32fast::hash(&body);
    let ran_on = record.ran_on.as_ref().map(Name::as_str);
    if before == record.state && record.outcome.is_none() {
        let sql = "UPDATE tasks SET ran_on = ?2, crc = ?3, body = ?4 WHERE seq = ?1";
        return connection.prepare_cached(sql)?.execute((seq, ran_on, crc, body)).map(drop);
    }
    connection
        .prepare_cached(
            "UPDATE tasks SET state = ?2, ran_on = ?3, finished_at = ?4, failure = ?5, cost = ?6, crc = ?7, body = ?8
             WHERE seq = ?1",
        )?
        .execute((
            seq,
            state_number(record.state),
            ran_on,
            record.finished_at.map(|at| at.0),
            record.outcome.as_ref().and_then(failure).map(failure_number),
            cost(record),
            crc,
            body,
        ))
        .map(drop)
}

fn cost(record: &TaskRecord) -> i64 {
    i64::try_from(record.usage.cost_usd_micros.unwrap_or(0)).unwrap_or(i64::MAX)
}

/// Reads records, and says which one is damaged.
pub(super) struct Reading<'a> {
    pub(super) connection: &'a Connection,
    pub(super) decoder: Decoder,
}

/// What can go wrong with a read: SQLite, or a record.
#[derive(Debug)]
pub(super) enum Trouble {
    Sqlite(rusqlite::Error),
    Record { place: String, what: String },
    Is(Error),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl<'a> Reading<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection, decoder: Decoder::default() }
    }

    /// The record of the task with such an id.
    pub(super) fn by_id(&mut self, id: TaskId) -> Result<Option<TaskRecord>, Trouble> {
        let mut find = self.connection.prepare_cached("SELECT seq, crc, body FROM tasks WHERE id = ?1")?;
        let mut rows = find.query([id.0.to_be_bytes()])?;
        rows.next()?.map(|row| read(row, &mut self.decoder)).transpose()
    }

    /// The record of the task that such an event submitted.
    pub(super) fn by_seq(&mut self, seq: i64) -> Result<Option<TaskRecord>, Trouble> {
        let mut find = self.connection.prepare_cached("SELECT seq, crc, body FROM tasks WHERE seq = ?1")?;
        let mut rows = find.query([seq])?;
        rows.next()?.map(|row| read(row, &mut self.decoder)).transpose()
    }
}

fn read(row: &rusqlite::Row<'_>, decoder: &mut Decoder) -> Result<TaskRecord, Trouble> {
    let place = |seq: i64| format!("the task that event {seq} submitted");
    let seq: i64 = row.get(0)?;
    let crc: u32 = row.get(1)?;
    let body = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
    if crc32fast::hash(body) != crc {
        return Err(Trouble::Record { place: place(seq), what: "its digest does not match".to_owned() });
    }
    decoder.task(body).map_err(|error| Trouble::Record { place: place(seq), what: error.to_string() })
}

impl Source for Reading<'_> {
    type Error = Trouble;

    fn task(&mut self, id: TaskId) -> Result<Option<TaskRecord>, Trouble> {
        self.by_id(id)
    }

    fn agent(&mut self, id: AgentId) -> Result<Option<Name>, Trouble> {
        let found: Option<String> = self
            .connection
            .prepare_cached("SELECT name FROM agents WHERE id = ?1")?
            .query_row([id.0.to_be_bytes()], |row| row.get(0))
            .optional()?;
        Ok(found.and_then(|name| Name::new(&name).ok()))
    }
}
