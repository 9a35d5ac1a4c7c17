//! The engine: the one owner of the machine.
//!
//! It takes a bounded batch of requests, decides them at one instant, appends their events in one durable write, and only
//! then lets replies, effects and notices go. While a batch is being written it decides the next, at most
//! [`MAX_AHEAD`] of them. A reply without events waits for the batch before it, so that nobody is told of what a crash
//! could take back.

mod batch;
mod deciding;
mod dispatch;
mod handle;
mod request;
#[cfg(test)]
mod scripted_log;
#[cfg(test)]
mod tests;
mod writing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use conductor_core::{Command, Incarnation, Machine, Now, Rejection, Seq, Step};
use conductor_protocol::Problem;
use conductor_runtime::clock::Clock;
use conductor_runtime::lifecycle::Shutdown;
use conductor_store::log::{Appended, EventLog};
use tokio::sync::{Notify, broadcast, mpsc, watch};

use crate::gate::Gate;
use batch::{Building, Inflight};
use dispatch::Dispatch;
pub(crate) use dispatch::{Chore, Outgoing};
pub use handle::Handle;
pub(crate) use request::Request;
pub(crate) use writing::Cause;
use writing::{Stall, again};

/// The most requests decided together.
const MAX_BATCH_REQUESTS: usize = 1_024;
/// Requests beyond this many bytes of payload wait for the next batch.
const MAX_BATCH_BYTES: usize = 8 << 20;
/// The most batches under way to the disk.
const MAX_AHEAD: usize = 2;
/// How long events that nobody waits for may stay in memory.
const LAZY_LINGER: Duration = Duration::from_millis(20);
/// How often a batch is tried again that could not be written.
const STALL_PAUSE: Duration = Duration::from_millis(500);
/// Requests that may wait for the engine before callers wait to hand theirs over.
const REQUEST_QUEUE: usize = 2_048;
/// Batches that a follower of events may be behind before it reads the log instead.
const NOTICE_QUEUE: usize = 512;

