//! Run folders in a directory, as others than the agent see them: read, listed, deleted.
//!
//! A task may have put anything into its folder: links to other places, pipes that nobody writes, files that belong to
//! somebody else, names that are no text, folders in folders without end. So everything is reached by descriptors from the
//! folder down, no link is followed, and only regular files are opened.

mod beneath;
pub mod browse;
mod delete;
mod list;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use conductor_core::TaskId;

pub use list::{Entry, Limits, Listing};

/// The run folders of a workspace. Every method blocks.
#[derive(Debug, Clone)]
pub struct Directory {
    workspace: PathBuf,
}

/// Bytes of an output, and where they lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Where the first byte lies.
    pub offset: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How long the whole output is by now.
    pub length: u64,
}

impl Directory {
    /// The run folders in `<workspace>/tasks`, and the private ones beside them.
    #[must_use]
    pub fn new(workspace: impl Into<PathBuf>) -> Self {
        Self { workspace: workspace.into() }
    }

    /// Where a task's folder is.
    #[must_use]
    pub fn folder(&self, task: TaskId) -> PathBuf {
        self.workspace.join("tasks").join(task.to_string())
    }

    fn private(&self, task: TaskId) -> PathBuf {
        self.workspace.join("private").join(task.to_string())
    }

    /// Opens a file that the agent wrote for an attempt, such as `output.log` or `diff.patch`; none when it is not there or
    /// is no regular file.
    ///
    /// # Errors
    /// The disk failed.
    pub fn attempt_file(&self, task: TaskId, attempt: u32, name: &str) -> io::Result<Option<File>> {
        beneath::open_file(&self.folder(task), &format!("attempts/{attempt}/{name}"))
    }

    /// Opens a file of the work folder by its path in there; none when it is not there, is no regular file, lies behind a
    /// link, or has a second name that may lie elsewhere.
    ///
    /// # Errors
    /// The disk failed.
    pub fn work_file(&self, task: TaskId, path: &str) -> io::Result<Option<File>> {
        use std::os::unix::fs::MetadataExt;
        let Some(file) = beneath::open_file(&self.folder(task).join("work"), path)? else { return Ok(None) };
        Ok((file.metadata()?.nlink() == 1).then_some(file))
    }

    /// Reads up to `max_bytes` of an attempt's output from `offset` on; none when there is no output.
    ///
    /// # Errors
    /// The disk failed.
    pub fn output(
        &self,
        task: TaskId,
        attempt: u32,
        offset: u64,
        max_bytes: usize,
    ) -> io::Result<Option<Output>> {
        let Some(file) = self.attempt_file(task, attempt, "output.log")? else { return Ok(None) };
        let length = file.metadata()?.len();
        let left = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; max_bytes.min(left)];
        let mut read = 0;
        while read < bytes.len() {
            match file.read_at(&mut bytes[read..], offset + read as u64)? {
                0 => break,
                count => read += count,
            }
        }
        bytes.truncate(read);
        Ok(Some(Output { offset, bytes, length }))
    }

    /// Lists the regular files of the work folder by their paths, sorted, as far as the limits go.
    ///
    /// # Errors
    /// The disk failed.
    pub fn list(&self, task: TaskId, limits: Limits) -> io::Result<Listing> {
        list::list(&self.folder(task).join("work"), limits)
    }

    /// Deletes a task's folder and its private one, with all in them. What links in them lead to stays. A folder that is
    /// not there is passed over.
    ///
    /// # Errors
    /// Something could not be deleted; the rest is gone.
    pub fn delete(&self, task: TaskId) -> io::Result<()> {
        let run = delete::tree(&self.folder(task));
        let private = delete::tree(&self.private(task));
        run.and(private)
    }

    /// Deletes a task's work folder and its private one, and keeps what its attempts left.
    ///
    /// # Errors
    /// Something could not be deleted; the rest is gone.
    pub fn delete_work(&self, task: TaskId) -> io::Result<()> {
        let work = delete::tree(&self.folder(task).join("work"));
        let private = delete::tree(&self.private(task));
        work.and(private)
    }
}

#[cfg(test)]
mod tests;
