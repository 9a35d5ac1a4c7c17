//! How much memory a tree has.
//!
//! What every process has in use is known from the look at all of them, and is too much where processes share memory. So only
//! where that much would be over the limit the kernel is asked for each one's share, which takes it longer to say.

use std::collections::HashMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use super::super::table::Stat;

/// How long a tree that was measured and is below its limit is not measured again, unless it grows.
const MEASURED_PAUSE: Duration = Duration::from_secs(2);
/// How often files are looked for that lie in memory alone.
const FILES_PAUSE: Duration = Duration::from_secs(1);
/// The most descriptors of a tree that are looked at for them.
const MAX_DESCRIPTORS: usize = 16_384;
const KIB: u64 = 1 << 10;

/// What is remembered of a tree.
#[derive(Debug, Default)]
pub(super) struct Tree {
    measured: Option<Measured>,
    /// Files in memory that descriptors keep, when they were counted.
    files: Option<(u64, Instant)>,
}

#[derive(Debug, Clone, Copy)]
struct Measured {
    at: Instant,
    /// What it had at most, and what it had.
    at_most: u64,
    bytes: u64,
}

impl Tree {
    /// Whether a tree has more memory than it may.
    pub fn is_over(&mut self, members: &[&Stat], limit: u64, swapped: u64) -> bool {
        let files = self.files(members);
        let pages: u64 = members.iter().map(|stat| stat.resident_pages).sum();
        let page = rustix::param::page_size() as u64;
        let at_most = pages.saturating_mul(page).saturating_add(files).saturating_add(swapped);
        if at_most <= limit {
            return false;
        }
        if let Some(known) = self.measured {
            let room = limit.saturating_sub(known.bytes);
            let grown = at_most.saturating_sub(known.at_most);
            if grown < room && known.at.elapsed() < MEASURED_PAUSE {
                return false;
            }
        }
        let shares = members.iter().map(|stat| share(stat)).fold(Share::default(), Share::and);
        // Files in memory that are mapped are in both.
        let bytes = shares.own.saturating_add(shares.shared.max(files));
        self.measured = Some(Measured { at: Instant::now(), at_most, bytes });
        bytes > limit
    }

    fn files(&mut self, members: &[&Stat]) -> u64 {
        match self.files {
            Some((bytes, at)) if at.elapsed() < FILES_PAUSE => bytes,
            _ => {
                let bytes = files_in_memory(members);
                self.files = Some((bytes, Instant::now()));
                bytes
            }
        }
    }
}

/// What a process has for itself, and its share of what it has with others.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Share {
    own: u64,
    shared: u64,
}

impl Share {
    fn and(self, other: Self) -> Self {
        Self { own: self.own + other.own, shared: self.shared + other.shared }
    }
}

fn share(stat: &Stat) -> Share {
    let path = format!("/proc/{}/smaps_rollup", stat.process.pid.as_raw_nonzero());
    match fs::read_to_string(path) {
        Ok(text) => parse(&text),
        // It is gone, or the kernel does not say: what it has in use is the most that it can be.
        Err(_) if super::super::tree::is_there(stat.process) => {
            Share { own: stat.resident_pages * rustix::param::page_size() as u64, shared: 0 }
        }
        Err(_) => Share::default(),
    }
}

/// Pages of files can be read again, so the kernel drops them when memory is short: they do not count.
fn parse(rollup: &str) -> Share {
    let mut share = Share::default();
    for line in rollup.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(Ok(kib))) = (words.next(), words.next().map(str::parse::<u64>)) else {
            continue;
        };
        match name {
            "Pss_Anon:" | "SwapPss:" => share.own += kib * KIB,
            "Pss_Shmem:" => share.shared += kib * KIB,
            _ => {}
        }
    }
    share
}

/// The bytes of files that lie in memory and have no name, which need nobody to map them.
fn files_in_memory(members: &[&Stat]) -> u64 {
    let mut found: HashMap<(u64, u64), u64> = HashMap::new();
    let mut left = MAX_DESCRIPTORS;
    for stat in members {
        let folder = format!("/proc/{}/fd", stat.process.pid.as_raw_nonzero());
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            left = left.saturating_sub(1);
            if left == 0 {
                return found.values().sum();
            }
            let path = entry.path();
            let is_in_memory = fs::read_link(&path)
                .is_ok_and(|target| target.as_os_str().as_encoded_bytes().starts_with(b"/memfd:"));
            if is_in_memory && let Ok(file) = fs::metadata(&path) {
                found.insert((file.dev(), file.ino()), file.blocks() * 512);
            }
        }
    }
    found.values().sum()
}

/// How much of the host's memory lies in its swap: no process's can be more.
pub(super) fn swapped() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    kib("SwapTotal:").zip(kib("SwapFree:")).map_or(0, |(total, free)| total.saturating_sub(free) * KIB)
}

/// How many processes of this host the kernel has ended for want of memory.
pub(super) fn ended_by_kernel() -> u64 {
    let mut text = String::new();
    // Where the host does not say, nothing is ever told from it.
    let read = fs::File::open("/proc/vmstat").and_then(|mut file| file.read_to_string(&mut text));
    read.ok()
        .and_then(|_| text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use rustix::process::Pid;

    use super::*;
    use crate::process::table;

    #[test]
    fn pages_of_files_do_not_count_and_swapped_ones_do() {
        let text = "5f0-7ff ---p 00000000 00:00 0 [rollup]\nRss: 900 kB\nPss: 500 kB\nPss_Anon: 100 kB\nPss_File: 390 kB\n\
                    Pss_Shmem: 10 kB\nSwapPss: 7 kB\n";
        assert_eq!(parse(text), Share { own: 107 << 10, shared: 10 << 10 });
    }

    #[test]
    fn this_process_is_over_a_small_limit_and_not_over_a_large_one() {
        let stat = table::stat(rustix::process::getpid()).unwrap();
        let held = vec![1_u8; 32 << 20];
        assert!(Tree::default().is_over(&[&stat, &table::stat(Pid::INIT).unwrap()], 1 << 10, 0));
        assert!(!Tree::default().is_over(&[&stat], 1 << 50, 0));
        assert_eq!(held.iter().map(|byte| u64::from(*byte)).sum::<u64>(), 32 << 20);
    }

    #[test]
    fn a_file_in_memory_counts_without_being_mapped() {
        let file = rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let before = files_in_memory(&[&table::stat(rustix::process::getpid()).unwrap()]);
        rustix::io::write(&file, &vec![1; 1 << 20]).unwrap();
        let after = files_in_memory(&[&table::stat(rustix::process::getpid()).unwrap()]);
        assert!(after >= before + (1 << 20), "{before} {after}");
    }
}
