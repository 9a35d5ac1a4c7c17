//! The slots of an agent: one thread each, which runs one attempt at a time.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};

use super::attempt::Attempt;
use super::control::{Control, Inbox, Progress, Report, ReportBody};
use super::outcome::{Failure, FailureReason, Outcome, Usage, Verdict};
use crate::process::KeeperProgram;
use crate::run::FileList;

/// What all slots of an agent share.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the run folders are.
    pub workspace: PathBuf,
    /// The kept id of this agent; children carry it, so that a later life finds what this one left.
    pub agent_id: String,
    /// The program that is a keeper when it is started with these arguments.
    pub keeper: KeeperProgram,
    /// The environment of this process, from which children get what is on the allow-list.
    pub environment: Vec<(OsString, OsString)>,
}

/// Why an attempt could not be given to a slot.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("start the thread of slot {slot}")]
    Thread { slot: usize, source: std::io::Error },
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

/// Owns the threads of the slots.
#[derive(Debug)]
pub struct Slots {
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    work: SyncSender<Job>,
    thread: JoinHandle<()>,
}

struct Job {
    attempt: Attempt,
    inbox: Inbox,
    progress: watch::Sender<Progress>,
}

impl Slots {
    /// Starts `count` slots that send their reports, bounded by what `reports` takes.
    ///
    /// # Errors
    ///
    /// Fails when a thread cannot be made.
    pub fn start(settings: &Settings, count: usize, reports: &mpsc::Sender<Report>) -> Result<Self, Error> {
        let slots = (0..count).map(|slot| Slot::start(settings.clone(), slot, reports.clone()));
        Ok(Self { slots: slots.collect::<Result<_, _>>()? })
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
        for Slot { work, thread } in self.slots {
            drop(work);
            // A panic in a slot was reported by the panic hook; there is nothing left to wait for.
            let _ = thread.join();
        }
    }
}

impl Slot {
    fn start(settings: Settings, slot: usize, reports: mpsc::Sender<Report>) -> Result<Self, Error> {
        let (work, jobs) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name(format!("slot-{slot}"))
            .spawn(move || serve(&settings, slot, &jobs, &reports))
            .map_err(|source| Error::Thread { slot, source })?;
        Ok(Self { work, thread })
    }
}

fn serve(_settings: &Settings, slot: usize, jobs: &Receiver<Job>, reports: &mpsc::Sender<Report>) {
    while let Ok(Job { attempt, inbox, progress: _progress }) = jobs.recv() {
        while inbox.take().is_some() {}
        let outcome = Outcome {
            verdict: Verdict::Failed(Failure {
                reason: FailureReason::RunnerUnavailable,
                message: "this agent has no runners yet".into(),
                hint: String::new(),
            }),
            exit_code: None,
            summary: String::new(),
            usage: Usage::default(),
            simulated: false,
            output_bytes: 0,
            output_dropped_bytes: 0,
            files: FileList::default(),
            run_ms: 0,
        };
        let report = Report {
            slot,
            task_id: attempt.task_id,
            attempt: attempt.number,
            body: ReportBody::Finished(Box::new(outcome)),
        };
        if reports.blocking_send(report).is_err() {
            return;
        }
    }
}
