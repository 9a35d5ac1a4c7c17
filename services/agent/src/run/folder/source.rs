//! What a task begins with a copy of.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use super::{Error, Workspace};
use crate::run::copies::CopyRoots;
use crate::run::{beneath, inherit};

/// What a task begins with a copy of, and the most bytes that are copied.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// The work of another task.
    Task { workspace: &'a Workspace, task_id: &'a str, max_bytes: u64 },
    /// A folder of this host.
    Folder { roots: &'a CopyRoots, path: &'a Path, max_bytes: u64 },
}

impl Source<'_> {
    pub(super) fn copy_to(&self, work: BorrowedFd<'_>) -> Result<(), Error> {
        let left_behind = match *self {
            Source::Task { workspace, task_id, max_bytes } => {
                let task = || task_id.to_owned();
                let found = beneath::open_folder(workspace.tasks.as_fd(), task_id)
                    .and_then(|task| beneath::open_folder(task.as_fd(), "work"));
                let found = found.map_err(|_| Error::NoSource { task: task() })?;
                inherit::copy(found.as_fd(), work, max_bytes)
                    .map_err(|source| Error::Source { task: task(), source })?
            }
            Source::Folder { roots, path, max_bytes } => {
                let found = roots.open(path).map_err(|source| Error::NoCopy { path: path.into(), source })?;
                inherit::copy(found.as_fd(), work, max_bytes)
                    .map_err(|source| Error::Copy { path: path.into(), source })?
            }
        };
        if left_behind > 0 {
            tracing::info!(left_behind, "not all of what a task begins with could be copied");
        }
        Ok(())
    }
}
