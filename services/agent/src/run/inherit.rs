//! A copy of the work of another task, for one that starts from it.
//!
//! Regular files, folders and symbolic links are copied, the last as links; nothing is followed. What could reach beyond
//! the work folder (a file with a name elsewhere) or is no file at all is left behind, and what is too large is not begun.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, FileType, Mode, RawDir, Stat};

use super::beneath;

/// The most entries that are copied.
const MAX_ENTRIES: usize = 200_000;
/// The deepest folder that is copied.
const MAX_DEPTH: usize = 64;

/// Why the work of a task could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("it has more than {MAX_ENTRIES} files")]
    TooMany,
    #[error("it has more than {0} bytes")]
    TooLarge(u64),
    #[error("its folders are more than {MAX_DEPTH} deep")]
    TooDeep,
    #[error(transparent)]
    Disk(#[from] io::Error),
}

impl From<rustix::io::Errno> for Error {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Disk(errno.into())
    }
}

/// Copies all that is in one folder into another, which is empty; returns how many entries were left behind.
///
/// # Errors
///
/// Fails before anything is written when it is too much, and when the disk says no.
pub fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>, max_bytes: u64) -> Result<u64, Error> {
    let mut survey = Survey { max_bytes, ..Survey::default() };
    survey.folder(from, 0)?;
    let mut left_behind = 0;
    copy_folder(from, to, &survey.names, &mut left_behind)?;
    Ok(left_behind)
}

/// What is there, before any of it is copied.
#[derive(Default)]
struct Survey {
    max_bytes: u64,
    entries: usize,
    bytes: u64,
    /// How many names of a file that has several were found.
    names: HashMap<(u64, u64), u64>,
}

impl Survey {
    fn folder(&mut self, folder: BorrowedFd<'_>, depth: usize) -> Result<(), Error> {
        if depth == MAX_DEPTH {
            return Err(Error::TooDeep);
        }
        for name in names(folder)? {
            let Some(stat) = look(folder, &name)? else { continue };
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(Error::TooMany);
            }
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    // One that cannot be read is left behind when it is copied.
                    if let Ok(inner) = beneath::open_folder(folder, name.as_c_str()) {
                        self.folder(inner.as_fd(), depth + 1)?;
                    }
                }
                FileType::RegularFile => {
                    self.bytes = self.bytes.saturating_add(u64::try_from(stat.st_size).unwrap_or(0));
                    if self.bytes > self.max_bytes {
                        return Err(Error::TooLarge(self.max_bytes));
                    }
                    if stat.st_nlink > 1 {
                        *self.names.entry((stat.st_dev, stat.st_ino)).or_default() += 1;
                    }
                }
                FileType::Symlink
                | FileType::Fifo
                | FileType::Socket
                | FileType::CharacterDevice
                | FileType::BlockDevice
                | FileType::Unknown => {}
            }
        }
        Ok(())
    }
}

fn copy_folder(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    shared: &HashMap<(u64, u64), u64>,
    left_behind: &mut u64,
) -> Result<(), Error> {
    for name in names(from)? {
        let Some(stat) = look(from, &name)? else { continue };
        let copied = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => match beneath::open_folder(from, name.as_c_str()) {
                Ok(inner) => {
                    rustix::fs::mkdirat(to, &name, Mode::from_raw_mode(0o755))?;
                    let made = beneath::open_folder(to, name.as_c_str())?;
                    copy_folder(inner.as_fd(), made.as_fd(), shared, left_behind)?;
                    true
                }
                Err(_) => false,
            },
            FileType::RegularFile => {
                let is_whole =
                    stat.st_nlink <= 1 || shared.get(&(stat.st_dev, stat.st_ino)) == Some(&stat.st_nlink);
                is_whole && copy_file(from, to, &name, &stat)?
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, &name, Vec::new())?;
                rustix::fs::symlinkat(&target, to, &name)?;
                true
            }
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => false,
        };
        *left_behind += u64::from(!copied);
    }
    Ok(())
}

