//! What the agent can run, looked at again while it is connected: a credential comes, changes or goes without a restart.

use std::time::Duration;

use conductor_protocol::agent::RunnerView;
use tokio::time::Instant;

use super::settings::Settings;
use super::state::Worker;
use crate::runner::program::probe::Versions;
use crate::sandbox::Kind;

/// How often it is looked at.
const LOOK_PAUSE: Duration = Duration::from_secs(5);

/// What was told last, and when to look next.
#[derive(Debug)]
pub(super) struct Offers {
    versions: Versions,
    told: Vec<RunnerView>,
    next_look: Instant,
}

impl Offers {
    pub fn new(versions: Versions) -> Self {
        Self { versions, told: Vec::new(), next_look: Instant::now() + LOOK_PAUSE }
    }

    /// What it can run as things are now, for a hello.
    pub fn tell(&mut self, settings: &Settings) -> Vec<RunnerView> {
        let mut runners = settings.built_in.clone();
        for command in runners.iter_mut().filter(|runner| runner.name == "command") {
            command.sandbox = Some(settings.programs.sandbox.held(Kind::Command).view());
        }
        runners.extend(self.versions.views(&settings.programs));
        self.told.clone_from(&runners);
        runners
    }
}

impl Worker {
    /// When what it can run is looked at next.
    pub(super) fn next_offers(&self) -> Option<Instant> {
        self.link.is_open().then_some(self.offers.next_look)
    }

    /// Tells what it can run when that is something else than before.
    pub(super) fn look_at_offers(&mut self, now: Instant) {
        if self.next_offers().is_none_or(|at| at > now) {
            return;
        }
        self.offers.next_look = now + LOOK_PAUSE;
        let before = std::mem::take(&mut self.offers.told);
        let runners = self.offers.tell(&self.settings);
        if runners != before {
            tracing::info!("a credential or a program came, changed or went; the orchestrator is told");
            self.messages.runners(runners);
        }
    }
}
