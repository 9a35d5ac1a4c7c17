//! Files below a folder, reached without ever following a link.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, statat, unlinkat};
use rustix::io::Errno;

/// A path below a folder: plain names, none of them `..` or `.git`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RelativePath(Vec<String>);

impl RelativePath {
    /// Checks a path.
    pub fn new(path: &str) -> Result<Self, String> {
        conductor_protocol::submit::check_path(path)?;
        let names: Vec<String> = path.split('/').map(str::to_owned).collect();
        for name in &names {
            if name.is_empty() || name == "." || name == ".." {
                return Err("its name is not a plain path".to_owned());
            }
            if name.eq_ignore_ascii_case(".git") {
                return Err("it lies in .git, where a file can be a program that git runs".to_owned());
            }
        }
        Ok(Self(names))
    }

    /// Whether it lies below another.
    pub fn is_below(&self, other: &Self) -> bool {
        self.0.len() > other.0.len() && self.0.starts_with(&other.0)
    }

    /// The last name.
    pub fn name(&self) -> &str {
        self.0.last().expect("a path has a name")
    }

    /// The names before the last.
    pub fn folders(&self) -> &[String] {
        &self.0[..self.0.len() - 1]
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}

/// What a file was when it was read, to see whether it is still that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// Of an open file.
    pub fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.size(),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

/// What stands at a path.
#[derive(Debug)]
pub enum Found {
    Nothing,
    /// A regular file: its bytes, its mode and what it was.
    File {
        content: Vec<u8>,
        mode: u32,
        stamp: Stamp,
    },
    /// Something else, or something in the way.
    Other(&'static str),
}

/// Reads what stands at a path, at most `most` bytes.
pub fn look(root: &File, path: &RelativePath, most: u64) -> io::Result<Found> {
    let folder = match open_folder(root, path) {
        Ok(folder) => folder,
        Err(Errno::NOENT) => return Ok(Found::Nothing),
        Err(Errno::LOOP) => return Ok(Found::Other("the way to it leads through a symbolic link")),
        // With NOFOLLOW a link to a folder is no folder.
        Err(Errno::NOTDIR) => {
            return Ok(Found::Other("the way to it leads through a file or a symbolic link"));
        }
        Err(error) => return Err(error.into()),
    };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(&folder, path.name(), flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(Found::Nothing),
        Err(Errno::LOOP) => return Ok(Found::Other("is a symbolic link")),
        Err(Errno::NXIO) => return Ok(Found::Other("is not a regular file")),
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(Found::Other("is not a regular file"));
    }
    if metadata.len() > most {
        return Ok(Found::Other("is too large"));
    }
    let stamp = Stamp::of(&file)?;
    let mut content = Vec::new();
    file.take(most).read_to_end(&mut content)?;
    Ok(Found::File { content, mode: metadata.mode() & 0o7777, stamp })
}

/// Opens the folder of a path.
pub fn open_folder(root: &File, path: &RelativePath) -> Result<OwnedFd, Errno> {
    let mut folder: OwnedFd = openat(root, ".", folder_flags(), Mode::empty())?;
    for name in path.folders() {
        folder = openat(&folder, name.as_str(), folder_flags(), Mode::empty())?;
    }
    Ok(folder)
}

/// Opens the folder of a path and makes what is missing; says how many of its folders were there.
pub fn make_folder(root: &File, path: &RelativePath, mut made: impl FnMut(usize)) -> Result<OwnedFd, Errno> {
    let mut folder: OwnedFd = openat(root, ".", folder_flags(), Mode::empty())?;
    for (index, name) in path.folders().iter().enumerate() {
        match mkdirat(&folder, name.as_str(), Mode::from_raw_mode(0o777)) {
            Ok(()) => made(index + 1),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        folder = openat(&folder, name.as_str(), folder_flags(), Mode::empty())?;
    }
    Ok(folder)
}

/// Removes an empty folder.
pub fn remove_folder(root: &File, names: &[String]) -> Result<(), Errno> {
    let Some((last, folders)) = names.split_last() else { return Ok(()) };
    let mut folder: OwnedFd = openat(root, ".", folder_flags(), Mode::empty())?;
    for name in folders {
        folder = openat(&folder, name.as_str(), folder_flags(), Mode::empty())?;
    }
    unlinkat(&folder, last.as_str(), AtFlags::REMOVEDIR)
}

/// Whether nothing stands there, not even a broken link.
pub fn is_free(folder: impl AsFd, name: &str) -> bool {
    matches!(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW), Err(Errno::NOENT))
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}
