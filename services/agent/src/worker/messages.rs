//! What the worker has to say, gathered until the session can take it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use conductor_core::Lease;
use conductor_protocol::agent::{
    Asked, Finished, FromAgent, OutputLength, RunnerView, Spent, Started, Withdrawn,
};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

use super::runs::Runs;
use super::state::Worker;
use super::unacknowledged::weight;

/// How many results go in one message, and about how many bytes of them.
const MAX_FINISHED: usize = 1_000;
const MAX_FINISHED_BYTES: usize = 1 << 20;
/// How often it is told how long the outputs are, and what was spent.
pub(super) const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// The way to the orchestrator.
#[derive(Debug)]
pub(super) struct Link {
    outgoing: Option<mpsc::Sender<FromAgent>>,
    /// How many tasks the orchestrator may still send.
    granted: u32,
    /// Since when there is no session.
    absent_since: Option<Instant>,
}

impl Link {
    pub fn new(now: Instant) -> Self {
        Self { outgoing: None, granted: 0, absent_since: Some(now) }
    }

    pub fn open(&mut self, credits: u32) {
        self.outgoing = None;
        self.granted = credits;
    }

    pub fn welcomed(&mut self, outgoing: mpsc::Sender<FromAgent>) {
        self.outgoing = Some(outgoing);
        self.absent_since = None;
    }

    pub fn lost(&mut self, now: Instant) {
        self.outgoing = None;
        self.absent_since.get_or_insert(now);
    }

    pub fn hang_up(&mut self) {
        self.outgoing = None;
    }

    pub fn assigned(&mut self) {
        self.granted = self.granted.saturating_sub(1);
    }

    pub fn is_open(&self) -> bool {
        self.outgoing.is_some()
    }

    pub fn absent_since(&self) -> Option<Instant> {
        self.absent_since
    }
}

/// What there is to say on this connection.
#[derive(Debug)]
pub(super) struct Messages {
    started: Vec<Started>,
    finished: VecDeque<Lease>,
    asked: Vec<Asked>,
    withdrawn: Vec<Withdrawn>,
    output: BTreeMap<Lease, u64>,
    spent: BTreeMap<Lease, Spent>,
    draining: bool,
    runners: Vec<RunnerView>,
    disk_full: Option<bool>,
    /// When outputs are looked at next.
    next_look: Instant,
}

impl Default for Messages {
    fn default() -> Self {
        Self {
            started: Vec::new(),
            finished: VecDeque::new(),
            asked: Vec::new(),
            withdrawn: Vec::new(),
            output: BTreeMap::new(),
            spent: BTreeMap::new(),
            draining: false,
            runners: Vec::new(),
            disk_full: None,
            next_look: Instant::now(),
        }
    }
}

impl Messages {
    /// Begins with all that the orchestrator may have missed: saying it twice is harmless.
    pub fn begin(&mut self, runs: &Runs, finished: impl Iterator<Item = Lease>, draining: bool) {
        *self = Self {
            started: runs.started(),
            finished: finished.collect(),
            asked: runs.asked(),
            withdrawn: runs.withdrawn(),
            draining,
            ..Self::default()
        };
    }

    pub fn started(&mut self, lease: Lease) {
        self.started.push(Started { lease });
    }

    pub fn finished(&mut self, lease: Lease) {
        self.finished.push_back(lease);
    }

    pub fn asked(&mut self, asked: Option<Asked>) {
        self.asked.extend(asked);
    }

    pub fn withdrawn(&mut self, withdrawn: Option<Withdrawn>) {
        self.withdrawn.extend(withdrawn);
    }

    pub fn output(&mut self, lengths: impl IntoIterator<Item = OutputLength>) {
        self.output.extend(lengths.into_iter().map(|length| (length.lease, length.bytes)));
    }

    pub fn spent(&mut self, spent: impl IntoIterator<Item = Spent>) {
        self.spent.extend(spent.into_iter().map(|spent| (spent.lease, spent)));
    }

    pub fn draining(&mut self) {
        self.draining = true;
    }

