//! Taking events in: folded in memory, written in one transaction.

use std::collections::HashMap;

use conductor_core::{EventKind, Name, Seq, TaskId};
use rusqlite::Connection;

use super::audit;
use super::deliveries;
use super::row::{self, Reading, Trouble};
use super::spans;
use crate::history::fold::{Change, Fold};
use crate::history::{Error, State, Tally};
use crate::log::{LogId, PayloadKey, Payloads, Stretch};

/// The beginnings of what was submitted, by task.
pub(super) type Excerpts = HashMap<TaskId, String>;

/// Reads what of the stretch's tasks can be searched.
pub(super) fn excerpts(stretch: &Stretch, after: Seq, payloads: &dyn Payloads) -> Result<Excerpts, Error> {
    let tasks: Vec<TaskId> = stretch
        .numbered()
        .filter(|(seq, _)| *seq > after)
        .filter_map(|(_, event)| {
            let EventKind::TaskSubmitted { task, .. } = &event.kind else { return None };
            Some(task.id)
        })
        .collect();
    let keys: Vec<PayloadKey> = tasks.iter().map(|task| PayloadKey::from(*task)).collect();
    let mut found = HashMap::with_capacity(keys.len());
    payloads
        .visit_payloads(&keys, &mut |place, bytes| {
            found.insert(tasks[place], row::excerpt(bytes));
        })
        .map_err(Error::Payloads)?;
    Ok(found)
}

/// Takes in what of the stretch comes after `after`, and answers what it adds up to. Runs inside a transaction.
pub(super) fn apply(
    connection: &Connection,
    log: LogId,
    stretch: &Stretch,
    after: Seq,
    excerpts: &Excerpts,
) -> Result<Tally, Trouble> {
    let mut fold = Fold::default();
    let mut reading = Reading::new(connection);
    for (seq, event) in stretch.numbered().filter(|(seq, _)| *seq > after) {
        fold.apply(seq, event, &mut reading)?;
    }
    for ((hour, group), sums) in &fold.hours() {
        spans::write_hour(connection, *hour, group, sums)?;
    }
    deliveries::write(connection, &fold.told)?;
    write_tasks(connection, fold.tasks, excerpts)?;
    spans::write_minutes(connection, &fold.minutes)?;
    audit::write(connection, &fold.audit)?;
    for (agent, name) in &fold.agents {
        let id = agent.0.to_be_bytes();
        match name {
            Some(name) => connection
                .prepare_cached("INSERT OR REPLACE INTO agents (id, name) VALUES (?1, ?2)")?
                .execute((id, name.as_str()))?,
            None => connection.prepare_cached("DELETE FROM agents WHERE id = ?1")?.execute([id])?,
        };
    }
    connection
        .prepare_cached("UPDATE progress SET log_id = ?1, applied = ?2 WHERE id = 0")?
        .execute((log.0.to_be_bytes(), stretch.last().0.cast_signed()))?;
    Ok(fold.tally)
}

fn write_tasks(
    connection: &Connection,
    tasks: HashMap<TaskId, Change>,
    excerpts: &Excerpts,
) -> rusqlite::Result<()> {
    let mut places: HashMap<(Name, State), i64> = HashMap::new();
    // In the order of their numbers the rows of new tasks go to the table's end.
    let mut changes: Vec<(Seq, TaskId, Change)> = tasks
        .into_iter()
        .map(|(id, change)| {
            let seq = match &change {
                Change::New(record) | Change::Changed { record, .. } => record.submitted_seq,
                Change::Deleted { .. } | Change::Unknown => Seq(0),
            };
            (seq, id, change)
        })
        .collect();
    changes.sort_unstable_by_key(|(seq, ..)| *seq);
    for (_, id, change) in changes {
        match change {
            Change::New(record) => {
                row::insert(connection, &record, excerpts.get(&id).map_or("", String::as_str))?;
                *places.entry((record.task.group, record.state)).or_default() += 1;
            }
            Change::Changed { record, before } => {
                row::update(connection, &record, before)?;
                if before != record.state {
                    *places.entry((record.task.group.clone(), before)).or_default() -= 1;
                    *places.entry((record.task.group, record.state)).or_default() += 1;
                }
            }
            Change::Deleted { before: Some((record, before)) } => {
                row::delete(connection, &record)?;
                deliveries::delete(connection, id)?;
                *places.entry((record.task.group, before)).or_default() -= 1;
            }
            Change::Deleted { before: None } => deliveries::delete(connection, id)?,
            Change::Unknown => {}
        }
    }
    for ((group, state), change) in places {
        connection
            .prepare_cached(
                "INSERT INTO places (grp, state, tasks) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET tasks = tasks + excluded.tasks",
            )?
            .execute((group.as_str(), row::state_number(state), change))?;
    }
    Ok(())
}
