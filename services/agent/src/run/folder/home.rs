//! The private home of a task, which no other run writes.

use std::os::fd::{AsFd, OwnedFd};

use super::super::beneath;
use super::{Folder, Workspace};

/// The most attempts that are looked through.
const MAX_ATTEMPTS: u32 = 1_000;

impl Workspace {
    /// The path of the private folders.
    #[must_use]
    pub fn private(&self) -> std::path::PathBuf {
        self.path.join("private")
    }

    /// Opens the folder of an attempt as it was left.
    ///
    /// # Errors
    /// Fails when it is gone.
    pub fn left_by(&self, task_id: &str, attempt: u32) -> std::io::Result<Folder> {
        let task = beneath::open_folder(self.tasks.as_fd(), task_id)?;
        let attempts = beneath::open_folder(task.as_fd(), "attempts")?;
        Ok(Folder {
            work: beneath::open_folder(task.as_fd(), "work")?,
            attempt: beneath::open_folder(attempts.as_fd(), attempt.to_string())?,
            private: beneath::open_folder(self.private.as_fd(), task_id)?,
            borrows: Vec::new(),
            path: self.path.join("tasks").join(task_id),
            private_path: self.path.join("private").join(task_id),
        })
    }

    /// Opens the home of a task that was here; none when it is gone.
    #[must_use]
    pub fn home_of(&self, task_id: &str) -> Option<OwnedFd> {
        let private = beneath::open_folder(self.private.as_fd(), task_id).ok()?;
        beneath::open_folder(private.as_fd(), "home").ok()
    }

    /// Opens the folder of the last attempt at a task; none when it is gone.
    #[must_use]
    pub fn last_attempt_of(&self, task_id: &str) -> Option<OwnedFd> {
        let task = beneath::open_folder(self.tasks.as_fd(), task_id).ok()?;
        let attempts = beneath::open_folder(task.as_fd(), "attempts").ok()?;
        let open = |number: u32| beneath::open_folder(attempts.as_fd(), number.to_string()).ok();
        (1..=MAX_ATTEMPTS).map_while(open).last()
    }
}

impl Folder {
    /// The path of a private file of this run.
    #[must_use]
    pub fn private_file(&self, name: &str) -> std::path::PathBuf {
        self.private_path.join(name)
    }
}
