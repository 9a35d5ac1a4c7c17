//! Deleting a folder with all in it, whatever a task made of it.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::beneath;

/// Folders within folders that are gone into. What lies deeper is moved up first, so that neither the stack nor the
/// descriptors run out, however deep a task dug.
const MAX_DEPTH: usize = 32;

/// Deletes a folder; one that is not there is passed over. A link in its place is removed itself.
pub(super) fn tree(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let parent = match beneath::open_root(parent) {
        Ok(parent) => parent,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    let name = CString::new(name.as_encoded_bytes())?;
    let root = match open(parent.as_fd(), &name) {
        Ok(root) => root,
        Err(Errno::NOENT) => return Ok(()),
        // A link or a file in its place.
        Err(Errno::NOTDIR | Errno::LOOP) => {
            return Ok(rustix::fs::unlinkat(&parent, &name, AtFlags::empty())?);
        }
        Err(errno) => return Err(errno.into()),
    };
    let mut delete = Delete { root, moved: 0, failed: None };
    loop {
        let moved = delete.moved;
        let top = delete.root.try_clone()?;
        delete.contents(&top, 0);
        // What was moved up is still to go.
        if delete.moved == moved {
            break;
        }
    }
    match delete.failed {
        Some(errno) => Err(errno.into()),
        None => Ok(rustix::fs::unlinkat(&parent, &name, AtFlags::REMOVEDIR)?),
    }
}

struct Delete {
    root: OwnedFd,
    /// How many folders were moved up.
    moved: u64,
    /// The first thing that could not be deleted.
    failed: Option<Errno>,
}

impl Delete {
    fn contents(&mut self, folder: &OwnedFd, depth: usize) {
        let entries = match Dir::read_from(folder) {
            Ok(entries) => entries,
            Err(errno) => return self.fail(errno),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(errno) => return self.fail(errno),
            };
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            if let Err(errno) = self.entry(folder, name, entry.file_type(), depth) {
                self.fail(errno);
            }
        }
    }

    fn entry(
        &mut self,
        folder: &OwnedFd,
        name: &CStr,
        kind: FileType,
        depth: usize,
    ) -> rustix::io::Result<()> {
        if kind != FileType::Directory {
            match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                // Some file systems do not tell what kind an entry is.
                Err(Errno::ISDIR | Errno::PERM) if kind == FileType::Unknown => {}
                Err(errno) => return Err(errno),
            }
        }
        match rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(_) => {}
        }
        let below = open(folder.as_fd(), name)?;
        if depth + 1 >= MAX_DEPTH {
            return self.move_up(folder, name);
        }
        self.contents(&below, depth + 1);
        match rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR) {
            // What could not be deleted in it was noted already.
            Err(Errno::NOTEMPTY | Errno::EXIST) if self.failed.is_some() => Ok(()),
            result => result,
        }
    }

    /// Moves a folder up to the top under a name that nothing there has.
    fn move_up(&mut self, folder: &OwnedFd, name: &CStr) -> rustix::io::Result<()> {
        loop {
            let above = format!(".deleted-{}", self.moved);
            self.moved += 1;
            match rustix::fs::statat(&self.root, &above, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => return rustix::fs::renameat(folder, name, &self.root, &above),
                Ok(_) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    fn fail(&mut self, errno: Errno) {
        self.failed.get_or_insert(errno);
    }
}

/// Opens a folder to empty it; one that its owner shut is opened up first.
fn open(parent: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    let opened = beneath::open_folder(parent, name);
    let shut = match &opened {
        Ok(folder) => {
            let mode = rustix::fs::fstat(folder)?.st_mode;
            !Mode::from_raw_mode(mode).contains(Mode::RWXU)
        }
        Err(Errno::ACCESS) => true,
        Err(_) => false,
    };
    if !shut {
        return opened;
    }
    match opened {
        Ok(folder) => {
            // Another's folder cannot be opened up; whether that matters shows when it is emptied.
            let _ = rustix::fs::fchmod(&folder, Mode::RWXU);
            Ok(folder)
        }
        Err(_) => {
            // By the descriptor and not by the name, which may have become a link since.
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let shut = rustix::fs::openat(parent, name, flags, Mode::empty())?;
            rustix::fs::chmod(format!("/proc/self/fd/{}", shut.as_raw_fd()), Mode::RWXU)?;
            beneath::open_folder(parent, name)
        }
    }
}
