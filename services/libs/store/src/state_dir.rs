//! The state directory: one owner, and a reserve of room.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const LOCK: &str = "lock";

/// Why the state directory cannot be owned.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process owns it.
    #[error("{path} is in use by {}; only one orchestrator may own it", holder(*.pid))]
    Held {
        /// The directory.
        path: PathBuf,
        /// The other process, where it can be told.
        pid: Option<u32>,
    },
    /// The directory cannot be made or its lock not be opened.
    #[error("failed to open {path}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// A state directory that this process owns for as long as the value lives.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    // The lock goes with the descriptor, also when the process is killed.
    _lock: File,
}

impl StateDir {
    /// Makes the directory where it is missing, open to its owner alone, and locks it.
    ///
    /// # Errors
    /// Names the process that owns it already.
    pub fn lock(path: impl Into<PathBuf>) -> Result<Self, LockError> {
        let path = path.into();
        let io_error = |path: &Path| {
            let path = path.to_owned();
            move |source| LockError::Io { path, source }
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(io_error(&path))?;
        let lock_path = path.join(LOCK);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(io_error(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held { path, pid: read_pid(&mut lock) }),
            Err(TryLockError::Error(source)) => return Err(LockError::Io { path: lock_path, source }),
        }
        // The holder's number is a courtesy: on a full disk the lock holds without it.
        if let Err(error) = write_pid(&mut lock) {
            tracing::warn!(path = %lock_path.display(), %error, "the lock does not name its holder");
        }
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn read_pid(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.seek(SeekFrom::Start(0))?;
    writeln!(lock, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_refused_and_told_who_the_first_is() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state");
        let first = StateDir::lock(&path).unwrap();
        let error = StateDir::lock(&path).unwrap_err();
        let pid = std::process::id();
        assert_eq!(
            error.to_string(),
            format!("{} is in use by process {pid}; only one orchestrator may own it", path.display())
        );
        drop(first);
        StateDir::lock(&path).unwrap();
    }

    #[test]
    fn a_lock_left_by_a_dead_process_is_taken() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(LOCK), "999999999\n").unwrap();
        StateDir::lock(root.path()).unwrap();
        let pid = std::fs::read_to_string(root.path().join(LOCK)).unwrap();
        assert_eq!(pid.trim(), std::process::id().to_string());
    }
}
