//! What the worker knows, and what it does when something happens.

use std::collections::BTreeSet;

use conductor_core::{InstanceId, Lease};
use conductor_protocol::Problem;
use conductor_protocol::agent::{Hello, ToAgent, VERSION, Welcome};
use conductor_protocol::problem::Code;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::ahead::Ahead;
use super::ending::Ending;
use super::identity::{Identity, Seen};
use super::messages::{Link, Messages};
use super::offers::Offers;
use super::room::Room;
use super::runs::Runs;
use super::settings::Settings;
use super::unacknowledged::Unacknowledged;
use crate::outbox::{Entry, Outbox};
use crate::output::Order;
use crate::runner::Slots;
use crate::runner::program::probe::Versions;
use crate::session::Event;

/// What the worker knows.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) settings: Settings,
    pub(super) identity: Identity,
    instance: InstanceId,
    pub(super) offers: Offers,
    pub(super) room: Room,
    pub(super) slots: Slots,
    pub(super) runs: Runs,
    pub(super) ahead: Ahead,
    pub(super) outbox: Outbox,
    pub(super) output: mpsc::UnboundedSender<Order>,
    /// What is in the outbox and not acknowledged.
    pub(super) unacknowledged: Unacknowledged,
    pub(super) link: Link,
    pub(super) messages: Messages,
    /// Whether the orchestrator's workspace is this agent's own, as far as is known.
    pub(super) shares_workspace: bool,
    /// Whether the orchestrator wants it to take no tasks.
    pub(super) held_back: bool,
    /// Results that are not reported before their output was taken.
    pub(super) sending: BTreeSet<Lease>,
    pub(super) ending: Ending,
}

/// What a worker works with.
#[derive(Debug)]
pub(super) struct Parts {
    pub identity: Identity,
    pub instance: InstanceId,
    pub versions: Versions,
    pub slots: Slots,
    pub outbox: Outbox,
    pub output: mpsc::UnboundedSender<Order>,
}

impl Worker {
    pub fn new(settings: Settings, parts: Parts, found: Vec<Entry>) -> Self {
        let Parts { identity, instance, versions, slots, outbox, output } = parts;
        let mut unacknowledged = Unacknowledged::default();
        found.into_iter().for_each(|entry| unacknowledged.insert(entry));
        let runs = Runs::new(settings.places());
        Self {
            instance,
            offers: Offers::new(versions),
            room: Room::new(&settings),
            slots,
            runs,
            ahead: Ahead::default(),
            outbox,
            output,
            sending: BTreeSet::new(),
            unacknowledged,
            link: Link::new(Instant::now()),
            messages: Messages::default(),
            shares_workspace: true,
            held_back: false,
            ending: Ending::default(),
            settings,
            identity,
        }
    }

    /// Gives back what outlives the loop, and hangs up.
    pub fn leave(self) -> (Slots, Outbox) {
        (self.slots, self.outbox)
    }

    /// Takes what the session tells.
    pub fn hear_session(&mut self, event: Event) {
        match event {
            Event::Opening(reply) => {
                let hello = self.hello();
                self.link.open(hello.credits);
                // A session that no longer waits for it has lost its connection and says so.
                let _ = reply.send(Box::new(hello));
            }
            Event::Welcomed(welcome, outgoing) => {
                self.link.welcomed(outgoing);
                self.ending.found();
                self.welcomed(&welcome);
            }
            Event::Said(said) => self.hear(*said),
            Event::Refused(problem) => self.refused(&problem),
            Event::Lost => self.link.lost(Instant::now()),
        }
    }

    fn hello(&mut self) -> Hello {
        let runners = self.offers.tell(&self.settings);
        Hello {
            protocol: VERSION,
            key: String::new(),
            agent_id: self.identity.agent_id(),
            instance: self.instance,
            name: self.settings.name.clone(),
            host: self.settings.host.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            slots: self.settings.slots,
            labels: self.settings.labels.clone(),
            runners,
            held: self.runs.leases().chain(self.unacknowledged.leases()).collect(),
            credits: self.takes(),
            shares_workspace: self.shares_workspace,
            seen: self.identity.seen().cloned(),
        }
    }

    fn welcomed(&mut self, welcome: &Welcome) {
        match self.identity.see(&welcome.log) {
            Ok(Seen::Ahead) => {}
            Ok(Seen::Behind { seen }) => tracing::warn!(
                log = welcome.log.id,
                seq = welcome.log.seq,
                seen,
                "the orchestrator has lost events that it had told of: it was rolled back"
            ),
            Ok(Seen::Other { seen }) => {
                tracing::warn!(
                    log = welcome.log.id,
                    seen = seen.id,
                    "the orchestrator has another log than before"
                );
            }
            Err(error) => tracing::warn!(%error, "the log position was not kept"),
        }
        for lease in &welcome.stale {
            self.forget_run(*lease);
        }
        self.acknowledged(&welcome.stale);
        self.held_back = welcome.draining;
        self.runs.tell_output_again();
        self.runs.tell_spent_again();
        let reportable = self.unacknowledged.leases().filter(|lease| !self.sending.contains(lease));
        self.messages.begin(&self.runs, reportable, self.ending.is_draining());
        if self.room.is_lacking() {
            self.messages.disk_full(true);
        }
        self.check_workspace(&welcome.workspace);
    }

    fn refused(&mut self, problem: &Problem) {
        match problem.code {
            Code::Forbidden => {
                tracing::error!(%problem, "this agent may not come back; it ends its runs and leaves");
                self.revoked();
            }
            Code::Conflict => {
                tracing::warn!(%problem, name = self.settings.name, "the orchestrator knows another agent of this name");
            }
            Code::InvalidRequest
            | Code::Unauthorized
            | Code::NotFound
            | Code::IdempotencyConflict
            | Code::Gone
            | Code::PayloadTooLarge
            | Code::QueueFull
            | Code::RateLimited
            | Code::StorageFull
            | Code::NotLeader
            | Code::Unavailable
            | Code::Internal => {}
        }
    }

    fn hear(&mut self, said: ToAgent) {
        self.acknowledged(&said.acknowledged);
        for end in said.end {
            self.end_run(end);
        }
        for limit in &said.limits {
            self.limit(limit);
        }
        for answer in said.answers {
            self.answer(answer);
        }
        for below in said.below {
            self.below(below);
        }
        for tell in said.tell {
            self.tell(tell);
        }
        if let Some(drain) = said.drain {
            self.held_back = drain;
            tracing::info!(drain, "the orchestrator asks to drain, or not to");
        }
        if said.revoked {
            self.revoked();
        }
        for assign in said.assign {
            self.assign(&assign);
        }
    }

    pub(super) fn acknowledged(&mut self, leases: &[Lease]) {
        let known = leases.iter().copied().filter(|lease| self.unacknowledged.remove(*lease)).collect();
        self.outbox.forget(known);
    }
}
