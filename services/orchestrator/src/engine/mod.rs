//! The engine: the one owner of the machine.
//!
//! It takes a bounded batch of requests, decides them at one instant, appends their events in one durable write, and only
//! then lets replies, effects and notices go. While a batch is being written it decides the next, at most
//! [`MAX_AHEAD`] of them. A reply without events waits for the batch before it, so that nobody is told of what a crash
//! could take back.

mod batch;
mod dispatch;
mod handle;
mod request;
#[cfg(test)]
mod scripted_log;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use conductor_core::{AgentSay, Command, Incarnation, Machine, Now, Rejection, Reply, Seq, Step};
use conductor_protocol::Problem;
use conductor_runtime::clock::Clock;
use conductor_runtime::lifecycle::Shutdown;
use conductor_store::log::{Appended, Batch, BatchId, EventLog};
use tokio::sync::{broadcast, mpsc, watch};

use crate::gate::Gate;
use crate::refusal;
use batch::{Building, Inflight};
use dispatch::Dispatch;
pub(crate) use dispatch::{Chore, Outgoing};
pub use handle::Handle;
pub(crate) use request::{Applied, Change, Hello, Request, Watched};

/// The most requests decided together.
const MAX_BATCH_REQUESTS: usize = 1_024;
/// Requests beyond this many bytes of payload wait for the next batch.
const MAX_BATCH_BYTES: usize = 8 << 20;
/// The most batches under way to the disk.
const MAX_AHEAD: usize = 2;
/// How long events that nobody waits for may stay in memory.
const LAZY_LINGER: Duration = Duration::from_millis(20);
/// How often a batch is tried again for which there was no room.
const NO_SPACE_PAUSE: Duration = Duration::from_millis(500);
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
    /// Set while a batch waits for room on the disk.
    stalled: bool,
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
            stalled: false,
            next_batch: u128::from(random()?) << 64,
        };
        Ok((engine, handle))
    }

    /// Opens the queue of what the engine leaves to others; once, before it runs.
    pub(crate) fn chores(&mut self) -> mpsc::Receiver<Chore> {
        self.dispatch.chores()
    }

    /// Runs until every handle is gone or the shutdown kills, and then until what was accepted is durable.
    ///
    /// # Errors
    /// When the log fails or another orchestrator leads: the process must end, because memory is ahead of the disk.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), Error> {
        self.begin()?;
        let mut taken = Vec::with_capacity(MAX_BATCH_REQUESTS);
        loop {
            let may_decide = self.inflight.len() < MAX_AHEAD && !self.stalled;
            let deadline = self.machine_deadline();
            let now_ms = self.clock.now().mono_ms;
            tokio::select! {
                biased;
                Some(answer) = self.answers.recv() => self.answered(answer)?,
                count = self.requests.recv_many(&mut taken, MAX_BATCH_REQUESTS), if may_decide || self.stalled => {
                    if count == 0 {
                        break;
                    }
                    if self.stalled {
                        taken.drain(..).for_each(|request| self.refuse_for_space(request));
                    } else {
                        self.decide(&mut taken);
                    }
                }
                () = tokio::time::sleep(NO_SPACE_PAUSE), if self.stalled => self.append_again(),
                () = tokio::time::sleep(LAZY_LINGER), if may_decide && self.building.has_events() => self.append(),
                () = self.clock.sleep_until(deadline.unwrap_or(now_ms)), if may_decide && deadline.is_some() => {
                    self.timeouts();
                }
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

    /// Decides requests at one instant and appends what they led to.
    fn decide(&mut self, taken: &mut Vec<Request>) {
        let now = self.now();
        let mut bytes = 0;
        for request in taken.drain(..) {
            bytes += request.payload_bytes();
            self.decide_one(now, request);
            if bytes > MAX_BATCH_BYTES {
                bytes = 0;
                self.fill_slots(now);
                self.append();
            }
        }
        self.fill_slots(now);
        if self.building.is_urgent() {
            self.append();
        }
    }

    fn decide_one(&mut self, now: Now, request: Request) {
        match request {
            Request::Change(change) => self.change(now, *change),
            Request::Hello(hello) => self.hello(now, *hello),
            Request::Agent { agent, session, says } => self.agent(now, agent, session, says),
            Request::Look(look) => {
                let release = look(&self.machine, now);
                self.building.releases.push(release);
            }
            Request::Watch { task, reply } => {
                if self.machine.state().contains(task) {
                    self.dispatch.watch(task, reply);
                } else {
                    self.building.releases.push(Box::new(move || {
                        let _ = reply.send(Watched::NotLive);
                    }));
                }
            }
        }
    }

    fn change(&mut self, now: Now, change: Change) {
        let Change { command, payloads, deleted, reply } = change;
        let adds = matches!(command, Command::Submit(_) | Command::AddSchedule { .. });
        if adds && let Err(problem) = self.gate.admit() {
            return self.building.releases.push(Box::new(move || drop(reply.send(Err(problem)))));
        }
        match self.machine.handle(now, command) {
            Ok(step) => {
                let answer = step.reply.clone();
                let changed = !step.events.is_empty();
                self.building.add(step);
                // An occurrence that was passed over made no task, and its body is not wanted.
                let changed = changed && !matches!(answer, Reply::Fired { task: None });
                if changed {
                    self.building.payloads.extend(payloads);
                    self.building.deleted.extend(deleted);
                }
                let seq = self.decided_seq();
                let applied = Applied { reply: answer, seq };
                self.building.releases.push(Box::new(move || drop(reply.send(Ok(applied)))));
            }
            Err(rejection) => {
                let problem = refusal::problem(&rejection);
                self.building.releases.push(Box::new(move || drop(reply.send(Err(problem)))));
            }
        }
    }

    fn hello(&mut self, now: Now, hello: Hello) {
        let Hello { session, profile, held, credits, link, reply } = hello;
        let agent = profile.agent_id;
        let say = AgentSay::Hello { profile: Box::new(profile), held };
        match self.machine.handle(now, Command::Agent { agent, session, say }) {
            Ok(step) => {
                let answer = step.reply.clone();
                self.dispatch.attach(agent, session, link);
                self.building.add(step);
                self.agent(now, agent, session, vec![AgentSay::Credits(credits)]);
                let seq = self.decided_seq();
                let applied = Applied { reply: answer, seq };
                self.building.releases.push(Box::new(move || drop(reply.send(Ok(applied)))));
            }
            Err(rejection) => {
                let problem = refusal::problem(&rejection);
                self.building.releases.push(Box::new(move || drop(reply.send(Err(problem)))));
            }
        }
    }

    fn agent(&mut self, now: Now, agent: conductor_core::AgentId, session: u64, says: Vec<AgentSay>) {
        for say in says {
            let urgent = !matches!(say, AgentSay::Started(_) | AgentSay::Credits(_) | AgentSay::Heartbeat);
            let gone = matches!(say, AgentSay::Gone);
            match self.machine.handle(now, Command::Agent { agent, session, say }) {
                Ok(step) if urgent => self.building.add(step),
                Ok(step) => self.building.add_lazily(step),
                Err(Rejection::StaleSession(_)) => return self.dispatch.detach(agent, session),
                Err(rejection) => tracing::warn!(%agent, ?rejection, "an agent's word was refused"),
            }
            if gone {
                self.dispatch.detach(agent, session);
            }
        }
    }

    fn fill_slots(&mut self, now: Now) {
        loop {
            match self.machine.handle(now, Command::Assign) {
                Ok(step) => {
                    let more = step.more;
                    self.building.add_lazily(step);
                    if !more {
                        return;
                    }
                }
                Err(rejection) => return tracing::error!(?rejection, "filling slots was refused"),
            }
        }
    }

    fn timeouts(&mut self) {
        let now = self.now();
        let step = self.machine.handle_timeout(now);
        self.building.add(step);
        self.fill_slots(now);
        self.append();
    }

    /// The number of the last event decided so far.
    fn decided_seq(&self) -> Seq {
        Seq(self.seq.0 + self.building.events.len() as u64)
    }

    /// Hands what was built to the log. Without events it only waits for the batch before it.
    fn append(&mut self) {
        let building = std::mem::take(&mut self.building);
        if building.events.is_empty() {
            match self.inflight.back_mut() {
                Some(last) => last.follow(building),
                None => self.dispatch.release(building.effects, building.releases, None),
            }
            return;
        }
        self.next_batch += 1;
        let batch = Arc::new(Batch {
            id: BatchId(self.next_batch),
            fence: self.log.fence(),
            expected_seq: self.seq,
            events: building.events,
            payloads: building.payloads,
            deleted_payloads: building.deleted,
        });
        self.seq = batch.last_seq();
        self.gate.counters.batches.fetch_add(1, Ordering::Relaxed);
        self.gate.counters.events.fetch_add(batch.events.len() as u64, Ordering::Relaxed);
        self.send(batch.clone());
        self.inflight.push_back(Inflight { batch, effects: building.effects, releases: building.releases });
    }

    fn send(&self, batch: Arc<Batch>) {
        let answers = self.answer_sender.clone();
        self.log.append(batch, Box::new(move |answer| drop(answers.send(answer))));
    }

    fn answered(&mut self, answer: Appended) -> Result<(), Error> {
        match answer {
            Appended::Durable => {
                let done = self.inflight.pop_front().expect("an answer belongs to a batch under way");
                self.gate.room(true);
                self.stalled = false;
                self.dispatch.release(done.effects, done.releases, Some(&done.batch));
                Ok(())
            }
            Appended::Unknown | Appended::NoSpace => {
                // The log answers every batch behind this one alike; all are sent again, in order, once all are back.
                let no_space = matches!(answer, Appended::NoSpace);
                let first = self.inflight.pop_front().expect("an answer belongs to a batch under way");
                self.inflight.push_back(first);
                if no_space && !self.stalled {
                    tracing::error!("no room for the event log; nothing is accepted until there is");
                    self.gate.room(false);
                }
                self.stalled = true;
                Ok(())
            }
            Appended::Fenced => Err(Error::Fenced),
            Appended::Failed(error) => Err(Error::Append(error)),
        }
    }

    /// Sends again what there was no room for.
    fn append_again(&mut self) {
        let mut batches: Vec<Inflight> = self.inflight.drain(..).collect();
        batches.sort_by_key(|inflight| inflight.batch.expected_seq);
        for inflight in &batches {
            self.send(inflight.batch.clone());
        }
        self.inflight = batches.into();
        self.stalled = false;
    }

    /// Answers a request while nothing can be written: reads are served when nothing but the start itself waits.
    fn refuse_for_space(&mut self, request: Request) {
        let only_began = self.inflight.iter().all(|inflight| inflight.is_beginning());
        match request {
            Request::Look(look) if only_began => look(&self.machine, self.now())(),
            Request::Change(change) => drop(change.reply.send(Err(refusal::storage_full()))),
            Request::Hello(hello) => drop(hello.reply.send(Err(refusal::storage_full()))),
            // Dropping the reply tells the caller that it is unavailable; agents report again when they reconnect.
            Request::Agent { agent, session, .. } => self.dispatch.detach(agent, session),
            Request::Look(_) | Request::Watch { .. } => {}
        }
    }

    /// Waits for what is under way, so that nothing that was accepted is lost.
    async fn settle(&mut self) -> Result<(), Error> {
        if self.building.has_events() {
            self.append();
        }
        while !self.inflight.is_empty() && !self.stalled {
            match self.answers.recv().await {
                Some(answer) => self.answered(answer)?,
                None => break,
            }
        }
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
