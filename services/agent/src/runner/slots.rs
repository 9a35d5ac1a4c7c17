//! The slots of an agent: one thread each, which runs one attempt at a time.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use conductor_gateway::Gateways;
use tokio::sync::{mpsc, watch};

use super::attempt::Attempt;
use super::control::{Control, Progress, Report};
use super::environment::Inherited;
use super::outcome::{Usage, Verdict};
use super::program::Programs;
use super::slot::{Job, Slot};
use super::turnstile::Turnstile;
use crate::git;
use crate::process::{KeeperError, KeeperProgram, Keepers};
use crate::run::folder;

/// What all slots of an agent share.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many of them may run something at the same time; the others make folders, collect, or wait for a person.
    pub at_once: u32,
    /// Where the run folders are.
    pub workspace: PathBuf,
    /// The kept id of this agent; children carry it, so that a later life finds what this one left.
    pub agent_id: String,
    /// The program that is a keeper when it is started with these arguments.
    pub keeper: KeeperProgram,
    /// The environment of this process, from which children get what is on the allow-list.
    pub environment: Vec<(OsString, OsString)>,
    /// How repositories are reached.
    pub git: Arc<git::Settings>,
    /// The runners that are programs.
    pub programs: Programs,
}

/// Why the slots could not start, or an attempt not be given to one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("open the workspace")]
    Workspace(#[source] folder::Error),
    #[error("write the git configuration of tasks")]
    GitConfig(#[source] std::io::Error),
    #[error("start the keepers")]
    Keepers(#[source] KeeperError),
    #[error("start the thread of slot {slot}")]
    Thread { slot: usize, source: std::io::Error },
    #[error("start the thread of the spare checkouts")]
    Spares(#[source] std::io::Error),
    #[error("count the turns of the runs")]
    Turnstile(#[source] rustix::io::Errno),
    #[error("make the control of a run")]
    Control(#[source] rustix::io::Errno),
    #[error("there is no slot {0}")]
    NoSuchSlot(usize),
    #[error("slot {0} runs another attempt")]
    Busy(usize),
}

/// A running attempt as its owner sees it.
#[derive(Debug)]
pub struct Run {
    pub control: Control,
    pub progress: watch::Receiver<Progress>,
}

/// What a runner says of a run that is over.
#[derive(Debug)]
pub(super) struct Ended {
    pub verdict: Verdict,
    pub exit_code: Option<i32>,
    pub summary: String,
    pub usage: Usage,
    pub session_id: Option<String>,
    pub lane: Option<String>,
    /// Whether it held the real credential of its model.
    pub holds_credential: bool,
}

impl Ended {
    pub fn without_child(verdict: Verdict) -> Self {
        let (summary, usage) = (verdict.summary(), Usage::default());
        Self {
            verdict,
            exit_code: None,
            summary,
            usage,
            session_id: None,
            lane: None,
            holds_credential: false,
        }
    }
}

/// Owns the threads of the slots.
#[derive(Debug)]
pub struct Slots {
    slots: Vec<Running>,
    spares: git::Maker,
    /// Dropped after the threads, which give their keepers back.
    _keepers: Keepers,
}

#[derive(Debug)]
struct Running {
    work: SyncSender<Job>,
    thread: JoinHandle<()>,
}

impl Slots {
    /// Starts `count` slots that send their reports, bounded by what `reports` takes. This process becomes a
    /// subreaper and may make no other children, see [`Keepers`].
    ///
    /// # Errors
    ///
    /// Fails when the workspace cannot be opened or a thread cannot be made.
    pub fn start(settings: &Settings, count: usize, reports: &mpsc::Sender<Report>) -> Result<Self, Error> {
        let turnstile = Turnstile::new(settings.at_once).map_err(Error::Turnstile)?;
        git::write_config_of_tasks(&settings.workspace, &settings.git.config).map_err(Error::GitConfig)?;
        let keepers = Keepers::new(settings.keeper.clone(), settings.programs.sandbox.cgroups().cloned())
            .map_err(Error::Keepers)?;
        let path = Inherited::from(&settings.environment).path_or_usual();
        let maker = git::Maker::start(
            Arc::clone(&settings.git),
            settings.agent_id.clone(),
            path,
            keepers.handle(),
            settings.programs.sandbox.clone(),
        );
        let (maker, spares) = maker.map_err(Error::Spares)?;
        let gateways = Gateways::default();
        let mut slots = Vec::with_capacity(count);
        for slot in 0..count {
            let (spares, turnstile) = (spares.clone(), turnstile.clone());
            let mut server =
                Slot::new(slot, settings, &gateways, keepers.handle(), spares, turnstile, reports.clone())
                    .map_err(Error::Workspace)?;
            // Before anything that could go on with the same work.
            server.rescue_after_restart();
            // One attempt may be given before the thread has come back from reporting the one before.
            let (work, jobs) = sync_channel(1);
            let thread = std::thread::Builder::new()
                .name(format!("slot-{slot}"))
                .spawn(move || server.serve(&jobs))
                .map_err(|source| Error::Thread { slot, source })?;
            slots.push(Running { work, thread });
        }
        Ok(Self { slots, spares: maker, _keepers: keepers })
    }

    /// Gives an attempt to a slot, which is free from the moment that it reported the one before as finished.
    ///
    /// # Errors
    ///
    /// Fails when the slot does not exist or still runs another attempt.
    pub fn run(&self, slot: usize, attempt: Attempt) -> Result<Run, Error> {
        let (control, inbox) = Control::pair().map_err(Error::Control)?;
        let (progress, receiver) = watch::channel(Progress::default());
        let work = &self.slots.get(slot).ok_or(Error::NoSuchSlot(slot))?.work;
        match work.try_send(Job { attempt, inbox, progress }) {
            Ok(()) => Ok(Run { control, progress: receiver }),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Error::Busy(slot)),
        }
    }

    /// Waits until every slot has finished what it runs; end the runs first.
    pub fn close(self) {
        for Running { work, thread } in self.slots {
            drop(work);
            // A panic in a slot was reported by the panic hook; there is nothing left to wait for.
            let _ = thread.join();
        }
        self.spares.close();
    }
}
