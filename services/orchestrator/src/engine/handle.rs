//! The way to the engine.

use std::sync::Arc;

use conductor_core::{AgentId, AgentSay, Command, Lease, Machine, Now, Profile, RunnerLane, Seq, TaskId};
use conductor_protocol::Problem;
use conductor_store::log::{Batch, Payload, PayloadKey};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::dispatch::Outgoing;
use super::gone;
use super::request::{Applied, Change, ChangeEach, Hello, Request, Watched};
use crate::gate::Gate;

/// Batches to an agent that may wait for its connection.
const LINK_QUEUE: usize = 256;

/// A batch that became durable.
#[derive(Debug)]
pub(crate) struct Published {
    /// The number of its first event.
    pub(crate) first: Seq,
    /// The batch.
    pub(crate) batch: Arc<Batch>,
}

/// An agent's connection as the engine knows it.
#[derive(Debug)]
pub(crate) struct Joined {
    /// What the machine answered.
    pub(crate) applied: Applied,
    /// What the agent is to be told; ends when a newer connection takes over.
    pub(crate) outgoing: mpsc::Receiver<Vec<Outgoing>>,
}

/// The way to the engine; cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    published: broadcast::Sender<Arc<Published>>,
    durable: watch::Receiver<Seq>,
    gate: Arc<Gate>,
}

impl Handle {
    pub(super) fn new(
        requests: mpsc::Sender<Request>,
        published: broadcast::Sender<Arc<Published>>,
        durable: watch::Receiver<Seq>,
        gate: Arc<Gate>,
    ) -> Self {
        Self { requests, published, durable, gate }
    }

    /// Has a command decided, with the payloads that become durable with it, and answers when it is durable.
    pub(crate) async fn change(
        &self,
        command: Command,
        payloads: Vec<Payload>,
        deleted: Vec<PayloadKey>,
    ) -> Result<Applied, Problem> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Change(Box::new(Change { command, payloads, deleted, reply }))).await?;
        answer.await.map_err(|_| gone())?
    }

    /// Has commands with their payloads decided, each for itself, and answers in their order when all are durable.
    pub(crate) async fn change_each(
        &self,
        changes: Vec<(Command, Vec<Payload>)>,
    ) -> Result<Vec<Result<Applied, Problem>>, Problem> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let (reply, answers) = oneshot::channel();
        self.send(Request::ChangeEach(ChangeEach { changes, reply })).await?;
        answers.await.map_err(|_| gone())
    }

    /// Has a command without payloads decided.
    pub(crate) async fn command(&self, command: Command) -> Result<Applied, Problem> {
        self.change(command, Vec::new(), Vec::new()).await
    }

    /// Looks at the machine. What it sees is durable when the answer comes.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Machine, Now) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        let look = move |machine: &Machine, now: Now| -> Box<dyn FnOnce() + Send> {
            let seen = look(machine, now);
            // Whoever asked may have left.
            Box::new(move || drop(reply.send(seen)))
        };
        self.send(Request::Look(Box::new(look))).await?;
        answer.await.map_err(|_| gone())
    }

    /// Answers when a task is over, or at once when it does not live.
    pub(crate) async fn watch(&self, task: TaskId) -> Result<Watched, Problem> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Watch { task, reply }).await?;
        answer.await.map_err(|_| gone())
    }

    /// Lets an agent in.
    pub(crate) async fn join(
        &self,
        session: u64,
        (profile, lanes): (Profile, Box<[RunnerLane]>),
        held: Vec<Lease>,
        credits: u32,
    ) -> Result<Joined, Problem> {
        let (link, outgoing) = mpsc::channel(LINK_QUEUE);
        let (reply, answer) = oneshot::channel();
        let hello = Hello { session, profile, lanes, held, credits, link, reply };
        self.send(Request::Hello(Box::new(hello))).await?;
        let applied = answer.await.map_err(|_| gone())??;
        Ok(Joined { applied, outgoing })
    }

    /// Passes on what an agent says.
    pub(crate) async fn agent(
        &self,
        agent: AgentId,
        session: u64,
        says: Vec<AgentSay>,
    ) -> Result<(), Problem> {
        self.send(Request::Agent { agent, session, says }).await
    }

    /// Follows batches as they become durable.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<Published>> {
        self.published.subscribe()
    }

    /// The last durable event, and how it grows.
    pub(crate) fn durable(&self) -> watch::Receiver<Seq> {
        self.durable.clone()
    }

    /// What may be let in now.
    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    async fn send(&self, request: Request) -> Result<(), Problem> {
        self.requests.send(request).await.map_err(|_| gone())
    }
}
