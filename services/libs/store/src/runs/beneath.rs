//! Opening by descriptors, one name after the other, so that no link is ever followed.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Opens a folder that is trusted to lie where its path says.
pub(super) fn open_root(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, folder_flags(), Mode::empty())
}

/// Opens a folder within another.
pub(super) fn open_folder(
    parent: BorrowedFd<'_>,
    name: impl rustix::path::Arg,
) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(parent, name, folder_flags(), Mode::empty())
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// Opens a regular file beneath a folder by its path; none when there is no such file.
pub(super) fn open_file(folder: &Path, path: &str) -> io::Result<Option<File>> {
    if path.split('/').any(|name| matches!(name, "" | "." | "..") || name.contains('\0')) {
        return Ok(None);
    }
    match descend(folder, path) {
        Ok(file) => Ok(file.metadata()?.is_file().then_some(file)),
        Err(errno) if is_absent(errno) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn descend(folder: &Path, path: &str) -> rustix::io::Result<File> {
    let mut folder = open_root(folder)?;
    let mut rest = path;
    while let Some((name, below)) = rest.split_once('/') {
        folder = open_folder(folder.as_fd(), name)?;
        rest = below;
    }
    // A pipe that nobody writes must not hold up whoever opens it.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::openat(&folder, rest, flags, Mode::empty()).map(File::from)
}

/// Whether an error says that there is nothing that may be opened: nothing, a link, a socket, a file on the way, or what
/// its owner shut.
pub(super) fn is_absent(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOENT
            | Errno::NOTDIR
            | Errno::LOOP
            | Errno::NXIO
            | Errno::NODEV
            | Errno::ACCESS
            | Errno::PERM
            | Errno::NAMETOOLONG
    )
}
