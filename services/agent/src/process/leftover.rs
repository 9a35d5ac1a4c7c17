//! What an earlier life left running, and its end.
//!
//! Monitor, worker and keepers killed at once leave the children running, below whatever reaps orphans on the
//! host. They are found again in three ways: by the pid and start that are kept in the run folder, by
//! the session that the child led, and by the variables that every child is started with. A pid is never
//! trusted alone.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::table::{self, Process, Stat};
use super::tree;

/// The variables by which a child is known.
pub const TASK_VARIABLE: &str = "CONDUCTOR_TASK_ID";
pub const ATTEMPT_VARIABLE: &str = "CONDUCTOR_ATTEMPT";
pub const AGENT_VARIABLE: &str = "CONDUCTOR_AGENT_ID";

/// How long the killed may take to be gone.
const MAX_WAIT: Duration = Duration::from_secs(10);
const WAIT_PAUSE: Duration = Duration::from_millis(5);

/// Names the first child of an attempt across lives of the agent; its pid is its session's number too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub version: u32,
    pub attempt: u32,
    /// The boot of the host; after another boot nothing is left.
    pub boot_id: String,
    pub pid: i32,
    /// It started between these two instants, in milliseconds since the boot.
    pub from_ms: u64,
    pub to_ms: u64,
}

impl Record {
    pub const VERSION: u32 = 1;
}

/// Returns what names the current boot of this host; empty where the host does not say.
#[must_use]
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Ends what is left of earlier attempts at a task on this host, and returns how many processes it were.
///
/// # Errors
///
/// Fails when the processes cannot be listed, or some of them do not end.
pub fn end_task(task_id: &str, record: Option<&Record>, folder: &Path) -> io::Result<usize> {
    let record = record.filter(|record| record.version == Record::VERSION && record.boot_id == boot_id());
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mark = mark(TASK_VARIABLE, task_id);
    end(|stat, processes| {
        is_marked(stat.process.pid, &mark)
            || record.is_some_and(|record| {
                is_recorded(stat, record)
                    || (in_session(stat, record)
                        && (leader_lives(record, processes) || works_below(stat.process.pid, &folder)))
            })
    })
}

/// Ends what an earlier life of this agent left, and returns how many processes it were. An agent calls it
/// before it runs anything.
///
/// # Errors
///
/// Fails when the processes cannot be listed, or some of them do not end.
pub fn end_agent(agent_id: &str) -> io::Result<usize> {
    let mark = mark(AGENT_VARIABLE, agent_id);
    end(|stat, _| is_marked(stat.process.pid, &mark))
}

fn end(is_ours: impl Fn(&Stat, &[Stat]) -> bool) -> io::Result<usize> {
    let members = || -> io::Result<HashSet<Process>> {
        let mut processes = table::all()?;
        processes.retain(|stat| !stat.ended);
        let spared = ancestry(&processes);
        let roots: Vec<Process> = processes
            .iter()
            .filter(|stat| !spared.contains(&stat.process.pid) && is_ours(stat, &processes))
            .map(|stat| stat.process)
            .collect();
        let mut members: HashSet<Process> = roots.iter().copied().collect();
        for root in roots {
            members.extend(table::below(root.pid, &spared, &processes));
        }
        Ok(members)
    };
    let count = tree::kill_all(members)?;
    let deadline = Instant::now() + MAX_WAIT;
    while count > 0 && !members()?.is_empty() {
        if Instant::now() >= deadline {
            return Err(io::Error::other("processes of an earlier attempt do not end"));
        }
        std::thread::sleep(WAIT_PAUSE);
        tree::kill_all(members)?;
    }
    Ok(count)
}

/// This process and all above it: an agent may itself run below a task.
fn ancestry(processes: &[Stat]) -> HashSet<Pid> {
    let mut above = HashSet::new();
    let mut next = Some(rustix::process::getpid());
    while let Some(pid) = next {
        if !above.insert(pid) {
            break;
        }
        next = processes.iter().find(|stat| stat.process.pid == pid).and_then(|stat| stat.parent);
    }
    above
}

fn is_recorded(stat: &Stat, record: &Record) -> bool {
    stat.process.pid.as_raw_nonzero().get() == record.pid
        && table::started_between(stat.process.start_ticks, record.from_ms, record.to_ms)
}

fn in_session(stat: &Stat, record: &Record) -> bool {
    stat.session.is_some_and(|session| session.as_raw_nonzero().get() == record.pid)
}

fn leader_lives(record: &Record, processes: &[Stat]) -> bool {
    processes.iter().any(|stat| is_recorded(stat, record))
}

fn works_below(pid: Pid, folder: &Path) -> bool {
    fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero())).is_ok_and(|cwd| cwd.starts_with(folder))
}

fn mark(variable: &str, value: &str) -> Vec<u8> {
    format!("{variable}={value}").into_bytes()
}

fn is_marked(pid: Pid, mark: &[u8]) -> bool {
    // The environment of another user's process cannot be read; nor could the process be ended.
    fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()))
        .is_ok_and(|environ| environ.split(|&byte| byte == 0).any(|variable| variable == mark))
}
