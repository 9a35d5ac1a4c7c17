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
use std::time::Instant;

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::hunt;
use super::table::{self, Stat};
use super::tree::{MAX_SWEEP, SWEEP_PAUSE};

/// The variables by which a child is known.
pub const TASK_VARIABLE: &str = "CONDUCTOR_TASK_ID";
pub const ATTEMPT_VARIABLE: &str = "CONDUCTOR_ATTEMPT";
pub const AGENT_VARIABLE: &str = "CONDUCTOR_AGENT_ID";

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
    end(|stat| {
        is_marked(stat.process.pid, &mark)
            || record.is_some_and(|record| {
                is_recorded(stat, record)
                    || (in_session(stat, record)
                        && (leader_lives(record) || works_below(stat.process.pid, &folder)))
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
    end(|stat| is_marked(stat.process.pid, &mark))
}

fn end(is_ours: impl Fn(&Stat) -> bool) -> io::Result<usize> {
    let processes = table::all()?;
    let spared = ancestry(&processes);
    let lives = |stat: &Stat| !stat.ended && is_ours(stat);
    let count = hunt::kill(lives, &spared)?;
    let deadline = Instant::now() + MAX_SWEEP;
    // The killed are gone when nothing of them but a status is left, which is for whoever adopted them.
    while count > 0 && table::all()?.iter().any(|stat| !spared.contains(&stat.process.pid) && lives(stat)) {
        if Instant::now() >= deadline {
            return Err(io::Error::other("processes of an earlier attempt do not end"));
        }
        std::thread::sleep(SWEEP_PAUSE);
        hunt::kill(lives, &spared)?;
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

fn leader_lives(record: &Record) -> bool {
    Pid::from_raw(record.pid)
        .and_then(table::stat)
        .is_some_and(|stat| !stat.ended && is_recorded(&stat, record))
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
