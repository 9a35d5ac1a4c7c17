//! What happens once a batch is durable: effects to agents, replies, notices.

use std::collections::HashMap;
use std::sync::Arc;

use conductor_core::{
    AgentId, Effect, EventKind, Lease, Limit, Name, RequestId, Requeue, ScheduleId, Seq, TaskId, Told, Wall,
};
use conductor_protocol::agent::Below;
use conductor_store::log::{Batch, PayloadKey};
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};

use super::handle::Published;
use super::request::{Release, Watched};

/// Schedules and deletions that may wait for their task.
const CHORE_QUEUE: usize = 1_024;

/// The body of a task, where it lies in memory.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    batch: Arc<Batch>,
    index: usize,
}

impl Body {
    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.batch.payloads[self.index].bytes
    }
}

/// The bodies that were written with a batch: a task that finds a free slot is assigned in the batch that brought it, and
/// its body need not be read from where it was just written. Others are read in bulk when their turn comes.
struct Bodies<'a> {
    batch: &'a Arc<Batch>,
    places: HashMap<PayloadKey, usize>,
}

impl<'a> Bodies<'a> {
    fn new(batch: &'a Arc<Batch>) -> Self {
        let keys = batch.payloads.iter().map(|payload| payload.key);
        Self { batch, places: keys.enumerate().map(|(index, key)| (key, index)).collect() }
    }

    fn of(&self, task: TaskId) -> Option<Body> {
        let index = *self.places.get(&PayloadKey::from(task))?;
        Some(Body { batch: self.batch.clone(), index })
    }
}

/// What is to be told to an agent.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A task to run; its body is read from the log when it is not at hand.
    Assign {
        task: TaskId,
        lease: Lease,
        attempt: u32,
        runner: Name,
        group: Name,
        timeout_ms: u64,
        after: Option<Requeue>,
        limit: Limit,
        body: Option<Body>,
    },
    /// A report was taken.
    Acknowledge(Lease),
    /// A run is to end.
    EndRun { lease: Lease, revoked: bool },
    /// A person answered.
    Answer { lease: Lease, request_id: RequestId, answer_json: Box<str> },
    /// A person told a run something.
    Tell { lease: Lease, message: Told },
    /// Tasks live below one that runs, or no more.
    Below(Below),
    /// A run may spend less than it was told before.
    SetLimit { lease: Lease, limit: Limit },
    /// The agent is to drain, or to go on.
    Drain(bool),
    /// The agent may not come back.
    Revoked,
}

/// What is due once a batch is durable, in this order.
#[derive(Debug)]
pub(super) enum Due {
    /// An effect of the machine.
    Effect(Effect),
    /// An agent is told things on this connection from here on. What was decided before is not for it: the machine has
    /// taken it back when the agent said hello without it.
    Attach { agent: AgentId, session: u64, link: mpsc::Sender<Vec<Outgoing>> },
}

/// Work outside the machine that no agent does.
#[derive(Debug)]
pub(crate) enum Chore {
    /// A schedule came due.
    ScheduleDue { schedule: ScheduleId, due_at: Wall },
    /// Run folders are to go.
    DeleteRuns(Box<[TaskId]>),
}

/// Lets effects, replies and notices go.
#[derive(Debug)]
pub(super) struct Dispatch {
    links: HashMap<AgentId, (u64, mpsc::Sender<Vec<Outgoing>>)>,
    watchers: HashMap<TaskId, Vec<oneshot::Sender<Watched>>>,
    published: broadcast::Sender<Arc<Published>>,
    durable: watch::Sender<Seq>,
    chores: Option<mpsc::Sender<Chore>>,
    /// Wakes who tells people of things.
    deliver: Arc<Notify>,
}

impl Dispatch {
    pub(super) fn new(published: broadcast::Sender<Arc<Published>>, durable: watch::Sender<Seq>) -> Self {
        Self {
            links: HashMap::new(),
            watchers: HashMap::new(),
            published,
            durable,
            chores: None,
            deliver: Arc::default(),
        }
    }

    /// Opens the queue of chores; once.
    pub(super) fn chores(&mut self) -> mpsc::Receiver<Chore> {
        let (sender, receiver) = mpsc::channel(CHORE_QUEUE);
        self.chores = Some(sender);
        receiver
    }

    /// What is notified when there is something to tell.
    pub(super) fn deliver(&self) -> Arc<Notify> {
        self.deliver.clone()
    }

    /// Lets go of a connection, unless a newer one took its place.
    pub(super) fn detach(&mut self, agent: AgentId, session: u64) {
        if self.links.get(&agent).is_some_and(|(current, _)| *current == session) {
            self.links.remove(&agent);
        }
    }

    /// Tells when a live task is over.
    pub(super) fn watch(&mut self, task: TaskId, reply: oneshot::Sender<Watched>) {
        let watchers = self.watchers.entry(task).or_default();
        watchers.retain(|watcher| !watcher.is_closed());
        watchers.push(reply);
    }

