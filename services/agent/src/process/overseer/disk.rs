//! How much a run has on disk: what its folders hold, walked through at intervals that the walk itself sets.

use std::collections::HashSet;
use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::process::Pid;

use super::super::table::{self, Families};
use super::{Excess, LOOK_PAUSE, Subject};

/// How much less often than it could be a walk is made: it takes at most one part of so many of the time.
const WALK_SHARE: u32 = 5;
/// How long a walk is put off while the volume has lost less than it would take to pass the limit. Others may have given space back.
const LONGEST_WALK_PAUSE: Duration = Duration::from_secs(5);
/// How deep folders may lie in each other: each level takes a descriptor during a walk.
const MAX_DEPTH: usize = 256;
/// What anything with a name takes at least: without this a run could use up the names of a volume.
const LEAST_BYTES: u64 = 4_096;
/// Files with several names that are counted once; more of them count for each name.
const MAX_LINKED: usize = 100_000;
/// The most descriptors that are looked at for files without a name.
const MAX_DESCRIPTORS: usize = 16_384;
const BLOCK: u64 = 512;

/// What is remembered of a run.
#[derive(Debug, Default)]
pub(super) struct Usage {
    walked: Option<Walked>,
}

#[derive(Debug, Clone, Copy)]
struct Walked {
    at: Instant,
    took: Duration,
    bytes: u64,
    /// What the volume had left.
    free: u64,
}

/// What a walk found out.
#[derive(Debug, PartialEq, Eq)]
enum Walk {
    Bytes(u64),
    /// More than it was to count.
    Over,
    TooDeep,
}

impl Usage {
    /// Looks at a run, and says what it has too much of.
    pub fn look(&mut self, subject: &Subject) -> Option<Excess> {
        let free = free(&subject.folders[0]);
        if self.walked.is_some_and(|known| !is_due(known, free, subject.bounds.disk)) {
            return None;
        }
        let begun = Instant::now();
        let most = subject.bounds.disk;
        let mut bytes = without_names(subject);
        for folder in &subject.folders {
            match walk(folder, most.saturating_sub(bytes)) {
                Walk::Bytes(more) => bytes += more,
                Walk::Over => return Some(Excess::Disk { most }),
                Walk::TooDeep => return Some(Excess::Depth),
            }
        }
        self.walked = Some(Walked { at: begun, took: begun.elapsed(), bytes, free });
        (bytes > most).then_some(Excess::Disk { most })
    }
}

/// Whether a run could have passed its limit since it was walked, or nobody knows any more.
fn is_due(known: Walked, free: u64, most: u64) -> bool {
    let since = known.at.elapsed();
    if since < known.took * WALK_SHARE {
        return false;
    }
    let lost = known.free.saturating_sub(free);
    // Half of it, so that the walk itself has time.
    lost >= most.saturating_sub(known.bytes) / 2 || since >= LONGEST_WALK_PAUSE.max(LOOK_PAUSE)
}

fn free(folder: &OwnedFd) -> u64 {
    rustix::fs::fstatvfs(folder).map_or(0, |volume| volume.f_bfree.saturating_mul(volume.f_frsize))
}

/// Adds up what lies below a folder, until that is more than `most`. Links are not followed.
fn walk(folder: &OwnedFd, most: u64) -> Walk {
    let mut linked = HashSet::new();
    let mut bytes: u64 = 0;
    let Some(first) = open(folder.as_fd(), c".") else { return Walk::Bytes(0) };
    let mut open_folders = vec![first];
    while let Some(current) = open_folders.last_mut() {
        let Some(entry) = current.read() else {
            open_folders.pop();
            continue;
        };
        // What cannot be read has just gone, or is closed even to the run's own user.
        let Ok(entry) = entry else { continue };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let Ok(fd) = current.fd() else { continue };
        let Ok(stat) = rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let counts = is_folder
            || stat.st_nlink <= 1
            || linked.len() >= MAX_LINKED
            || linked.insert((stat.st_dev, stat.st_ino));
        if counts {
            bytes = bytes
                .saturating_add(u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK)
                .saturating_add(if stat.st_blocks == 0 { LEAST_BYTES } else { 0 });
        }
        if bytes > most {
            return Walk::Over;
        }
        if is_folder && let Some(next) = open(fd, name) {
            if open_folders.len() == MAX_DEPTH {
                return Walk::TooDeep;
            }
            open_folders.push(next);
        }
    }
    Walk::Bytes(bytes)
}

