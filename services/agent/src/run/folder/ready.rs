//! The folder of an attempt once it is ready: where its parts are, and what is written into them.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::steps::write_whole;
use super::{Folder, place};
use crate::git;
use crate::process::leftover::Record;
use crate::run::beneath;

impl Folder {
    /// Where its repository is, if it has one.
    #[must_use]
    pub fn place(&self) -> git::Place<'_> {
        place(&self.path, &self.private_path, &self.work)
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    #[must_use]
    pub fn work_path(&self) -> PathBuf {
        self.path.join("work")
    }

    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.private_path.join("home")
    }

    #[must_use]
    pub fn temporary(&self) -> PathBuf {
        self.private_path.join("tmp")
    }

    /// Makes a file of the attempt, such as `output.log`.
    ///
    /// # Errors
    ///
    /// Fails when the file is there or the disk says no.
    pub fn create(&self, name: &str) -> io::Result<File> {
        Ok(beneath::create(self.attempt.as_fd(), name)?)
    }

    /// Writes a file of the attempt that is there whole or not at all, should this process be killed.
    ///
    /// # Errors
    ///
    /// Fails when the disk says no.
    pub fn write_whole(&self, name: &str, content: &[u8]) -> io::Result<()> {
        write_whole(self.attempt.as_fd(), name, content)
    }

    /// Writes down the first child of this attempt for a later life of the agent.
    ///
    /// # Errors
    ///
    /// Fails when the disk says no.
    pub fn keep_process(&self, record: &Record) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.private, "process.json", flags, Mode::from_raw_mode(0o600))?;
        File::from(fd).write_all(&serde_json::to_vec(record)?)
    }
}
