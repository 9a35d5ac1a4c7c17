//! The reserve: room on the state volume that is set aside while there is plenty, and given back when the disk is full,
//! so that what must be written then still can be.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use rustix::fs::FallocateFlags;

const FILE: &str = "reserve";

/// What stays aside when a running process is out of room, so that a start finds some too.
pub(crate) const START_SHARE_BYTES: u64 = 4 << 20;

/// What is not halved any more.
const SMALLEST_SHARE_BYTES: u64 = 128 << 10;

/// A file that holds room.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    bytes: u64,
    held: bool,
}

impl Reserve {
    /// The reserve of a directory as it was left; nothing is set aside yet.
    pub(crate) fn new(dir: &std::path::Path, bytes: u64) -> Self {
        let path = dir.join(FILE);
        let held = std::fs::metadata(&path).is_ok_and(|found| found.len() >= bytes);
        Self { path, bytes, held }
    }

    /// Whether all of it is set aside.
    pub(crate) fn is_held(&self) -> bool {
        self.held
    }

    /// Gives room back, all but `keep` bytes. Says whether there was any.
    pub(crate) fn release(&mut self, keep: u64) -> bool {
        self.held = false;
        let released = std::fs::metadata(&self.path).and_then(|found| {
            if found.len() <= keep {
                return Ok(false);
            }
            OpenOptions::new().write(true).open(&self.path)?.set_len(keep)?;
            Ok(true)
        });
        released.unwrap_or(false)
    }

    /// Gives half of the room back, for a start that finds none; the other half is for the next. Says whether there was any.
    pub(crate) fn release_half(&mut self) -> bool {
        let length = std::fs::metadata(&self.path).map_or(0, |found| found.len());
        self.release(if length > SMALLEST_SHARE_BYTES { length / 2 } else { 0 })
    }

    /// Sets the room aside again when at least `floor` bytes stay free beside it.
    pub(crate) fn take(&mut self, floor: u64) -> io::Result<()> {
        if self.held {
            return Ok(());
        }
        let present = std::fs::metadata(&self.path).map_or(0, |found| found.len());
        let missing = self.bytes.saturating_sub(present);
        let parent = self.path.parent().expect("the reserve lies in a directory");
        if free_bytes(parent)? < missing.saturating_add(floor) {
            return Ok(());
        }
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&self.path)?;
        match fill(&file, self.bytes) {
            Ok(()) => {
                self.held = true;
                Ok(())
            }
            // Somebody else was quicker; what was there before stays.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOSPC.raw_os_error()) => {
                file.set_len(present)
            }
            Err(error) => Err(error),
        }
    }
}

/// Gives the file real blocks, also on file systems that cannot preallocate.
fn fill(file: &File, bytes: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP) => {
            let block = [0x5a; 64 << 10];
            let mut at = 0;
            while at < bytes {
                let length = block.len().min(usize::try_from(bytes - at).unwrap_or(usize::MAX));
                at += std::os::unix::fs::FileExt::write_at(file, &block[..length], at)? as u64;
            }
            file.sync_data()
        }
        Err(errno) => Err(errno.into()),
    }
}

/// Bytes that this process may still write on the volume of `path`.
pub(crate) fn free_bytes(path: &std::path::Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_taken_released_and_taken_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut reserve = Reserve::new(dir.path(), 8 << 20);
        assert!(!reserve.is_held());
        reserve.take(0).unwrap();
        assert!(reserve.is_held());
        assert!(Reserve::new(dir.path(), 8 << 20).is_held());
        assert!(reserve.release(START_SHARE_BYTES));
        assert!(!reserve.is_held());
        assert_eq!(std::fs::metadata(dir.path().join(FILE)).unwrap().len(), START_SHARE_BYTES);
        assert!(!reserve.release(START_SHARE_BYTES), "nothing is left to release");
        assert!(reserve.release(0));
        reserve.take(0).unwrap();
        assert!(reserve.is_held());
    }

    #[test]
    fn the_reserve_is_not_taken_from_the_last_free_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let mut reserve = Reserve::new(dir.path(), 1 << 20);
        reserve.take(u64::MAX).unwrap();
        assert!(!reserve.is_held());
    }
}