fn open(at: impl std::os::fd::AsFd, name: &std::ffi::CStr) -> Option<Dir> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Dir::new(rustix::fs::openat(at, name, flags, Mode::empty()).ok()?).ok()
}

/// The bytes of files on disk that have no name any more and are still open.
fn without_names(subject: &Subject) -> u64 {
    let Ok(processes) = table::all() else { return 0 };
    let families = Families::of(&processes);
    let none: HashSet<Pid> = HashSet::new();
    let (mut seen, mut bytes, mut left) = (HashSet::new(), 0, MAX_DESCRIPTORS);
    for stat in families.below(subject.keeper, &none) {
        let folder = format!("/proc/{}/fd", stat.process.pid.as_raw_nonzero());
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            left = left.saturating_sub(1);
            if left == 0 {
                return bytes;
            }
            let path = entry.path();
            let Ok(target) = fs::read_link(&path) else { continue };
            let target = target.as_os_str().as_bytes();
            let is_nameless = target.ends_with(b" (deleted)") && !target.starts_with(b"/memfd:");
            if is_nameless
                && let Ok(file) = fs::metadata(&path)
                && file.nlink() == 0
                && file.is_file()
                && seen.insert((file.dev(), file.ino()))
            {
                bytes += file.blocks() * BLOCK;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(folder: &std::path::Path) -> OwnedFd {
        fs::File::open(folder).unwrap().into()
    }

    #[test]
    fn a_sparse_file_counts_what_it_takes_and_a_second_name_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = fs::File::create(folder.path().join("sparse")).unwrap();
        file.set_len(1 << 40).unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(folder.path().join("sub/full"), vec![1; 1 << 20]).unwrap();
        fs::hard_link(folder.path().join("sub/full"), folder.path().join("again")).unwrap();
        std::os::unix::fs::symlink("/usr", folder.path().join("link")).unwrap();
        let Walk::Bytes(bytes) = walk(&opened(folder.path()), u64::MAX) else { panic!("it is not deep") };
        assert!((1 << 20..2 << 20).contains(&bytes), "{bytes}");
        assert_eq!(walk(&opened(folder.path()), 1 << 19), Walk::Over);
    }

    #[test]
    fn empty_files_count_and_folders_that_lie_too_deep_are_told() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..100 {
            fs::write(folder.path().join(number.to_string()), "").unwrap();
        }
        assert_eq!(walk(&opened(folder.path()), 50 * LEAST_BYTES), Walk::Over);
        let mut deep = opened(folder.path());
        for _ in 0..=MAX_DEPTH {
            rustix::fs::mkdirat(&deep, "d", Mode::RWXU).unwrap();
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            deep = rustix::fs::openat(&deep, "d", flags, Mode::empty()).unwrap();
        }
        assert_eq!(walk(&opened(folder.path()), u64::MAX), Walk::TooDeep);
    }

    #[test]
    fn a_walk_waits_while_the_volume_has_lost_too_little_to_matter() {
        let known = Walked { at: Instant::now(), took: Duration::ZERO, bytes: 100, free: 10_000 };
        assert!(!is_due(known, 9_900, 1_000));
        assert!(is_due(known, 9_500, 1_000));
        assert!(
            !is_due(Walked { took: Duration::from_secs(9), ..known }, 0, 1_000),
            "the last one took long"
        );
    }
}