/// Copies one file with its permissions, as far as its owner may use it; false when it cannot be read.
fn copy_file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<bool, Error> {
    let Ok(Some(mut source)) = beneath::open_regular(from, OsStr::from_bytes(name.to_bytes())) else {
        return Ok(false);
    };
    let mut target = File::from(beneath::create_raw(to, name)?);
    io::copy(&mut source, &mut target)?;
    rustix::fs::fchmod(&target, Mode::from_raw_mode(stat.st_mode & 0o755 | 0o600))?;
    Ok(true)
}

fn look(folder: BorrowedFd<'_>, name: &CStr) -> Result<Option<Stat>, Error> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn names(folder: BorrowedFd<'_>) -> Result<Vec<CString>, Error> {
    // The position of a descriptor that was read before is at its end.
    rustix::fs::seek(folder, rustix::fs::SeekFrom::Start(0))?;
    let mut buffer = [MaybeUninit::uninit(); 8_192];
    let mut entries = RawDir::new(folder, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
        if names.len() > MAX_ENTRIES {
            return Err(Error::TooMany);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::*;

    fn copied(from: &Path, to: &Path, max_bytes: u64) -> Result<u64, Error> {
        let (from, to) = (File::open(from).unwrap(), File::open(to).unwrap());
        copy(from.as_fd(), to.as_fd(), max_bytes)
    }

    #[test]
    fn files_folders_links_and_permissions_are_copied_whatever_git_ignores() {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(old.path().join("a/b")).unwrap();
        fs::write(old.path().join(".gitignore"), "a\n").unwrap();
        fs::write(old.path().join("a/b/run.sh"), "x").unwrap();
        fs::set_permissions(old.path().join("a/b/run.sh"), PermissionsExt::from_mode(0o777)).unwrap();
        fs::hard_link(old.path().join("a/b/run.sh"), old.path().join("same.sh")).unwrap();
        symlink("/etc/passwd", old.path().join("link")).unwrap();
        fs::write(old.path().join(OsStr::from_bytes(b"\xff")), "y").unwrap();
        assert_eq!(copied(old.path(), new.path(), 1_000).unwrap(), 0);
        assert_eq!(fs::read_to_string(new.path().join("a/b/run.sh")).unwrap(), "x");
        assert_eq!(fs::read_to_string(new.path().join("same.sh")).unwrap(), "x");
        assert_eq!(fs::read_link(new.path().join("link")).unwrap(), Path::new("/etc/passwd"));
        assert_eq!(fs::read(new.path().join(OsStr::from_bytes(b"\xff"))).unwrap(), b"y");
        let mode = fs::metadata(new.path().join("a/b/run.sh")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755, "what others may write stays behind");
        fs::write(new.path().join("a/b/run.sh"), "changed").unwrap();
        assert_eq!(fs::read_to_string(old.path().join("a/b/run.sh")).unwrap(), "x", "it is a copy");
    }

    #[test]
    fn what_reaches_beyond_the_folder_or_is_no_file_stays_behind() {
        let (old, new, outside) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("secret"), "s").unwrap();
        fs::hard_link(outside.path().join("secret"), old.path().join("hard")).unwrap();
        let folder = File::open(old.path()).unwrap();
        rustix::fs::mknodat(&folder, "fifo", FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        assert_eq!(copied(old.path(), new.path(), 1_000).unwrap(), 2);
        assert_eq!(fs::read_dir(new.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_too_much_is_not_begun() {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(old.path().join("a"), "1234").unwrap();
        let sparse = File::create(old.path().join("b")).unwrap();
        sparse.set_len(1 << 40).unwrap();
        assert!(matches!(copied(old.path(), new.path(), 1_000), Err(Error::TooLarge(1_000))));
        fs::remove_file(old.path().join("b")).unwrap();
        fs::create_dir_all(old.path().join("d/".repeat(MAX_DEPTH + 1))).unwrap();
        assert!(matches!(copied(old.path(), new.path(), 1_000), Err(Error::TooDeep)));
        assert_eq!(fs::read_dir(new.path()).unwrap().count(), 0);
    }
}
