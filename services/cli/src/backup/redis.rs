//! Backups where the event log is in Redis: they hold a log in a file all the same, made from the state at the last event
//! that the copied history saw. No lease is taken, so that the orchestrator goes on.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use conductor_core::State;
use conductor_store::copy::{self, Copied};
use conductor_store::history::{self, History as _};
use conductor_store::log::transfer::Image;
use conductor_store::log::{LogId, PayloadKey, redis, sqlite};
use conductor_store::state_dir::StateDir;

use crate::exit::{Failure, chain};
use crate::migrate::{self, failed};

/// How often a copy is tried when the log is compacted, or tasks are deleted, meanwhile.
const TRIES: usize = 5;
/// How long the history may need to reach what was acknowledged.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two looks at it.
const PAUSE: Duration = Duration::from_millis(100);
/// Payloads that are asked for together.
const MAX_TOGETHER: usize = 128;

/// Copies log and history to `into`.
pub fn take(state: &Path, options: &redis::Options, into: &Path) -> Result<Copied, Failure> {
    apart(|| {
        let mut why = String::new();
        for _ in 0..TRIES {
            match attempt(state, options, into)? {
                Ok(copied) => return Ok(copied),
                Err(changed) => why = changed,
            }
            for file in [copy::LOG, copy::HISTORY] {
                drop(std::fs::remove_file(into.join(file)));
            }
        }
        Err(Failure::Failed(format!("the event log changed while it was copied, {TRIES} times: {why}")))
    })
}

/// Tries once. What changed meanwhile is no failure yet.
fn attempt(state: &Path, options: &redis::Options, into: &Path) -> Result<Result<Copied, String>, Failure> {
    let begun = redis::look(options).map_err(failed)?.status();
    reach(state, begun.last.0)?;
    let (followed, applied) = copy::take_history(state, into).map_err(failed)?;
    if followed != Some(begun.log) {
        return Err(Failure::Failed(
            "the history follows another event log than the one in Redis".to_owned(),
        ));
    }
    // Looked up after the history was copied, so that it holds all that the history saw.
    let log = redis::look(options).map_err(failed)?;
    let at_seq = match conductor_orchestrator::load_until(&*log, applied) {
        Ok(state) if state.seq() == applied => state,
        Ok(state) => return Ok(Err(format!("a snapshot of event {} came", state.seq()))),
        Err(error) => return Ok(Err(chain(&error))),
    };
    let live: Vec<PayloadKey> = at_seq.task_ids().map(PayloadKey::from).collect();
    for keys in live.chunks(MAX_TOGETHER) {
        if log.payloads(keys).map_err(failed)?.iter().any(Option::is_none) {
            return Ok(Err("a task was deleted".to_owned()));
        }
    }
    let dir = Arc::new(StateDir::lock(into).map_err(failed)?);
    let keys = keys(&dir, &at_seq)?;
    let image = Image { log: begun.log, fence: log.fence(), seq: applied };
    let mut parts = at_seq.parts();
    let mut payloads = migrate::payloads(&keys, &*log);
    sqlite::make(into, image, &mut parts, &mut payloads).map_err(failed)?;
    copy::check(into).map(Ok).map_err(failed)
}

/// Whose bodies there may be: those of all tasks that the history in a directory knows, and of the schedules.
fn keys(dir: &Arc<StateDir>, state: &State) -> Result<Vec<PayloadKey>, Failure> {
    let history = history::sqlite::open(dir).map_err(failed)?;
    let mut keys = migrate::listed(&history)?;
    history.close();
    keys.extend(state.schedules().map(|schedule| PayloadKey::from(schedule.id)));
    Ok(keys)
}

/// Waits until the history saw an event.
fn reach(state: &Path, seq: u64) -> Result<(), Failure> {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        let seen = copy::followed(state).map_err(failed)?;
        if seen.0 >= seq {
            return Ok(());
        }
        if std::time::Instant::now() > until {
            return Err(Failure::Failed(format!(
                "the history saw event {seen} and does not reach {seq}; is the orchestrator running?"
            )));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Puts the log of a directory of copies into Redis, where there is none, or in place of what is there. Only the history is
/// left in the directory.
pub fn put(from: &Path, options: &redis::Options, log: LogId, force: bool) -> Result<(), Failure> {
    apart(|| {
        let dir = Arc::new(StateDir::lock(from).map_err(failed)?);
        let file = migrate::open_file(&dir)?;
        let state = conductor_orchestrator::load(&*file).map_err(failed)?;
        let keys = keys(&dir, &state)?;
        if force {
            redis::clear(options).map_err(failed)?;
        }
        let image = Image { log, fence: file.fence(), seq: file.status().last };
        let (mut parts, mut payloads) = (state.parts(), migrate::payloads(&keys, &*file));
        redis::make(options, image, &mut parts, &mut payloads).map_err(failed)?;
        file.close();
        Ok(())
    })?;
    std::fs::remove_file(from.join(copy::LOG))?;
    drop(std::fs::remove_file(from.join(format!("{}-mark", copy::LOG))));
    Ok(())
}

/// Does what blocks on a thread that no async runtime is on.
fn apart<T: Send>(work: impl FnOnce() -> Result<T, Failure> + Send) -> Result<T, Failure> {
    std::thread::scope(|scope| {
        let ended = scope.spawn(work).join();
        ended.unwrap_or_else(|_| Err(Failure::Failed("the copying panicked".to_owned())))
    })
}
