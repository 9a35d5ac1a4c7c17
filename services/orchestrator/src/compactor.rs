//! Snapshots, off the hot path: a thread replays snapshot and tail into a second machine and writes its parts. That costs
//! memory for a moment and no time of the engine, and proves with every snapshot that the log can be loaded.

use std::sync::Arc;
use std::time::Duration;

use conductor_core::{Seq, State};
use conductor_store::history::History;
use conductor_store::log::EventLog;

use conductor_runtime::lifecycle::Shutdown;

/// A snapshot is due when a start would have to apply so many events.
const TAIL_EVENTS: u64 = 500_000;
/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(5);

/// Why a state could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The log cannot be read or is damaged.
    #[error("failed to read the event log")]
    Read(#[from] conductor_store::log::ReadError),
    /// The snapshot does not make a state.
    #[error("failed to restore the snapshot up to event {seq}")]
    Restore {
        /// The last event that it holds.
        seq: Seq,
        /// Why.
        #[source]
        source: conductor_core::RestoreError,
    },
    /// An event does not follow on the state.
    #[error("failed to apply event {seq}")]
    Apply {
        /// Its number.
        seq: Seq,
        /// Why.
        #[source]
        source: conductor_core::ApplyError,
    },
}

/// Loads the state that a log holds.
///
/// # Errors
/// Says what is damaged; it never gives a state that lacks something.
pub fn load(log: &dyn EventLog) -> Result<State, LoadError> {
    load_until(log, log.status().last)
}

/// Loads the state as it was after an event; of a log whose snapshot is newer than that, the state of the snapshot.
///
/// # Errors
/// As [`load`].
pub fn load_until(log: &dyn EventLog, last: Seq) -> Result<State, LoadError> {
    let stored = log.load()?;
    let mut state = match stored.snapshot {
        Some((seq, parts)) => restore(seq, parts)?,
        None => State::default(),
    };
    for stretch in stored.tail {
        for (seq, event) in stretch?.numbered().take_while(|(seq, _)| *seq <= last) {
            state.apply(seq, event).map_err(|source| LoadError::Apply { seq, source })?;
        }
    }
    Ok(state)
}

fn restore(seq: Seq, parts: conductor_store::log::Parts) -> Result<State, LoadError> {
    let mut failed = None;
    let readable = parts.map_while(|part| match part {
        Ok(part) => Some(part),
        Err(error) => {
            failed = Some(error);
            None
        }
    });
    let restored = State::restore(readable);
    match failed {
        Some(error) => Err(LoadError::Read(error)),
        None => restored.map_err(|source| LoadError::Restore { seq, source }),
    }
}

/// Writes snapshots when they are due, and trims what they and History hold.
pub(crate) async fn run(log: Arc<dyn EventLog>, history: Arc<dyn History>, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.draining() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let status = log.status();
        if status.last.0 - status.snapshot.unwrap_or_default().0 < TAIL_EVENTS {
            continue;
        }
        let (log, history) = (log.clone(), history.clone());
        let done = tokio::task::spawn_blocking(move || compact(&*log, &*history)).await;
        match done {
            Ok(Ok((snapshot, first))) => tracing::info!(%snapshot, %first, "the event log was compacted"),
            Ok(Err(error)) => tracing::error!(error = &*error, "failed to compact the event log"),
            Err(_) => tracing::error!("the compaction panicked"),
        }
    }
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Writes a snapshot of all that is durable now, and trims.
fn compact(log: &dyn EventLog, history: &dyn History) -> Result<(Seq, Seq), AnyError> {
    let state = load(log)?;
    let seq = state.seq();
    let mut writer = log.begin_snapshot(seq)?;
    for part in state.parts() {
        writer.write(part)?;
    }
    writer.commit()?;
    drop(state);
    let first = log.trim(history.sync()?)?;
    Ok((seq, first))
}
