//! Files below a folder, reached without ever leaving it.
//!
//! Every step opens one name from the descriptor of the folder before and follows no symbolic link, so neither a path
//! nor a link that a task put in its way leads out.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// The longest path of a file, and the longest name in it.
const MAX_PATH: usize = 4_096;
const MAX_NAME: usize = 255;
/// The most folders that a path goes through.
const MAX_DEPTH: usize = 64;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Why a file below a folder was not written or opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the path {path:?} {why}")]
    BadPath { path: String, why: &'static str },
    #[error("the path {path:?} goes through something that is no folder")]
    NoFolder { path: String },
    #[error("the path {path:?} is taken")]
    Taken { path: String },
    #[error("write the file {path:?}")]
    Write { path: String, source: io::Error },
}

/// A path that stays below the folder it is used in, by its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelativePath<'a>(&'a str);

impl<'a> RelativePath<'a> {
    /// Checks the form of a path.
    ///
    /// # Errors
    ///
    /// Fails with what is wrong: empty, absolute, `..`, too long, a NUL byte.
    pub fn new(path: &'a str) -> Result<Self, Error> {
        let bad = |why| Error::BadPath { path: path.chars().take(200).collect(), why };
        if path.is_empty() {
            return Err(bad("is empty"));
        }
        if path.starts_with('/') {
            return Err(bad("is absolute; files are named from the work folder"));
        }
        if path.contains('\0') {
            return Err(bad("has a NUL byte in it"));
        }
        if path.len() > MAX_PATH || path.split('/').count() > MAX_DEPTH {
            return Err(bad("is too long"));
        }
        for name in path.split('/') {
            match name {
                ".." => return Err(bad("leaves the work folder by `..`")),
                "" | "." => return Err(bad("has an empty name or `.` in it")),
                _ if name.len() > MAX_NAME => return Err(bad("has a name of more than 255 bytes in it")),
                _ => {}
            }
        }
        Ok(Self(path))
    }

    /// Returns the path.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }

    fn split(self) -> (impl Iterator<Item = &'a str>, &'a str) {
        let (folders, name) =
            self.0.rsplit_once('/').map_or((None, self.0), |(folders, name)| (Some(folders), name));
        (folders.into_iter().flat_map(|folders| folders.split('/')), name)
    }
}

/// Whether a file that is there already may be written over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    Refuse,
    /// The old file is replaced, not written into: it may be a link to something else, or have another name.
    Replace,
}

/// Writes a file below a folder and makes the folders on the way. Gives the file back, open.
///
/// # Errors
///
/// Fails when the path is taken, leads through something that is no folder, or the disk says no.
pub fn write_file(
    folder: BorrowedFd<'_>,
    path: RelativePath<'_>,
    content: &[u8],
    existing: Existing,
) -> Result<File, Error> {
    let mut file = create_file(folder, path, existing)?;
    file.write_all(content).map_err(|source| Error::Write { path: path.as_str().to_owned(), source })?;
    Ok(file)
}

/// Makes a folder below a folder, and those on the way, where they are missing.
///
/// # Errors
///
/// Fails when the path leads through something that is no folder, or the disk says no.
pub fn make_folder(folder: BorrowedFd<'_>, path: RelativePath<'_>) -> Result<(), Error> {
    let named = || path.as_str().to_owned();
    let mut parent: Option<OwnedFd> = None;
    for name in path.as_str().split('/') {
        let at = parent.as_ref().map_or(folder, AsFd::as_fd);
        let opened = make_and_open(at, name).map_err(|errno| match errno {
            Errno::LOOP | Errno::NOTDIR => Error::NoFolder { path: named() },
            errno => Error::Write { path: named(), source: errno.into() },
        })?;
        parent = Some(opened);
    }
    Ok(())
}

/// Makes an empty file below a folder, and the folders on the way. Gives it back, open.
///
/// # Errors
///
/// As [`write_file`].
pub fn create_file(
    folder: BorrowedFd<'_>,
    path: RelativePath<'_>,
    existing: Existing,
) -> Result<File, Error> {
    let named = || path.as_str().to_owned();
    let (folders, name) = path.split();
    let mut parent: Option<OwnedFd> = None;
    for name in folders {
        let at = parent.as_ref().map_or(folder, AsFd::as_fd);
        let opened = make_and_open(at, name).map_err(|errno| match errno {
            Errno::LOOP | Errno::NOTDIR => Error::NoFolder { path: named() },
            errno => Error::Write { path: named(), source: errno.into() },
        })?;
        parent = Some(opened);
    }
    let at = parent.as_ref().map_or(folder, AsFd::as_fd);
    if existing == Existing::Replace {
        match rustix::fs::unlinkat(at, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) => return Err(Error::Taken { path: named() }),
            Err(errno) => return Err(Error::Write { path: named(), source: errno.into() }),
        }
    }
    create(at, name).map_err(|errno| match errno {
        Errno::EXIST => Error::Taken { path: named() },
        errno => Error::Write { path: named(), source: errno.into() },
    })
}

