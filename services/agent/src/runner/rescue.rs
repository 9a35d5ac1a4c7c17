//! What a run had made in its repository when it was lost with its worker or its keeper: kept with its attempt before
//! anything else is run, because no later attempt may come.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use conductor_redact::Redactor;
use rustix::fd::AsFd as _;
use rustix::fs::AtFlags;
use rustix::io::Errno;
use uuid::Uuid;

use super::attempt::Attempt;
use super::control::Control;
use super::outcome::{Outcome, Verdict};
use super::repository::{BUNDLE, PATCH};
use super::slot::Slot;
use crate::git::{Git, Tree};
use crate::process::leftover;
use crate::run::beneath;

/// The folder of the notes, in the private one.
const FOLDER: &str = "git-unfinished";
/// The longest note.
const MAX_NOTE_BYTES: u64 = 256;

/// The note of a slot: which attempt works in a repository.
#[derive(Debug)]
pub(super) struct Unfinished {
    path: PathBuf,
}

impl Unfinished {
    pub fn new(private: PathBuf, agent_id: &str, slot: usize) -> Self {
        Self { path: private.join(FOLDER).join(format!("{agent_id}-{slot}")) }
    }

    /// Notes an attempt.
    pub fn note(&self, task: Uuid, attempt: u32) {
        let folder = self.path.parent().expect("it lies in a folder of its own");
        let noted =
            fs::create_dir_all(folder).and_then(|()| fs::write(&self.path, format!("{task} {attempt}")));
        if let Err(error) = noted {
            tracing::warn!(%error, "what a run makes would not be kept if its worker died");
        }
    }

    /// The attempt that was noted.
    fn read(&self) -> Option<(Uuid, u32)> {
        if fs::metadata(&self.path).ok()?.len() > MAX_NOTE_BYTES {
            return None;
        }
        let text = fs::read_to_string(&self.path).ok()?;
        let (task, attempt) = text.split_once(' ')?;
        Some((task.parse().ok()?, attempt.parse().ok()?))
    }

    /// Says that nothing is left to be kept.
    pub fn forget(&self) {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::debug!(%error, "a note of a run was not removed");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

impl Slot {
    /// Keeps the commits and the difference of the attempt that was lost in this slot with the worker before, if one was.
    pub(super) fn rescue_after_restart(&mut self) {
        let Some((task, attempt)) = self.unfinished.read() else { return };
        let left = self.workspace.left_by(&task.to_string(), attempt);
        let result = left.map(|left| beneath::open_regular(left.attempt.as_fd(), "result.json".as_ref()));
        // One that has its result was collected.
        match result {
            // Which of the secrets the run had is not known any more.
            Ok(Ok(None)) => {
                let redactor = self.programs.redactor_of_all();
                self.rescue(task, attempt, redactor.as_ref());
            }
            Ok(Ok(Some(_)) | Err(_)) | Err(_) => self.unfinished.forget(),
        }
    }

    /// Keeps what an attempt in a repository made, if it was lost; nothing is left to be kept then.
    pub(super) fn look_after(&mut self, attempt: &Attempt, outcome: &Outcome, redactor: &Redactor) {
        match outcome.verdict {
            Verdict::Crashed { .. } => self.rescue(attempt.task_id, attempt.number, Some(redactor)),
            Verdict::Succeeded
            | Verdict::Failed(_)
            | Verdict::Limited { .. }
            | Verdict::Cancelled
            | Verdict::Stopped => self.unfinished.forget(),
        }
    }

    /// Keeps the commits of an attempt that was lost, and the difference where secrets can be kept out of it.
    fn rescue(&mut self, task: Uuid, attempt: u32, redactor: Option<&Redactor>) {
        match self.keep(task, attempt, redactor) {
            Ok(true) => tracing::info!(%task, attempt, "kept the commits of a run that was lost"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%task, attempt, %error, "the commits of a lost run were not kept"),
        }
        self.unfinished.forget();
    }

    fn keep(&mut self, task: Uuid, attempt: u32, redactor: Option<&Redactor>) -> io::Result<bool> {
        let folder = self.workspace.left_by(&task.to_string(), attempt)?;
        let place = folder.place();
        let Some(mut tree) = Tree::open(&place).map_err(io::Error::other)? else { return Ok(false) };
        self.get_ready().map_err(|failure| io::Error::other(failure.message))?;
        let (_control, inbox) = Control::pair()?;
        let git = Git {
            keeper: self.keeper.as_ref().expect("it was made ready above"),
            sandbox: &self.programs.sandbox,
            null: self.null.as_ref().expect("it was opened above"),
            inbox: &inbox,
            settings: &self.git,
            marks: vec![(leftover::AGENT_VARIABLE, self.agent_id.clone().into())],
            path: self.environment_path(),
        };
        let collected = tree.collect(&git, &place).map_err(io::Error::other)?;
        if let Some(redactor) = redactor
            && !collected.patch.is_empty()
        {
            folder.write_whole(PATCH, &redactor.bytes(&collected.patch))?;
        }
        if let Some(bundle) = &collected.bundle {
            // A try before this one may have been cut off.
            rustix::fs::unlinkat(&folder.attempt, BUNDLE, AtFlags::empty()).or_else(absent_is_fine)?;
            io::copy(&mut File::open(bundle)?, &mut folder.create(BUNDLE)?)?;
        }
        Ok(collected.bundle.is_some())
    }
}

fn absent_is_fine(errno: Errno) -> rustix::io::Result<()> {
    if errno == Errno::NOENT { Ok(()) } else { Err(errno) }
}
