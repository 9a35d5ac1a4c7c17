//! The folders of a run, as users see them:
//!
//! ```text
//! tasks/<task-id>/task.json      what was asked; written last, so a folder without it is not ready
//!                /work/          the working directory
//!                /attempts/N/    what attempt N left, the work of a failed one among it
//! private/<task-id>/             never served: home/, tmp/, base/ (see `diff`), process.json
//! ```
//!
//! A task may have put anything anywhere in its folder, so everything is reached by descriptors and no link is followed.

mod home;
mod ready;
mod source;
mod spare;
mod steps;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

pub use self::source::Source;
use self::spare::Spare;
use self::steps::{absent_is_fine, make, move_to_free_name, write_whole};
use super::beneath::{self, Existing, RelativePath};
use super::copies;
use super::diff;
use super::inherit;
use super::types::{InputFile, InputUpload};
use super::upload;
use crate::git;
use crate::process::leftover::Record;

const PUBLIC: Mode = Mode::from_raw_mode(0o755);
const PRIVATE: Mode = Mode::from_raw_mode(0o700);

/// Why a run folder could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("make the folder {path}")]
    Make { path: PathBuf, source: io::Error },
    #[error("open the folder {path}")]
    Open { path: PathBuf, source: io::Error },
    #[error("move the work of an earlier attempt out of {path}")]
    Move { path: PathBuf, source: io::Error },
    #[error("write {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Input(#[from] beneath::Error),
    #[error(transparent)]
    Upload(#[from] upload::Error),
    #[error("keep a copy of the task's files for the diff")]
    Base(#[source] io::Error),
    #[error(
        "the work of task {task}, which this one starts from, is not here: it never ran here, or was removed"
    )]
    NoSource { task: String },
    #[error("the work of task {task}, which this one starts from, cannot be copied: {source}")]
    Source { task: String, source: inherit::Error },
    #[error("the folder {path} cannot be copied: {source}")]
    NoCopy { path: PathBuf, source: copies::Error },
    #[error("the folder {path} cannot be copied: {source}")]
    Copy { path: PathBuf, source: inherit::Error },
    #[error(transparent)]
    Tree(#[from] git::Error),
}

/// The folder under which all run folders of an agent are.
#[derive(Debug)]
pub struct Workspace {
    path: PathBuf,
    tasks: OwnedFd,
    private: OwnedFd,
    spare: Spare,
}

/// A task's folder, before it is made ready for an attempt.
#[derive(Debug)]
pub struct Entered {
    path: PathBuf,
    private_path: PathBuf,
    task: OwnedFd,
    private: OwnedFd,
    is_new: bool,
    /// Whether its private folder came with what is in it.
    has_private: bool,
}

/// A task's folder, ready for one attempt.
#[derive(Debug)]
pub struct Folder {
    pub work: OwnedFd,
    pub attempt: OwnedFd,
    pub private: OwnedFd,
    /// What its programs read besides what all may: the objects of a repository.
    pub borrows: Vec<PathBuf>,
    path: PathBuf,
    private_path: PathBuf,
}

/// Checks a repository out, or goes on in a copied one; says whether there is one.
pub type Checkout<'a> = &'a dyn Fn(&git::Place<'_>) -> Result<bool, git::Error>;

/// What an attempt needs in its folder.
#[expect(missing_debug_implementations, reason = "it holds a function")]
pub struct Needs<'a> {
    pub attempt: u32,
    /// Whether the work goes on as it is, if it is there.
    pub resume: bool,
    pub task_json: &'a str,
    pub files: &'a [InputFile],
    pub uploads: Option<Uploads<'a>>,
    /// What this one begins with a copy of; its own files are written over it.
    pub starts_from: Option<Source<'a>>,
    /// What is asked for the repository that the work is in; its files are written over it.
    pub checkout: Option<Checkout<'a>>,
}

/// The uploads that a task brings.
#[derive(Debug, Clone, Copy)]
pub struct Uploads<'a> {
    /// Where they lie.
    pub workspace: &'a Workspace,
    pub list: &'a [InputUpload],
    /// The most bytes that each may unpack to.
    pub max_bytes: u64,
}

