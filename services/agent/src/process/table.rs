//! What `/proc` says about the processes of this host.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Read;

use rustix::process::Pid;
use rustix::time::ClockId;

/// More than the fields up to the start of a process take: a name of at most 64 bytes and 21 numbers.
const MAX_LINE: usize = 1_024;

/// One process, named by its pid and its start together: a pid alone may be someone else's by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub pid: Pid,
    /// Clock ticks, mostly hundredths of a second, since the boot of the host.
    pub start_ticks: u64,
}

/// What is known of a process beside its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub process: Process,
    /// None for a process without a parent that this one can see.
    pub parent: Option<Pid>,
    pub session: Option<Pid>,
    /// Whether only its status is left, for a parent that may never take it.
    pub ended: bool,
    /// How many threads it has, each of which counts where the kernel counts processes.
    pub threads: u32,
    /// How many pages of memory it has in use, shared ones among them.
    pub resident_pages: u64,
}

/// Reads one process; none when it is gone.
pub(crate) fn stat(pid: Pid) -> Option<Stat> {
    // One read gives the whole line, and a sweep reads the lines of all processes.
    let mut line = [0; MAX_LINE];
    let mut file = fs::File::open(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let length = file.read(&mut line).ok()?;
    parse(pid, &line[..length])
}

/// Reads all processes that can be seen, in no order that means anything.
pub(crate) fn all() -> std::io::Result<Vec<Stat>> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(entry) = entry else { continue };
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        processes.extend(pid.and_then(stat));
    }
    Ok(processes)
}

/// Picks what is below `root`, without the processes of `spared` and what is below them.
pub(crate) fn below(root: Pid, spared: &HashSet<Pid>, processes: &[Stat]) -> HashSet<Process> {
    Families::of(processes).below(root, spared).map(|stat| stat.process).collect()
}

/// Processes by their parents, for who asks about several trees.
#[derive(Debug)]
pub(crate) struct Families<'a>(HashMap<Pid, Vec<&'a Stat>>);

impl<'a> Families<'a> {
    pub fn of(processes: &'a [Stat]) -> Self {
        let mut children: HashMap<Pid, Vec<&Stat>> = HashMap::new();
        for stat in processes {
            if let Some(parent) = stat.parent {
                children.entry(parent).or_default().push(stat);
            }
        }
        Self(children)
    }

    /// Goes through what is below `root`, without the processes of `spared` and what is below them.
    pub fn below<'b>(&'b self, root: Pid, spared: &'b HashSet<Pid>) -> impl Iterator<Item = &'a Stat> + 'b {
        let mut seen = HashSet::new();
        let mut parents = vec![root];
        std::iter::from_fn(move || {
            let children = self.0.get(&parents.pop()?);
            let children: Vec<&Stat> = children
                .into_iter()
                .flatten()
                .copied()
                .filter(|stat| !spared.contains(&stat.process.pid) && seen.insert(stat.process))
                .collect();
            parents.extend(children.iter().map(|stat| stat.process.pid));
            Some(children)
        })
        .flatten()
    }
}

/// Says whether a process that started in this tick may have started between these two instants of
/// [`boot_ms`].
pub(crate) fn started_between(start_ticks: u64, from_ms: u64, to_ms: u64) -> bool {
    let per_second = rustix::param::clock_ticks_per_second();
    let tick = |ms: u64| ms * per_second / 1_000;
    (tick(from_ms)..=tick(to_ms)).contains(&start_ticks)
}

/// The milliseconds since the boot of the host, sleep included: the clock in which starts are given.
#[must_use]
pub fn boot_ms() -> u64 {
    let now = rustix::time::clock_gettime(ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}

/// The fields of `/proc/<pid>/stat` that matter here. The name in its second field may hold anything, so
/// the fields are counted from its last parenthesis.
fn parse(pid: Pid, stat: &[u8]) -> Option<Stat> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let mut fields = std::str::from_utf8(&stat[end + 1..]).ok()?.split_ascii_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X");
    // A process that is just going has 0 or -1 there.
    let number = |field: &str| field.parse().ok().filter(|&number: &i32| number > 0).and_then(Pid::from_raw);
    let parent = number(fields.next()?);
    let session = number(fields.nth(1)?);
    let threads = fields.nth(13)?.parse().unwrap_or(1);
    let start_ticks = fields.nth(1)?.parse().ok()?;
    let resident_pages = fields.nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    Some(Stat { process: Process { pid, start_ticks }, parent, session, ended, threads, resident_pages })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(number: i32) -> Pid {
        Pid::from_raw(number).unwrap()
    }

    #[test]
    fn a_name_that_looks_like_fields_misleads_nobody() {
        let line = b"7 (a) S 1 2) (b) R 3 7 5 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 9 0 777 1 12\n";
        let stat = parse(pid(7), line).unwrap();
        assert_eq!((stat.threads, stat.resident_pages), (9, 12));
        assert_eq!(stat.parent, Some(pid(3)));
        assert_eq!(stat.session, Some(pid(5)));
        assert_eq!(stat.process.start_ticks, 777);
    }

    #[test]
    fn a_process_that_is_just_going_has_no_parent_and_no_session() {
        let line = b"7 (a) Z 0 -1 -1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 777 1 1\n";
        let stat = parse(pid(7), line).unwrap();
        assert_eq!((stat.parent, stat.session, stat.ended), (None, None, true));
    }

    #[test]
    fn this_process_started_before_now_and_is_below_its_parent() {
        let this = rustix::process::getpid();
        let stat = stat(this).unwrap();
        assert!(stat.process.start_ticks * 10 <= boot_ms());
        assert_eq!(stat.parent, rustix::process::getppid());
        // In a pid namespace the session may lie outside, and has no number in here.
        if stat.session.is_some() {
            assert_eq!(stat.session, rustix::process::getsid(None).ok());
        }
    }

    #[test]
    fn spared_processes_keep_what_is_below_them() {
        let process = |number, parent| Stat {
            process: Process { pid: pid(number), start_ticks: 0 },
            parent: Some(pid(parent)),
            session: None,
            ended: false,
            threads: 1,
            resident_pages: 0,
        };
        let table =
            [process(5, 4), process(2, 1), process(3, 1), process(4, 3), process(9, 8), process(6, 2)];
        let found = below(pid(1), &HashSet::from([pid(3)]), &table);
        assert_eq!(found, HashSet::from([pid(2), pid(6)].map(|pid| Process { pid, start_ticks: 0 })));
    }
}
