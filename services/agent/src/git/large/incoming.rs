//! A large file on its way into a store, which other runs fetch into and read from at the same time.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::Pointer;

/// What the name of a file ends in that is not whole yet.
const ENDING: &str = ".new";

/// A file that is being written. It is locked for as long, so whoever finds one without a lock knows that its writer was
/// killed. It goes when it is dropped, unless it was kept.
#[derive(Debug)]
pub(super) struct Incoming {
    path: PathBuf,
    file: File,
}

impl Incoming {
    /// Begins a file.
    pub fn begin(store: &Path, pointer: &Pointer) -> io::Result<Self> {
        fs::create_dir_all(store)?;
        loop {
            let path = store.join(format!("{}.{}{ENDING}", pointer.oid, uuid::Uuid::now_v7()));
            let file = File::create_new(&path)?;
            rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
            // Before it was locked, it looked like one that was left behind.
            if path.exists() {
                return Ok(Self { path, file });
            }
        }
    }

    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Puts it in its place, whole.
    pub fn keep(self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path.parent().expect("it lies in a folder"))?;
        fs::rename(&self.path, path)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // It is elsewhere where it was kept.
        let _gone = fs::remove_file(&self.path);
    }
}

/// Removes what agents that were killed left of files in a store.
pub(super) fn sweep(store: &Path) {
    for entry in fs::read_dir(store).into_iter().flatten().flatten() {
        let is_unfinished = entry.file_name().as_encoded_bytes().ends_with(ENDING.as_bytes());
        let Some(file) = is_unfinished.then(|| File::open(entry.path()).ok()).flatten() else { continue };
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _gone = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_agent_left_goes_and_what_is_being_written_stays() {
        let store = tempfile::tempdir().unwrap();
        let pointer = Pointer { oid: "ab".repeat(32), size: 1 };
        let left = store.path().join(format!("{}.1{ENDING}", pointer.oid));
        let whole = pointer.below(store.path());
        fs::write(&left, "x").unwrap();
        let writing = Incoming::begin(store.path(), &pointer).unwrap();
        let at = writing.path.clone();
        sweep(store.path());
        assert_eq!((left.exists(), at.exists()), (false, true));
        writing.keep(&whole).unwrap();
        sweep(store.path());
        assert_eq!((at.exists(), whole.exists()), (false, true));
        drop(Incoming::begin(store.path(), &pointer).unwrap());
        let folders = fs::read_dir(store.path()).unwrap().count();
        assert_eq!(folders, 1, "what was given up is gone");
    }
}
