//! The files below a work folder, without what `.gitignore` files skip, and without following or opening anything
//! that is no regular file or folder.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CString, OsStr};
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt as _;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::fs::{AtFlags, FileType, RawDir, Stat};

use super::beneath;
use super::types::LeftOut;

/// The most entries that are looked at.
const MAX_ENTRIES: usize = 100_000;
/// The deepest folder that is looked into.
const MAX_DEPTH: usize = 60;
/// The most bytes of a `.gitignore` file that are read, and the most such files.
const MAX_IGNORE_BYTES: u64 = 64 << 10;
const MAX_IGNORE_FILES: usize = 500;

/// The regular files of a work folder, in the order of their paths, and what was left out.
#[derive(Debug, Default)]
pub struct Listing {
    pub files: Vec<WorkFile>,
    left_out: BTreeMap<&'static str, u64>,
    entries: usize,
    ignore_files: usize,
}

/// One regular file of a work folder.
#[derive(Debug)]
pub struct WorkFile {
    /// Relative to the work folder, parted by `/`.
    pub path: String,
    pub bytes: u64,
    pub is_executable: bool,
    links: u64,
    identity: (u64, u64),
}

impl Listing {
    /// Lists what is below a folder.
    ///
    /// # Errors
    ///
    /// Fails when the folder itself cannot be read.
    pub fn read(work: BorrowedFd<'_>) -> io::Result<Self> {
        let mut listing = Self::default();
        let device = rustix::fs::fstat(work)?.st_dev;
        let names = listing.names(work)?;
        if !names.is_empty() {
            listing.folder(work, names, device, &mut Vec::new(), &mut Vec::new());
            listing.leave_out_shared();
        }
        Ok(listing)
    }

    /// Takes files by their names; what is no regular file is left out.
    #[must_use]
    pub fn of(work: BorrowedFd<'_>, paths: &[String]) -> Self {
        let mut listing = Self::default();
        for path in paths {
            let Ok(relative) = beneath::RelativePath::new(path) else { continue };
            let found =
                beneath::open_file(work, relative).ok().flatten().and_then(|file| file.metadata().ok());
            let Some(metadata) = found else {
                listing.leave_out("no regular file", 1);
                continue;
            };
            listing.files.push(WorkFile {
                path: path.clone(),
                bytes: metadata.len(),
                is_executable: metadata.mode() & 0o100 != 0,
                links: metadata.nlink(),
                identity: (metadata.dev(), metadata.ino()),
            });
        }
        listing.leave_out_shared();
        listing
    }

    /// Counts something that is not listed.
    pub fn leave_out(&mut self, reason: &'static str, count: u64) {
        *self.left_out.entry(reason).or_default() += count;
    }

    /// Returns what is not listed.
    #[must_use]
    pub fn left_out(&self) -> Vec<LeftOut> {
        self.left_out.iter().map(|(&reason, &count)| LeftOut { reason, count }).collect()
    }

    fn folder(
        &mut self,
        folder: BorrowedFd<'_>,
        mut names: Vec<CString>,
        device: u64,
        path: &mut Vec<String>,
        rules: &mut Vec<Option<Gitignore>>,
    ) {
        names.sort_unstable();
        rules.push(self.rules(folder, &names));
        for name in names {
            let Ok(stat) = rustix::fs::statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let Ok(name) = name.into_string() else {
                self.leave_out("the name is not UTF-8", 1);
                continue;
            };
            path.push(name);
            self.entry(folder, &stat, device, path, rules);
            path.pop();
        }
        rules.pop();
    }

    fn entry(
        &mut self,
        folder: BorrowedFd<'_>,
        stat: &Stat,
        device: u64,
        path: &mut Vec<String>,
        rules: &mut Vec<Option<Gitignore>>,
    ) {
        let name = path.last().expect("an entry has a name");
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory && name == ".git" {
            return self.leave_out("data of git", 1);
        }
        if is_ignored(path, kind == FileType::Directory, rules) {
            return self.leave_out("skipped by .gitignore", 1);
        }
        match kind {
            FileType::RegularFile => self.files.push(WorkFile {
                path: path.join("/"),
                bytes: u64::try_from(stat.st_size).unwrap_or(0),
                is_executable: stat.st_mode & 0o100 != 0,
                links: stat.st_nlink,
                identity: (stat.st_dev, stat.st_ino),
            }),
            FileType::Directory if stat.st_dev != device => self.leave_out("another file system", 1),
            FileType::Directory if path.len() >= MAX_DEPTH => self.leave_out("too deep", 1),
            FileType::Directory => {
                let opened = beneath::open_folder(folder, name.as_str()).map_err(io::Error::from);
                match opened.and_then(|inner| Ok((self.names(inner.as_fd())?, inner))) {
                    Ok((names, inner)) => self.folder(inner.as_fd(), names, device, path, rules),
                    Err(_) => self.leave_out("not readable", 1),
                }
            }
            FileType::Symlink => self.leave_out("a symbolic link", 1),
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => self.leave_out("no regular file", 1),
        }
    }