impl Workspace {
    /// Opens a workspace, and makes its folders where they are missing.
    ///
    /// # Errors
    ///
    /// Fails when they cannot be made or opened.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let make = |path: &Path| {
            std::fs::create_dir_all(path).map_err(|source| Error::Make { path: path.to_owned(), source })
        };
        make(path)?;
        let path = path.canonicalize().map_err(|source| Error::Open { path: path.to_owned(), source })?;
        make(&path.join("tasks"))?;
        make(&path.join("private"))?;
        let open = |name: &str| {
            let path = path.join(name);
            beneath::open_folder(rustix::fs::CWD, &path)
                .map_err(|errno| Error::Open { path, source: errno.into() })
        };
        let (tasks, private) = (open("tasks")?, open("private")?);
        rustix::fs::fchmod(&private, PRIVATE)
            .map_err(|errno| Error::Make { path: path.join("private"), source: errno.into() })?;
        let spare = Spare::open(private.as_fd())
            .map_err(|errno| Error::Make { path: path.join("private"), source: errno.into() })?;
        Ok(Self { path, tasks, private, spare })
    }

    /// Enters the folder of a task and makes it where it is missing.
    ///
    /// # Errors
    ///
    /// Fails when it cannot be made or opened.
    pub fn enter(&self, task_id: &str) -> Result<Entered, Error> {
        let (path, private_path) =
            (self.path.join("tasks").join(task_id), self.path.join("private").join(task_id));
        let is_new = make(self.tasks.as_fd(), task_id, PUBLIC)
            .map_err(|errno| Error::Make { path: path.clone(), source: errno.into() })?;
        let has_private = is_new && self.spare.give(self.private.as_fd(), task_id);
        if !has_private {
            make(self.private.as_fd(), task_id, PRIVATE)
                .map_err(|errno| Error::Make { path: private_path.clone(), source: errno.into() })?;
        }
        let task = beneath::open_folder(self.tasks.as_fd(), task_id)
            .map_err(|errno| Error::Open { path: path.clone(), source: errno.into() })?;
        let private = beneath::open_folder(self.private.as_fd(), task_id)
            .map_err(|errno| Error::Open { path: private_path.clone(), source: errno.into() })?;
        Ok(Entered { path, private_path, task, private, is_new, has_private })
    }
}

impl Entered {
    /// Says whether no attempt has been here before, so that nothing can be left of one.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the first child of the attempt that was here last, as far as it was written down.
    #[must_use]
    pub fn last_process(&self) -> Option<Record> {
        let file = beneath::open_regular(self.private.as_fd(), "process.json".as_ref()).ok()??;
        serde_json::from_reader(file).ok()
    }

    /// Makes the folder ready. Nothing of an earlier attempt may run any more.
    ///
    /// # Errors
    ///
    /// Fails when a folder or file cannot be made, or a file of the task has a path that may not be.
    pub fn prepare(self, needs: &Needs<'_>) -> Result<Folder, Error> {
        let task = self.task.as_fd();
        if self.is_new {
            return self.prepare_new(needs);
        }
        let attempts = self.folder(task, "attempts", PUBLIC)?;
        let mut resume = needs.resume && self.was_ready();
        if !resume {
            self.put_aside(&attempts, needs.attempt)?;
        }
        let mut work = match self.make_and_open(task, "work", PUBLIC) {
            Ok((work, made)) => {
                resume &= !made;
                work
            }
            Err(Error::Open { .. }) => {
                // Something else stands where the work was.
                self.put_aside(&attempts, needs.attempt)?;
                resume = false;
                self.folder(task, "work", PUBLIC)?
            }
            Err(error) => return Err(error),
        };
        self.folder(self.private.as_fd(), "home", PRIVATE)?;
        self.folder(self.private.as_fd(), "tmp", PRIVATE)?;
        let attempt = self.attempt(&attempts, needs.attempt)?;
        if !resume {
            self.forget_ready()?;
            self.fill(&mut work, needs)?;
        }
        Ok(self.ready(work, attempt))
    }