    pub fn runners(&mut self, runners: Vec<RunnerView>) {
        self.runners = runners;
    }

    pub fn disk_full(&mut self, is_full: bool) {
        self.disk_full = Some(is_full);
    }

    fn is_empty(&self) -> bool {
        self.started.is_empty()
            && self.finished.is_empty()
            && self.asked.is_empty()
            && self.withdrawn.is_empty()
            && self.output.is_empty()
            && self.spent.is_empty()
            && !self.draining
            && self.runners.is_empty()
            && self.disk_full.is_none()
    }
}

impl Worker {
    /// How many tasks the agent can take now.
    pub(super) fn takes(&self) -> u32 {
        let is_held_back = self.held_back || self.room.is_lacking() || self.unacknowledged.is_full();
        if self.ending.is_draining() || is_held_back {
            return 0;
        }
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let waiting = number(self.runs.waiting()).min(self.settings.max_waiting);
        let at_work = number(self.runs.count()) - waiting;
        let slots = self.settings.slots;
        (slots + self.ahead.count(slots)).saturating_sub(at_work).min(number(self.runs.free()))
    }

    fn credits(&self) -> u32 {
        self.takes().saturating_sub(self.link.granted)
    }

    fn has_to_speak(&self) -> bool {
        self.link.is_open() && (!self.messages.is_empty() || self.credits() > 0)
    }

    /// Says what there is to say, as far as the session takes it.
    pub fn speak(&mut self) {
        while self.has_to_speak() {
            let Some(outgoing) = &self.link.outgoing else { return };
            let permit = match outgoing.clone().try_reserve_owned() {
                Ok(permit) => permit,
                Err(TrySendError::Full(_)) => return,
                Err(TrySendError::Closed(_)) => {
                    // The session is about to tell that the connection is lost.
                    self.link.hang_up();
                    return;
                }
            };
            permit.send(self.message());
        }
    }

    /// Waits until the session takes another message, if there is one for it.
    pub async fn room_to_speak(&self) {
        match &self.link.outgoing {
            // Whether there is room now or the channel is closed, the loop finds out by trying.
            Some(outgoing) if self.has_to_speak() => drop(outgoing.reserve().await),
            Some(_) | None => std::future::pending().await,
        }
    }

    fn message(&mut self) -> FromAgent {
        let credits = self.credits();
        self.link.granted += credits;
        let finished = self.finished_for_message();
        let messages = &mut self.messages;
        FromAgent {
            credits,
            started: std::mem::take(&mut messages.started),
            finished,
            asked: std::mem::take(&mut messages.asked),
            withdrawn: std::mem::take(&mut messages.withdrawn),
            output: std::mem::take(&mut messages.output)
                .into_iter()
                .map(|(lease, bytes)| OutputLength { lease, bytes })
                .collect(),
            spent: std::mem::take(&mut messages.spent).into_values().collect(),
            draining: std::mem::take(&mut messages.draining),
            runners: std::mem::take(&mut messages.runners),
            disk_full: messages.disk_full.take(),
        }
    }

    fn finished_for_message(&mut self) -> Vec<Finished> {
        let (mut list, mut bytes) = (Vec::new(), 0);
        while list.len() < MAX_FINISHED
            && bytes < MAX_FINISHED_BYTES
            && let Some(lease) = self.messages.finished.pop_front()
        {
            // One that was acknowledged meanwhile needs no word.
            if let Some(entry) = self.unacknowledged.get(lease) {
                bytes += weight(entry);
                list.push(Finished::clone(entry));
            }
        }
        list
    }

    /// When is to be told next how far runs have come.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let watched = self.link.is_open() && self.runs.any_running();
        watched.then_some(self.messages.next_look)
    }

    pub(super) fn look_at_runs(&mut self, now: Instant) {
        if self.next_look().is_some_and(|at| at <= now) {
            self.messages.next_look = now + LOOK_PAUSE;
            let spent = self.runs.spent();
            self.messages.spent(spent);
            if self.shares_workspace {
                let grown = self.runs.grown();
                self.messages.output(grown);
            }
        }
    }
}