    /// Reads the names in a folder, as far as the limit of entries allows.
    fn names(&mut self, folder: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
        let mut buffer = [MaybeUninit::uninit(); 8_192];
        let mut entries = RawDir::new(folder, &mut buffer);
        let mut names = Vec::new();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            if self.entries == MAX_ENTRIES {
                self.leave_out("beyond the limit of entries, counted by folder", 1);
                break;
            }
            self.entries += 1;
            names.push(entry.file_name().to_owned());
        }
        Ok(names)
    }

    fn rules(&mut self, folder: BorrowedFd<'_>, names: &[CString]) -> Option<Gitignore> {
        let name = c".gitignore";
        if self.ignore_files >= MAX_IGNORE_FILES
            || names.binary_search_by(|other| other.as_c_str().cmp(name)).is_err()
        {
            return None;
        }
        self.ignore_files += 1;
        let file = beneath::open_regular(folder, OsStr::from_bytes(name.to_bytes())).ok()??;
        let mut text = Vec::new();
        file.take(MAX_IGNORE_BYTES).read_to_end(&mut text).ok()?;
        let mut builder = GitignoreBuilder::new("");
        for line in String::from_utf8_lossy(&text).lines() {
            // A line that is no pattern is skipped, as git does.
            let _ = builder.add_line(None, line);
        }
        builder.build().ok()
    }

    /// Leaves out the files that have a name outside of what was listed: their bytes may be someone else's.
    fn leave_out_shared(&mut self) {
        let mut names: HashMap<(u64, u64), u64> = HashMap::new();
        for file in self.files.iter().filter(|file| file.links > 1) {
            *names.entry(file.identity).or_default() += 1;
        }
        let before = self.files.len();
        self.files.retain(|file| file.links <= 1 || names.get(&file.identity) == Some(&file.links));
        let shared = before - self.files.len();
        if shared > 0 {
            self.leave_out("a hard link to a file outside", shared as u64);
        }
    }
}

/// Asks the rules from the innermost folder outwards; the first that says something decides.
fn is_ignored(path: &[String], is_folder: bool, rules: &[Option<Gitignore>]) -> bool {
    for (depth, rules) in rules.iter().enumerate().rev() {
        if let Some(rules) = rules {
            let verdict = rules.matched(path[depth..].join("/"), is_folder);
            if !verdict.is_none() {
                return verdict.is_ignore();
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use rustix::fs::Mode;

    use super::*;

    fn put(folder: &Path, path: &str, content: &str) {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn list(folder: &Path) -> (Vec<String>, BTreeMap<&'static str, u64>) {
        let listing = Listing::read(File::open(folder).unwrap().as_fd()).unwrap();
        (listing.files.into_iter().map(|file| file.path).collect(), listing.left_out)
    }

    #[test]
    fn files_come_in_the_order_of_their_paths() {
        let work = tempfile::tempdir().unwrap();
        for path in ["b", "a/z", "a/b", ".hidden"] {
            put(work.path(), path, "");
        }
        assert_eq!(
            list(work.path()),
            (vec![".hidden".into(), "a/b".into(), "a/z".into(), "b".into()], [].into())
        );
    }

    #[test]
    fn gitignore_files_rule_from_the_inside_out() {
        let work = tempfile::tempdir().unwrap();
        put(work.path(), ".gitignore", "*.log\n/target/\n");
        put(work.path(), "sub/.gitignore", "!keep.log\n/only\n");
        for path in [
            "a.log",
            "target/x",
            "sub/keep.log",
            "sub/other.log",
            "sub/only",
            "sub/deep/only",
            "sub/target/y",
        ] {
            put(work.path(), path, "");
        }
        let (files, left_out) = list(work.path());
        assert_eq!(files, [".gitignore", "sub/.gitignore", "sub/deep/only", "sub/keep.log", "sub/target/y"]);
        assert_eq!(left_out, [("skipped by .gitignore", 4)].into());
    }

    #[test]
    fn what_is_no_regular_file_is_neither_followed_nor_opened() {
        let (work, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        put(outside.path(), "secret", "s");
        let folder = File::open(work.path()).unwrap();
        symlink(outside.path(), work.path().join("folder")).unwrap();
        symlink(outside.path().join("secret"), work.path().join("link")).unwrap();
        fs::hard_link(outside.path().join("secret"), work.path().join("hard")).unwrap();
        // Opening a FIFO without a writer would wait for ever, wherever it stands.
        for name in ["fifo", ".gitignore"] {
            rustix::fs::mknodat(&folder, name, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        }
        let _socket = std::os::unix::net::UnixListener::bind(work.path().join("socket")).unwrap();
        let (files, left_out) = list(work.path());
        assert_eq!(files, [""; 0]);
        assert_eq!(
            left_out,
            [("a hard link to a file outside", 1), ("a symbolic link", 2), ("no regular file", 3)].into()
        );
    }

    #[test]
    fn hard_links_among_the_listed_files_are_listed() {
        let work = tempfile::tempdir().unwrap();
        put(work.path(), "a", "x");
        fs::hard_link(work.path().join("a"), work.path().join("b")).unwrap();
        assert_eq!(list(work.path()).0, ["a", "b"]);
    }

    #[test]
    fn git_data_and_names_that_are_not_utf8_are_counted() {
        let work = tempfile::tempdir().unwrap();
        put(work.path(), ".git/config", "");
        fs::write(work.path().join(OsStr::from_bytes(b"\xff")), "").unwrap();
        assert_eq!(list(work.path()), (vec![], [("data of git", 1), ("the name is not UTF-8", 1)].into()));
    }

    #[test]
    fn an_endless_depth_is_given_up() {
        let work = tempfile::tempdir().unwrap();
        put(work.path(), &format!("{}x", "d/".repeat(80)), "");
        assert_eq!(list(work.path()), (vec![], [("too deep", 1)].into()));
    }
}