    /// The same for a folder in which nothing is yet, in as few steps as can be: most tasks are short.
    fn prepare_new(self, needs: &Needs<'_>) -> Result<Folder, Error> {
        let (task, private) = (self.task.as_fd(), self.private.as_fd());
        let made = |at: BorrowedFd<'_>, name: &str, mode: Mode| {
            make(at, name, mode)
                .map_err(|errno| Error::Make { path: self.path.join(name), source: errno.into() })
        };
        let mut work = self.folder(task, "work", PUBLIC)?;
        made(task, "attempts", PUBLIC)?;
        let attempt = self.folder(task, &format!("attempts/{}", needs.attempt), PUBLIC)?;
        if !self.has_private {
            made(private, "home", PRIVATE)?;
            made(private, "tmp", PRIVATE)?;
        }
        self.fill(&mut work, needs)?;
        Ok(self.ready(work, attempt))
    }

    /// Writes what the task starts with, and last that it was written.
    fn fill(&self, work: &mut OwnedFd, needs: &Needs<'_>) -> Result<(), Error> {
        let mut existing = Existing::Refuse;
        if let Some(source) = &needs.starts_from {
            source.copy_to(work.as_fd())?;
            existing = Existing::Replace;
        }
        let mut has_repository = false;
        if let Some(checkout) = needs.checkout {
            let place = self.place(work);
            has_repository = checkout(&place)?;
            // It may be another folder now.
            *work = self.folder(self.task.as_fd(), "work", PUBLIC)?;
            existing = Existing::Replace;
        }
        for InputFile { path, content, executable } in needs.files {
            let file = beneath::write_file(work.as_fd(), RelativePath::new(path)?, content, existing)?;
            if *executable {
                rustix::fs::fchmod(&file, PUBLIC)
                    .map_err(|errno| Error::Write { path: path.into(), source: errno.into() })?;
            }
        }
        if let Some(Uploads { workspace, list, max_bytes }) = needs.uploads {
            for upload in list {
                upload::place(workspace.private.as_fd(), work.as_fd(), upload, max_bytes, existing)?;
            }
        }
        match needs.starts_from {
            // Git knows what was there.
            _ if has_repository => Ok(()),
            _ if needs.uploads.is_some() => diff::keep_work_as_base(self.private.as_fd(), work.as_fd()),
            Some(_) => diff::keep_work_as_base(self.private.as_fd(), work.as_fd()),
            None => diff::keep_base(self.private.as_fd(), needs.files),
        }
        .map_err(Error::Base)?;
        write_whole(self.task.as_fd(), "task.json", needs.task_json.as_bytes())
            .map_err(|source| Error::Write { path: self.path.join("task.json"), source })
    }

    fn place<'a>(&'a self, work: &'a OwnedFd) -> git::Place<'a> {
        place(&self.path, &self.private_path, work)
    }

    fn ready(self, work: OwnedFd, attempt: OwnedFd) -> Folder {
        let Self { path, private_path, private, .. } = self;
        Folder { work, attempt, private, borrows: Vec::new(), path, private_path }
    }

    fn was_ready(&self) -> bool {
        let stat = rustix::fs::statat(&self.task, "task.json", AtFlags::SYMLINK_NOFOLLOW);
        stat.is_ok_and(|stat| stat.st_size > 0)
    }

    fn forget_ready(&self) -> Result<(), Error> {
        rustix::fs::unlinkat(&self.task, "task.json", AtFlags::empty())
            .or_else(absent_is_fine)
            .map_err(|errno| Error::Write { path: self.path.join("task.json"), source: errno.into() })
    }

    /// Moves the work, and the private folders that belong to it, to the attempt that made it.
    fn put_aside(&self, attempts: &OwnedFd, number: u32) -> Result<(), Error> {
        let moved = |errno: Errno| Error::Move { path: self.path.join("work"), source: errno.into() };
        self.forget_ready()?;
        let earlier = (1..number).rev().find_map(|number| {
            beneath::open_folder(attempts.as_fd(), number.to_string()).ok().map(|fd| (number, fd))
        });
        let (number, target) = match earlier {
            Some(found) => found,
            // The attempt before did not come as far as its own folder.
            None => (0, self.folder(attempts.as_fd(), "0", PUBLIC)?),
        };
        move_to_free_name(self.task.as_fd(), "work", target.as_fd(), "work").map_err(moved)?;
        for name in ["home", "tmp"] {
            let old = format!("{name}-{number}");
            move_to_free_name(self.private.as_fd(), name, self.private.as_fd(), &old).map_err(moved)?;
        }
        Ok(())
    }

    fn attempt(&self, attempts: &OwnedFd, number: u32) -> Result<OwnedFd, Error> {
        let name = number.to_string();
        let path = || self.path.join("attempts").join(&name);
        let is_new = make(attempts.as_fd(), &name, PUBLIC)
            .map_err(|errno| Error::Make { path: path(), source: errno.into() })?;
        if !is_new {
            // The number was given twice, as after a restore: what is there stays, under another name.
            move_to_free_name(attempts.as_fd(), &name, attempts.as_fd(), &format!("{name}-stale"))
                .map_err(|errno| Error::Move { path: path(), source: errno.into() })?;
        }
        self.folder(attempts.as_fd(), &name, PUBLIC)
    }

    fn folder(&self, at: BorrowedFd<'_>, name: &str, mode: Mode) -> Result<OwnedFd, Error> {
        self.make_and_open(at, name, mode).map(|(folder, _)| folder)
    }

    /// Opens a folder, made now or there before; says which.
    fn make_and_open(&self, at: BorrowedFd<'_>, name: &str, mode: Mode) -> Result<(OwnedFd, bool), Error> {
        let path = || self.path.join(name);
        let made =
            make(at, name, mode).map_err(|errno| Error::Make { path: path(), source: errno.into() })?;
        let folder = beneath::open_folder(at, name)
            .map_err(|errno| Error::Open { path: path(), source: errno.into() })?;
        Ok((folder, made))
    }
}

fn place<'a>(path: &'a Path, private: &Path, work: &'a OwnedFd) -> git::Place<'a> {
    let (Some(workspace), Some(task_id)) =
        (path.ancestors().nth(2), path.file_name().and_then(OsStr::to_str))
    else {
        unreachable!("a run folder is <workspace>/tasks/<task-id>");
    };
    git::Place {
        workspace,
        task_id,
        work: work.as_fd(),
        work_path: path.join("work"),
        private: private.to_owned(),
    }
}

#[cfg(test)]
mod tests;