    /// Lets go what waited for a batch.
    pub(super) fn release(&mut self, effects: Vec<Due>, releases: Vec<Release>, batch: Option<&Arc<Batch>>) {
        if let Some(batch) = batch {
            self.durable.send_replace(batch.last_seq());
        }
        self.effects(effects, batch);
        for release in releases {
            release();
        }
        if let Some(batch) = batch {
            self.tell_watchers(batch);
            if self.published.receiver_count() > 0 {
                let first = batch.expected_seq.next();
                // A send fails only when the last follower has just left.
                drop(self.published.send(Arc::new(Published { first, batch: batch.clone() })));
            }
        }
    }

    fn tell_watchers(&mut self, batch: &Batch) {
        if self.watchers.is_empty() {
            return;
        }
        for event in &batch.events {
            if let EventKind::TaskFinished { task, .. } = &event.kind
                && let Some(watchers) = self.watchers.remove(task)
            {
                for watcher in watchers {
                    // Whoever watched may have left.
                    let _ = watcher.send(Watched::Finished);
                }
            }
        }
    }

    fn effects(&mut self, effects: Vec<Due>, batch: Option<&Arc<Batch>>) {
        if effects.is_empty() {
            return;
        }
        let bodies = batch.map(Bodies::new);
        let mut by_agent: HashMap<AgentId, Vec<Outgoing>> = HashMap::new();
        let mut silent = Vec::new();
        for due in effects {
            let effect = match due {
                Due::Effect(effect) => effect,
                Due::Attach { agent, session, link } => {
                    if let Some(outgoing) = by_agent.remove(&agent) {
                        self.tell(agent, outgoing);
                    }
                    self.links.insert(agent, (session, link));
                    continue;
                }
            };
            match effect {
                Effect::Assign { agent, task, lease, attempt, runner, group, timeout_ms, after, limit } => {
                    let body = bodies.as_ref().and_then(|bodies| bodies.of(task));
                    let assign = Outgoing::Assign {
                        task,
                        lease,
                        attempt,
                        runner,
                        group,
                        timeout_ms,
                        after,
                        limit,
                        body,
                    };
                    by_agent.entry(agent).or_default().push(assign);
                }
                Effect::Acknowledge { agent, lease } => {
                    by_agent.entry(agent).or_default().push(Outgoing::Acknowledge(lease));
                }
                Effect::EndRun { agent, lease, revoked } => {
                    by_agent.entry(agent).or_default().push(Outgoing::EndRun { lease, revoked });
                }
                Effect::Answer { agent, lease, request_id, answer_json } => {
                    let answer = Outgoing::Answer { lease, request_id, answer_json };
                    by_agent.entry(agent).or_default().push(answer);
                }
                Effect::Tell { agent, lease, message } => {
                    by_agent.entry(agent).or_default().push(Outgoing::Tell { lease, message });
                }
                Effect::Below { agent, lease, any } => {
                    by_agent.entry(agent).or_default().push(Outgoing::Below(Below { lease, any }));
                }
                Effect::SetLimit { agent, lease, limit } => {
                    by_agent.entry(agent).or_default().push(Outgoing::SetLimit { lease, limit });
                }
                Effect::Drain { agent, draining } => {
                    by_agent.entry(agent).or_default().push(Outgoing::Drain(draining));
                }
                Effect::Disconnect { agent, revoked: false } => silent.push(agent),
                Effect::Disconnect { agent, revoked: true } => {
                    by_agent.entry(agent).or_default().push(Outgoing::Revoked);
                }
                Effect::ScheduleDue { schedule, due_at } => {
                    self.chore(Chore::ScheduleDue { schedule, due_at })
                }
                // One that waits already is enough.
                Effect::Deliver => self.deliver.notify_one(),
                Effect::DeleteRuns(tasks) => self.chore(Chore::DeleteRuns(tasks)),
            }
        }
        for (agent, outgoing) in by_agent {
            self.tell(agent, outgoing);
        }
        // Its connection ends with its link; it may come back.
        for agent in silent {
            self.links.remove(&agent);
        }
    }

    fn tell(&mut self, agent: AgentId, outgoing: Vec<Outgoing>) {
        let Some((_, link)) = self.links.get(&agent) else { return };
        // An agent that does not keep up is cut off: it comes back, says what it holds and gets the rest again.
        if let Err(error) = link.try_send(outgoing) {
            if matches!(error, mpsc::error::TrySendError::Full(_)) {
                tracing::warn!(%agent, "an agent does not keep up; its connection is closed");
            }
            self.links.remove(&agent);
        }
    }

    fn chore(&self, chore: Chore) {
        if let Some(chores) = &self.chores
            && let Err(error) = chores.try_send(chore)
        {
            tracing::warn!(%error, "a chore was put off: too many wait; retention or the next start takes it up");
        }
    }
}
