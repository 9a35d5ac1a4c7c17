//! What may be let in now, and what was counted. Written by the watchers of disk and History, read by the engine before it
//! decides.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use conductor_core::Volume;
use conductor_protocol::{Code, Problem};
use tokio::sync::Notify;

use crate::engine::Cause;
use crate::measure::Appends;

/// Events that History may be behind before submits are refused.
pub(crate) const MAX_HISTORY_LAG: u64 = 4_000_000;

/// What may be let in now.
#[derive(Debug, Default)]
pub struct Gate {
    no_room: AtomicBool,
    log_away: AtomicBool,
    unreachable: AtomicBool,
    /// The volume below its floor of free space, as [`number`] has it.
    lacking: AtomicU8,
    lacking_changed: Notify,
    history_lag: AtomicU64,
    draining: AtomicBool,
    pub(crate) counters: Counters,
}

/// Counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) batches: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) appends: Appends,
}

impl Gate {
    /// Says why the log did not take its last batch, or that it did.
    pub(crate) fn writing(&self, trouble: Option<Cause>) {
        self.no_room.store(trouble == Some(Cause::NoSpace), Ordering::Relaxed);
        self.log_away.store(trouble == Some(Cause::Away), Ordering::Relaxed);
    }

    /// Says whether the log can be reached.
    pub(crate) fn reach(&self, reachable: bool) {
        if self.unreachable.swap(!reachable, Ordering::Relaxed) == reachable {
            if reachable {
                tracing::info!("the event log can be reached again");
            } else {
                tracing::error!("the event log cannot be reached; submits are refused");
            }
        }
    }

    /// Says which volume has less free space than it must.
    pub(crate) fn floor(&self, lacking: Option<Volume>) {
        if self.lacking.swap(number(lacking), Ordering::Relaxed) == number(lacking) {
            return;
        }
        match lacking {
            Some(volume) => tracing::error!(
                "the {volume} volume is below its floor of free space; submits are refused and nothing starts"
            ),
            None => tracing::info!("the state and the workspace volume have room again"),
        }
        self.lacking_changed.notify_one();
    }

    /// The volume that has less free space than it must.
    pub(crate) fn lacking(&self) -> Option<Volume> {
        [Volume::State, Volume::Workspace]
            .into_iter()
            .find(|volume| number(Some(*volume)) == self.lacking.load(Ordering::Relaxed))
    }

    /// Waits until [`Gate::lacking`] answers something else; for the engine alone.
    pub(crate) async fn lacking_changes(&self) {
        self.lacking_changed.notified().await;
    }

    /// Says how many events History is behind.
    pub(crate) fn lag(&self, events: u64) {
        self.history_lag.store(events, Ordering::Relaxed);
    }

    /// Says whether nothing new is to be let in because the end is near.
    pub(crate) fn drain(&self, draining: bool) {
        self.draining.store(draining, Ordering::Relaxed);
    }

    /// How many events History is behind.
    pub(crate) fn history_lag(&self) -> u64 {
        self.history_lag.load(Ordering::Relaxed)
    }

    /// Whether submits are refused for want of space.
    pub(crate) fn is_storage_full(&self) -> bool {
        self.no_room.load(Ordering::Relaxed) || self.lacking().is_some()
    }

    /// Whether nothing new is let in because the end is near.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Lets a submit in, or says why not.
    pub(crate) fn admit(&self) -> Result<(), Problem> {
        if self.no_room.load(Ordering::Relaxed) {
            return Err(crate::refusal::storage_full(Volume::State));
        }
        if let Some(volume) = self.lacking() {
            return Err(crate::refusal::storage_full(volume));
        }
        if self.log_away.load(Ordering::Relaxed) || self.unreachable.load(Ordering::Relaxed) {
            return Err(crate::refusal::log_away());
        }
        if self.is_draining() {
            return Err(Problem::new(Code::Unavailable, "the orchestrator is stopping").retry_after(5));
        }
        if self.history_lag() > MAX_HISTORY_LAG {
            let detail = format!("the history is more than {MAX_HISTORY_LAG} events behind");
            return Err(Problem::new(Code::QueueFull, detail).retry_after(5));
        }
        Ok(())
    }
}

fn number(lacking: Option<Volume>) -> u8 {
    match lacking {
        None => 0,
        Some(Volume::State) => 1,
        Some(Volume::Workspace) => 2,
    }
}
