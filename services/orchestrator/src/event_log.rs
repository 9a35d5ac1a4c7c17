//! The event log, opened where the configuration says that it is, and compared with what History saw.

use std::sync::Arc;

use conductor_core::{Seq, TaskId};
use conductor_store::history::{self, History, Query};
use conductor_store::log::redis::{self, OpenError};
use conductor_store::log::{EventLog, sqlite};
use conductor_store::state_dir::StateDir;

use crate::config::{Config, EventLogPlace};
use crate::start::StartError;

/// Missing tasks named when the log is behind what History saw.
const NAMED_TASKS: usize = 20;

/// Opens the log. Blocks.
pub(crate) fn open(config: &Config, state_dir: &Arc<StateDir>) -> Result<Arc<dyn EventLog>, StartError> {
    match &config.event_log {
        EventLogPlace::File => {
            let options = sqlite::Options {
                reserve_bytes: config.reserve_bytes,
                free_floor_bytes: config.free_floor_bytes,
            };
            Ok(Arc::new(sqlite::open(state_dir, &options)?))
        }
        EventLogPlace::Redis { url, require_fsync } => open_redis(url.reveal(), *require_fsync, state_dir),
    }
}

fn open_redis(
    url: &str,
    require_fsync: bool,
    state_dir: &Arc<StateDir>,
) -> Result<Arc<dyn EventLog>, StartError> {
    let options = redis::Options { require_fsync, ..redis::Options::new(url) };
    match redis::open(state_dir, &options) {
        Ok(log) => Ok(log),
        Err(error @ OpenError::Lost { last, .. }) => Err(lost(error, Seq(last), state_dir)),
        Err(error @ OpenError::Missing { .. }) => Err(lost(error, Seq(0), state_dir)),
        Err(error) => Err(error.into()),
    }
}

/// Says what a log lost that ends with `last`, task by task, as far as History knows them.
fn lost(source: OpenError, last: Seq, state_dir: &Arc<StateDir>) -> StartError {
    if !state_dir.path().join(history::sqlite::FILE).exists() {
        return source.into();
    }
    match name_lost(last, state_dir) {
        Ok(missing) => StartError::Lost { source, missing },
        Err(error) => {
            tracing::error!(error = &*error, "the history cannot name what was lost");
            source.into()
        }
    }
}

fn name_lost(
    last: Seq,
    state_dir: &Arc<StateDir>,
) -> Result<Vec<TaskId>, Box<dyn std::error::Error + Send + Sync>> {
    let history = history::sqlite::open(state_dir)?;
    let missing = submitted_after(&history, last);
    history.close();
    Ok(missing?)
}

/// The newest tasks that were submitted after an event, some of them.
fn submitted_after(history: &dyn History, last: Seq) -> Result<Vec<TaskId>, history::Error> {
    let newest = history.list(&Query { limit: NAMED_TASKS, ..Query::default() })?;
    let missing = newest.tasks.iter().filter(|record| record.submitted_seq > last);
    Ok(missing.map(|record| record.task.id).collect())
}

/// Refuses a log that lacks what History saw, and a history that belongs to another log.
pub(crate) fn check_not_behind(log: &dyn EventLog, history: &dyn History) -> Result<(), StartError> {
    let status = log.status();
    if let Some(followed) = history.log().filter(|followed| *followed != status.log) {
        return Err(StartError::OtherHistory {
            log: crate::log_id_text(status.log),
            history: crate::log_id_text(followed),
        });
    }
    let (last, seen) = (status.last, history.applied());
    if seen <= last {
        return check_follows(seen, status.first);
    }
    let missing = submitted_after(history, last)?;
    Err(StartError::Behind { log: last.0, history: seen.0, missing })
}

/// Refuses a history that can never catch up, because what it lacks is trimmed.
fn check_follows(seen: Seq, first: Seq) -> Result<(), StartError> {
    match seen.next() < first {
        true => Err(StartError::HistoryBehind { history: seen.0, first: first.0 }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_that_can_never_catch_up_is_refused() {
        assert!(check_follows(Seq(0), Seq(1)).is_ok(), "both are new");
        assert!(check_follows(Seq(40), Seq(41)).is_ok(), "the log goes on where the history ends");
        let refused = check_follows(Seq(39), Seq(41)).expect_err("event 40 is nowhere");
        assert!(refused.to_string().contains("up to 39"), "{refused}");
    }
}
