//! A batch while it is built and while it is under way to the disk.

use std::sync::Arc;
use std::time::Instant;

use conductor_core::{Event, EventKind, Step};
use conductor_store::log::{Batch, Payload, PayloadKey};

use super::dispatch::Due;
use super::is_quiet;
use super::request::Release;

/// What is decided and not yet handed to the log.
#[derive(Default)]
pub(super) struct Building {
    pub(super) events: Vec<Event>,
    pub(super) effects: Vec<Due>,
    pub(super) releases: Vec<Release>,
    pub(super) payloads: Vec<Payload>,
    pub(super) deleted: Vec<PayloadKey>,
    urgent: bool,
}

impl std::fmt::Debug for Building {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Building").field("events", &self.events).finish_non_exhaustive()
    }
}

impl Building {
    /// Takes in a step that somebody waits for.
    pub(super) fn add(&mut self, step: Step) {
        self.urgent |= !is_quiet(&step);
        self.events.extend(step.events);
        self.effects.extend(step.effects.into_iter().map(Due::Effect));
    }

    /// Takes in a step that nobody waits for, unless it has effects.
    pub(super) fn add_lazily(&mut self, step: Step) {
        self.urgent |= !step.effects.is_empty();
        self.events.extend(step.events);
        self.effects.extend(step.effects.into_iter().map(Due::Effect));
    }

    /// Whether somebody waits for it.
    pub(super) fn is_urgent(&self) -> bool {
        self.urgent || !self.releases.is_empty()
    }

    /// Whether anything in it must become durable.
    pub(super) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }
}

/// A batch under way to the disk, with what waits for it.
pub(super) struct Inflight {
    pub(super) batch: Arc<Batch>,
    /// When it was handed to the log first.
    pub(super) since: Instant,
    pub(super) effects: Vec<Due>,
    pub(super) releases: Vec<Release>,
}

impl std::fmt::Debug for Inflight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inflight").field("batch", &self.batch).finish_non_exhaustive()
    }
}

impl Inflight {
    /// Lets what has no events of its own wait with this batch.
    pub(super) fn follow(&mut self, building: Building) {
        self.effects.extend(building.effects);
        self.releases.extend(building.releases);
    }

    /// Whether it holds nothing but the beginning of this incarnation.
    pub(super) fn is_beginning(&self) -> bool {
        self.batch.events.iter().all(|event| matches!(event.kind, EventKind::Began { .. }))
    }
}
