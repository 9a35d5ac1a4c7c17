//! Listing a folder within limits.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType};

use super::beneath;

/// How much is listed at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files that are listed.
    pub files: usize,
    /// Names that are looked at, files or not.
    pub names: usize,
    /// Folders within folders.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { files: 10_000, names: 100_000, depth: 64 }
    }
}

/// A regular file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its path in the folder.
    pub path: String,
    /// Its length.
    pub bytes: u64,
}

/// What a folder holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// The files, sorted by their paths.
    pub files: Vec<Entry>,
    /// Whether a limit left some out.
    pub more: bool,
}

/// Lists the regular files with one name beneath a folder. Links and what is no file are passed over, and names that are no
/// text, since nobody could ask for them.
pub(super) fn list(folder: &Path, limits: Limits) -> io::Result<Listing> {
    let mut walk = Walk { limits, names: 0, listing: Listing::default() };
    match beneath::open_root(folder) {
        Ok(root) => walk.folder(root, "", 0)?,
        Err(errno) if beneath::is_absent(errno) => {}
        Err(errno) => return Err(errno.into()),
    }
    walk.listing.files.sort_unstable();
    Ok(walk.listing)
}

struct Walk {
    limits: Limits,
    names: usize,
    listing: Listing,
}

impl Walk {
    /// Recursion is as deep as the limit says, and holds a descriptor for each level.
    fn folder(&mut self, folder: OwnedFd, path: &str, depth: usize) -> io::Result<()> {
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if matches!(name, "." | "..") {
                continue;
            }
            self.names += 1;
            if self.names > self.limits.names || self.listing.files.len() == self.limits.files {
                self.listing.more = true;
                return Ok(());
            }
            let stat = match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // A task that runs may remove it meanwhile.
                Err(errno) if beneath::is_absent(errno) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile if stat.st_nlink == 1 => {
                    let bytes = u64::try_from(stat.st_size).unwrap_or(0);
                    self.listing.files.push(Entry { path, bytes });
                }
                FileType::Directory if depth + 1 < self.limits.depth => {
                    match beneath::open_folder(folder.as_fd(), name) {
                        Ok(below) => self.folder(below, &path, depth + 1)?,
                        Err(errno) if beneath::is_absent(errno) => {}
                        Err(errno) => return Err(errno.into()),
                    }
                }
                FileType::Directory => self.listing.more = true,
                _ => {}
            }
        }
        Ok(())
    }
}