/// Opens a regular file below a folder for reading; none when it is something else or not there any more.
///
/// # Errors
///
/// Fails when the file may not be read.
pub fn open_file(folder: BorrowedFd<'_>, path: RelativePath<'_>) -> io::Result<Option<File>> {
    let (folders, name) = path.split();
    let mut parent: Option<OwnedFd> = None;
    for name in folders {
        let at = parent.as_ref().map_or(folder, AsFd::as_fd);
        match open_folder(at, name) {
            Ok(opened) => parent = Some(opened),
            Err(Errno::LOOP | Errno::NOTDIR | Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
    }
    open_regular(parent.as_ref().map_or(folder, AsFd::as_fd), OsStr::new(name))
}

/// Opens a regular file in a folder by its one name. A FIFO or a device is not waited for and not touched.
pub(crate) fn open_regular(folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    // A device may act on being opened, so its kind is looked at first; after it, what was opened is what counts.
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {}
        Ok(_) | Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    }
    let file = match rustix::fs::openat(folder, name.as_bytes(), flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(Errno::LOOP | Errno::NOENT | Errno::NXIO) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    Ok(file.metadata()?.is_file().then_some(file))
}

/// Opens a folder by its one name, and no symbolic link to one.
pub(crate) fn open_folder(
    folder: BorrowedFd<'_>,
    name: impl rustix::path::Arg,
) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(folder, name, DIRECTORY, Mode::empty())
}

/// Makes a file that was not there.
pub(crate) fn create(folder: BorrowedFd<'_>, name: &str) -> rustix::io::Result<File> {
    create_raw(folder, name).map(File::from)
}

/// Makes a file that was not there, under any name that the file system takes.
pub(crate) fn create_raw(
    folder: BorrowedFd<'_>,
    name: impl rustix::path::Arg,
) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o644))
}

fn make_and_open(folder: BorrowedFd<'_>, name: &str) -> rustix::io::Result<OwnedFd> {
    match rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => open_folder(folder, name),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(folder: &File, path: &str) -> Result<(), Error> {
        write_file(folder.as_fd(), RelativePath::new(path)?, b"content", Existing::Refuse).map(drop)
    }

    #[test]
    fn paths_that_leave_the_folder_are_refused_by_name() {
        for path in ["", "/etc/passwd", "..", "../x", "a/../../x", "a/..", "a//b", "./a", "a/", "a\0b"] {
            let error = RelativePath::new(path).unwrap_err();
            assert!(matches!(error, Error::BadPath { .. }), "{path:?}");
            assert!(error.to_string().contains(&format!("{path:?}")), "{error}");
        }
        assert!(RelativePath::new(&"a/".repeat(100)).is_err());
        assert!(RelativePath::new(&"x".repeat(256)).is_err());
        assert!(RelativePath::new("a/b..c/...").is_ok());
    }

    #[test]
    fn a_link_on_the_way_or_at_the_end_leads_nowhere() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(outside.path(), inside.path().join("way")).unwrap();
        symlink(outside.path().join("target"), inside.path().join("end")).unwrap();
        let folder = File::open(inside.path()).unwrap();
        assert!(matches!(write(&folder, "way/x"), Err(Error::NoFolder { .. })));
        assert!(matches!(write(&folder, "end"), Err(Error::Taken { .. })));
        write_file(folder.as_fd(), RelativePath::new("end").unwrap(), b"new", Existing::Replace).unwrap();
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        assert_eq!(std::fs::read(inside.path().join("end")).unwrap(), b"new");
    }

    #[test]
    fn a_replaced_hard_link_leaves_its_other_name_alone() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let other = outside.path().join("other");
        std::fs::write(&other, "old").unwrap();
        std::fs::hard_link(&other, inside.path().join("name")).unwrap();
        let folder = File::open(inside.path()).unwrap();
        write_file(folder.as_fd(), RelativePath::new("name").unwrap(), b"new", Existing::Replace).unwrap();
        assert_eq!(std::fs::read(&other).unwrap(), b"old");
    }

    #[test]
    fn a_file_where_a_folder_is_needed_is_named() {
        let inside = tempfile::tempdir().unwrap();
        let folder = File::open(inside.path()).unwrap();
        write(&folder, "a/b/c").unwrap();
        assert!(matches!(write(&folder, "a/b/c/d"), Err(Error::NoFolder { .. })));
        assert!(matches!(write(&folder, "a/b"), Err(Error::Taken { .. })));
        assert_eq!(std::fs::read(inside.path().join("a/b/c")).unwrap(), b"content");
    }

    #[test]
    fn only_regular_files_are_opened() {
        let inside = tempfile::tempdir().unwrap();
        let folder = File::open(inside.path()).unwrap();
        rustix::fs::mknodat(&folder, "pipe", FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        symlink("/etc/passwd", inside.path().join("link")).unwrap();
        write(&folder, "sub/file").unwrap();
        let open = |path| open_file(folder.as_fd(), RelativePath::new(path).unwrap()).unwrap();
        assert!(open("pipe").is_none());
        assert!(open("link").is_none());
        assert!(open("sub").is_none());
        assert!(open("gone").is_none());
        assert!(open("sub/file").is_some());
    }
}