/// Why the engine stopped when nobody asked it to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is on disk cannot be known; what memory says is ahead of it.
    #[error("failed to write the event log")]
    Append(#[source] conductor_store::log::AppendError),
    /// Another orchestrator took over.
    #[error("another orchestrator leads on this event log")]
    Fenced,
    /// The machine refused to begin.
    #[error("the machine refused to begin: {0:?}")]
    Begin(Rejection),
    /// The random source failed.
    #[error("no random numbers")]
    Random(#[source] getrandom::Error),
}

/// The engine's parts, before it runs.
#[derive(Debug)]
pub struct Engine {
    machine: Machine,
    log: Arc<dyn EventLog>,
    clock: Clock,
    gate: Arc<Gate>,
    requests: mpsc::Receiver<Request>,
    answers: mpsc::UnboundedReceiver<Appended>,
    answer_sender: mpsc::UnboundedSender<Appended>,
    building: Building,
    inflight: VecDeque<Inflight>,
    /// The number of the last event that was decided.
    seq: Seq,
    dispatch: Dispatch,
    /// Batches whose answer from the log has not come.
    unanswered: usize,
    /// Set from the moment a batch could not be written until one is.
    stalled: Option<Stall>,
    next_batch: u128,
}

impl Engine {
    /// Makes an engine over a loaded machine, and the handle by which it is reached.
    ///
    /// # Errors
    /// When there are no random numbers for the names of batches.
    pub fn new(
        machine: Machine,
        log: Arc<dyn EventLog>,
        clock: Clock,
        gate: Arc<Gate>,
    ) -> Result<(Self, Handle), Error> {
        let (sender, requests) = mpsc::channel(REQUEST_QUEUE);
        let (answer_sender, answers) = mpsc::unbounded_channel();
        let (published, _) = broadcast::channel(NOTICE_QUEUE);
        let seq = log.status().last;
        let (durable, durable_reader) = watch::channel(seq);
        let handle = Handle::new(sender, published.clone(), durable_reader, gate.clone());
        let engine = Self {
            machine,
            log,
            clock,
            gate,
            requests,
            answers,
            answer_sender,
            building: Building::default(),
            inflight: VecDeque::new(),
            seq,
            dispatch: Dispatch::new(published, durable),
            unanswered: 0,
            stalled: None,
            next_batch: u128::from(random()?) << 64,
        };
        Ok((engine, handle))
    }

    /// Opens the queue of what the engine leaves to others; once, before it runs.
    pub(crate) fn chores(&mut self) -> mpsc::Receiver<Chore> {
        self.dispatch.chores()
    }

    /// What is notified when there is something to tell.
    pub(crate) fn deliver(&self) -> Arc<Notify> {
        self.dispatch.deliver()
    }

    /// Runs until every handle is gone or the shutdown kills, and then until what was accepted is durable.
    ///
    /// # Errors
    /// When the log fails or another orchestrator leads: the process must end, because memory is ahead of the disk.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), Error> {
        self.begin()?;
        let mut taken = Vec::with_capacity(MAX_BATCH_REQUESTS);
        loop {
            let stalled = self.stalled;
            let may_decide = self.inflight.len() < MAX_AHEAD && stalled.is_none();
            let deadline = self.machine_deadline();
            let now_ms = self.clock.now().mono_ms;
            let gate = self.gate.clone();
            tokio::select! {
                biased;
                Some(answer) = self.answers.recv() => self.answered(answer)?,
                count = self.requests.recv_many(&mut taken, MAX_BATCH_REQUESTS), if may_decide || stalled.is_some() => {
                    if count == 0 {
                        break;
                    }
                    match stalled {
                        Some(stall) => taken.drain(..).for_each(|request| self.refuse(request, stall.cause)),
                        None => self.decide(&mut taken),
                    }
                }
                () = again(stalled), if stalled.is_some() && self.unanswered == 0 => self.append_again(),
                () = tokio::time::sleep(LAZY_LINGER), if may_decide && self.building.has_events() => self.append(),
                () = self.clock.sleep_until(deadline.unwrap_or(now_ms)), if may_decide && deadline.is_some() => {
                    self.timeouts();
                }
                () = gate.lacking_changes(), if may_decide => self.fill_slots(self.now()),
                () = shutdown.killed() => break,
            }
        }
        self.settle().await
    }

    fn now(&self) -> Now {
        now(&self.clock)
    }

    /// When the machine next has to be called by itself, on the monotonic clock.
    fn machine_deadline(&self) -> Option<u64> {
        let deadline = self.machine.next_deadline();
        let now = self.now();
        let wall = deadline.wall.map(|wall| now.rebase(wall).0);
        let mono = deadline.mono.map(|mono| mono.0);
        match (mono, wall) {
            (Some(mono), Some(wall)) => Some(mono.min(wall)),
            (one, other) => one.or(other),
        }
    }

    fn begin(&mut self) -> Result<(), Error> {
        let incarnation = Incarnation(random()?);
        let now = self.now();
        let step = self.machine.handle(now, Command::Begin { incarnation }).map_err(Error::Begin)?;
        self.building.add(step);
        self.fill_slots(now);
        self.append();
        Ok(())
    }
}

/// Reads both clocks as the machine takes them.
pub(crate) fn now(clock: &Clock) -> Now {
    let reading = clock.now();
    Now { mono: conductor_core::Mono(reading.mono_ms), wall: conductor_core::Wall(reading.wall_ms) }
}

fn random() -> Result<u64, Error> {
    getrandom::u64().map_err(Error::Random)
}

/// What a step leads to when nothing was asked: an empty one.
pub(crate) fn is_quiet(step: &Step) -> bool {
    step.events.is_empty() && step.effects.is_empty()
}

/// The problem of a caller whose engine is gone.
pub(crate) fn gone() -> Problem {
    Problem::new(conductor_protocol::Code::Unavailable, "the orchestrator is stopping or cannot write")
        .retry_after(2)
}
