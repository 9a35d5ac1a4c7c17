//! How a worker comes to its end: a drain, a kill, the loss of its monitor or of its right to come back.

use std::time::Duration;

use conductor_protocol::agent::End;
use tokio::time::Instant;

use super::state::Worker;
use crate::runner;

/// How long the last reports may take to be acknowledged.
const ACKNOWLEDGE: Duration = Duration::from_secs(2);
/// How long runs may take to end beyond the grace of their processes.
const MARGIN: Duration = Duration::from_secs(15);
/// How long runs may take to end when nothing may hold the worker.
const AT_ONCE: Duration = Duration::from_secs(1);

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It was asked to, and every run ended in peace or was stopped.
    Drained,
    /// The orchestrator does not want it back.
    Revoked,
    /// It was told to end at once.
    Killed,
    /// Its monitor was gone.
    MonitorGone,
}

/// How far a worker is on its way to its end.
#[derive(Debug, Default)]
pub(super) struct Ending {
    exit: Option<Exit>,
    /// When runs are ended that have not ended by themselves.
    stop_at: Option<Instant>,
    /// When it leaves, whatever still runs.
    leave_at: Option<Instant>,
    /// When it leaves, whatever is not acknowledged; set when the last run is over.
    silent_at: Option<Instant>,
    /// Whether runs were ended because no orchestrator came back.
    orphaned: bool,
}

impl Ending {
    pub fn is_draining(&self) -> bool {
        self.exit.is_some()
    }

    /// There is an orchestrator again.
    pub fn found(&mut self) {
        self.orphaned = false;
    }
}

impl Worker {
    /// Takes no further tasks, waits for what runs, then leaves.
    pub fn drain(&mut self) {
        if self.ending.exit.is_none() {
            self.ending.exit = Some(Exit::Drained);
            self.ending.stop_at = Some(Instant::now() + self.settings.drain);
            self.messages.draining();
        }
    }

    /// Ends every run without grace and leaves.
    pub fn abandon(&mut self, exit: Exit) {
        self.ending.exit = Some(exit);
        self.ending.stop_at = None;
        self.ending.leave_at = Some(Instant::now() + AT_ONCE);
        self.messages.draining();
        self.identity.leave();
        for slot in self.runs.held() {
            let message = "the agent was ended while it worked on this".to_owned();
            self.end(slot, runner::End::Abandon, End::Crashed { message });
        }
    }

    /// Ends every run, of which nobody wants a report any more, and leaves.
    pub(super) fn revoked(&mut self) {
        self.ending.exit = Some(Exit::Revoked);
        self.ending.stop_at = None;
        self.ending.leave_at = Some(Instant::now() + self.settings.limits.grace + MARGIN);
        for slot in self.runs.held() {
            self.take_back(slot);
        }
    }

    fn stop_runs(&mut self) {
        for slot in self.runs.held() {
            self.end(slot, runner::End::Stop, End::Stopped);
        }
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> Option<Exit> {
        let exit = self.ending.exit?;
        let now = Instant::now();
        if self.ending.leave_at.is_some_and(|at| at <= now) {
            return Some(exit);
        }
        if !self.runs.is_empty() {
            return None;
        }
        let silent_at = *self.ending.silent_at.get_or_insert(now + ACKNOWLEDGE);
        let nothing_to_say = self.unacknowledged.is_empty() || !self.link.is_open();
        (nothing_to_say || silent_at <= now || exit == Exit::Revoked).then_some(exit)
    }

    /// When something is to be done though nothing happens.
    pub fn next_deadline(&self) -> Option<Instant> {
        let ending = &self.ending;
        [
            ending.stop_at,
            ending.leave_at,
            ending.silent_at,
            self.orphaned_at(),
            self.next_look(),
            self.next_offers(),
            self.next_room(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self) {
        let now = Instant::now();
        if self.ending.stop_at.is_some_and(|at| at <= now) {
            tracing::warn!("the drain took too long; what still runs is stopped");
            self.ending.stop_at = None;
            self.ending.leave_at = Some(now + self.settings.limits.grace + MARGIN);
            self.stop_runs();
        }
        if self.orphaned_at().is_some_and(|at| at <= now) {
            let seconds = self.settings.orphan_grace.as_secs();
            tracing::error!(seconds, "no orchestrator came back; what runs is stopped");
            self.ending.orphaned = true;
            self.stop_runs();
        }
        self.look_at_runs(now);
        self.look_at_offers(now);
        self.look_at_room(now);
    }

    fn orphaned_at(&self) -> Option<Instant> {
        let since = self.link.absent_since().filter(|_| !self.ending.orphaned && !self.runs.is_empty())?;
        Some(since + self.settings.orphan_grace)
    }
}
