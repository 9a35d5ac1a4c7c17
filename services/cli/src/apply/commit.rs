//! Carrying a plan out: everything is written beside its place first, then put there, and taken back when one fails.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, openat, renameat, renameat_with, unlinkat};
use rustix::io::Errno;

use super::plan::{Plan, Step};
use super::tree::{self, RelativePath, Stamp};

/// Why a plan was not carried out. Everything is as it was.
#[derive(Debug, thiserror::Error)]
#[error("nothing was changed: {path}: {why}")]
pub struct Error {
    path: RelativePath,
    why: String,
}

/// A step that is prepared: its new content lies beside its place.
struct Staged<'a> {
    step: &'a Step,
    folder: OwnedFd,
    /// Where the new content lies.
    new: Option<String>,
    /// Where the old content lies once the step is done.
    old: String,
}

/// What was done, so that it can be taken back.
#[derive(Default)]
struct Done<'a> {
    staged: Vec<Staged<'a>>,
    /// How many of the staged steps are in place.
    placed: usize,
    /// Folders that were made, outer ones first: the path whose folders they are, and how many of them.
    folders: Vec<(&'a RelativePath, usize)>,
}

/// Carries a plan out, all of it or nothing.
pub fn commit(root: &File, plan: &Plan) -> Result<(), Error> {
    let mut done = Done::default();
    let result = stage(root, plan, &mut done).and_then(|()| place(&mut done));
    match result {
        Ok(()) => done.forget(),
        Err(_) => done.take_back(root),
    }
    result
}

fn stage<'a>(root: &File, plan: &'a Plan, done: &mut Done<'a>) -> Result<(), Error> {
    for step in &plan.steps {
        let failed = |error: io::Error| Error { path: step.path.clone(), why: error.to_string() };
        let folders = &mut done.folders;
        let folder = tree::make_folder(root, &step.path, |depth| folders.push((&step.path, depth)))
            .map_err(|error| failed(error.into()))?;
        let suffix = uuid::Uuid::new_v4().simple();
        let new = step.becomes.is_some().then(|| format!(".conductor-{suffix}.new"));
        done.staged.push(Staged { step, folder, new, old: format!(".conductor-{suffix}.old") });
        let staged = done.staged.last().expect("it was just put there");
        write_new(staged).map_err(failed)?;
    }
    Ok(())
}

fn write_new(staged: &Staged<'_>) -> io::Result<()> {
    let (Some(name), Some(content)) = (&staged.new, &staged.step.becomes) else { return Ok(()) };
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(&staged.folder, name.as_str(), flags, Mode::from_raw_mode(0o600))?;
    let mut file = File::from(file);
    file.write_all(&content.bytes)?;
    file.set_permissions(Permissions::from_mode(content.mode))
}

fn place(done: &mut Done<'_>) -> Result<(), Error> {
    for staged in &done.staged {
        let placed = match &staged.step.was {
            Some(was) => staged.check(was).and_then(|()| staged.replace()),
            None => staged.add(),
        };
        placed.map_err(|error| Error { path: staged.step.path.clone(), why: error.to_string() })?;
        done.placed += 1;
    }
    Ok(())
}

impl Staged<'_> {
    /// Whether the file is still what it was.
    fn check(&self, was: &Stamp) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(&self.folder, self.step.path.name(), flags, Mode::empty())?);
        if Stamp::of(&file)? == *was {
            return Ok(());
        }
        Err(io::Error::other("it was changed meanwhile"))
    }

    fn replace(&self) -> io::Result<()> {
        let name = self.step.path.name();
        renameat(&self.folder, name, &self.folder, self.old.as_str())?;
        let Some(new) = &self.new else { return Ok(()) };
        renameat(&self.folder, new.as_str(), &self.folder, name).inspect_err(|_| {
            // The step failed as a whole: its first half is taken back here.
            let _stays_beside = renameat(&self.folder, self.old.as_str(), &self.folder, name);
        })?;
        Ok(())
    }

    fn add(&self) -> io::Result<()> {
        let (name, new) = (self.step.path.name(), self.new.as_deref().unwrap_or_default());
        match renameat_with(&self.folder, new, &self.folder, name, RenameFlags::NOREPLACE) {
            // A file system that cannot do it in one step.
            Err(Errno::INVAL | Errno::NOSYS) if tree::is_free(&self.folder, name) => {
                Ok(renameat(&self.folder, new, &self.folder, name)?)
            }
            other => Ok(other?),
        }
    }

    fn take_back(&self) {
        let name = self.step.path.name();
        let result = match self.step.was {
            Some(_) => renameat(&self.folder, self.old.as_str(), &self.folder, name),
            None => unlinkat(&self.folder, name, AtFlags::empty()),
        };
        if let Err(error) = result {
            tracing::error!(path = %self.step.path, beside = self.old, %error, "a file could not be put back");
        }
    }
}

impl Done<'_> {
    /// Removes the old contents.
    fn forget(&self) {
        for staged in self.staged.iter().filter(|staged| staged.step.was.is_some()) {
            remove(staged, &staged.old);
        }
    }

    fn take_back(&self, root: &File) {
        self.staged[..self.placed].iter().rev().for_each(Staged::take_back);
        for staged in &self.staged[self.placed..] {
            staged.new.iter().for_each(|name| remove(staged, name));
        }
        for (path, depth) in self.folders.iter().rev() {
            // A folder that is not empty has become another's.
            let _stays = tree::remove_folder(root, &path.folders()[..*depth]);
        }
    }
}

fn remove(staged: &Staged<'_>, name: &str) {
    match unlinkat(&staged.folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => tracing::warn!(name, %error, "a file of this command stayed behind"),
    }
}
