//! Stops processes faster than they can make others, then kills them.
//!
//! A process that forks and leaves at once lives for less time than it takes to look at all of `/proc`, so after
//! a first look at everything only the pids are looked at that were given since: the kernel says which was
//! the last. Those found are stopped first: a stopped process makes no others, stays the parent by which its
//! children are known, and keeps its place where the number of processes is limited.

use std::collections::HashSet;
use std::fs;
use std::io;

use rustix::process::{Pid, Signal};

use super::table::{self, Process, Stat};
use super::tree::signal;

/// How often a hunt looks before it kills what it found and gives back control; its caller starts another.
const MAX_LOOKS: usize = 300;
/// Beyond so many new pids a look at everything is cheaper.
const MAX_NEW_PIDS: i32 = 2_000;

/// Stops what is a member, and all below the members, until a look at everything finds no new one; then kills all
/// of them. Returns how many it were.
pub(crate) fn kill(is_member: impl Fn(&Stat) -> bool, spared: &HashSet<Pid>) -> io::Result<usize> {
    let mut hunt = Hunt::default();
    let mut found = Vec::new();
    for _ in 0..MAX_LOOKS {
        let was_whole = hunt.last_pid.is_none();
        let processes = hunt.look()?;
        let new = hunt.members(&processes, &is_member, spared);
        match (new.is_empty(), was_whole) {
            (true, true) => break,
            // Nothing new; a look at everything tells whether that is so.
            (true, false) => hunt.last_pid = None,
            (false, _) => {
                for &process in &new {
                    signal(process, Signal::STOP);
                }
                found.extend(new);
            }
        }
    }
    for &process in &found {
        signal(process, Signal::KILL);
    }
    Ok(found.len())
}

/// Remembers across looks what was found, so that children are known by their parents.
#[derive(Debug, Default)]
struct Hunt {
    seen: HashSet<Process>,
    pids: HashSet<Pid>,
    last_pid: Option<i32>,
    /// Pids that were given but showed no process: one that is just being made.
    unborn: Vec<i32>,
}

impl Hunt {
    /// Reads all processes, or those that are new since the last look.
    fn look(&mut self) -> io::Result<Vec<Stat>> {
        let last = last_pid();
        let before = std::mem::replace(&mut self.last_pid, last);
        let (Some(before), Some(last)) = (before, last) else { return table::all() };
        if last < before || last - before > MAX_NEW_PIDS {
            return table::all();
        }
        let again = std::mem::take(&mut self.unborn);
        let new = (before + 1)..=last;
        let mut processes = Vec::new();
        for number in again.iter().copied().chain(new.clone()) {
            match Pid::from_raw(number).and_then(table::stat) {
                Some(stat) => processes.push(stat),
                None if new.contains(&number) => self.unborn.push(number),
                None => {}
            }
        }
        Ok(processes)
    }

    /// Picks the members that were not found before, and remembers them.
    fn members(
        &mut self,
        processes: &[Stat],
        is_member: &impl Fn(&Stat) -> bool,
        spared: &HashSet<Pid>,
    ) -> Vec<Process> {
        let mut found = Vec::new();
        loop {
            let known = found.len();
            for stat in processes.iter().filter(|stat| !spared.contains(&stat.process.pid)) {
                let below = stat.parent.is_some_and(|parent| self.pids.contains(&parent));
                if (below || is_member(stat)) && self.seen.insert(stat.process) {
                    self.pids.insert(stat.process.pid);
                    found.push(stat.process);
                }
            }
            if found.len() == known {
                return found;
            }
        }
    }
}

/// The pid that was given last on this host, or in this container.
fn last_pid() -> Option<i32> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().nth(4)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_last_pid_is_that_of_the_newest_process() {
        let mut child = Command::new("true").spawn().unwrap();
        let last = last_pid().unwrap();
        child.wait().unwrap();
        assert!(last >= i32::try_from(child.id()).unwrap() || last < 1_000, "{last}");
    }

    #[test]
    fn a_look_after_the_first_sees_the_new_alone() {
        let mut hunt = Hunt::default();
        assert!(hunt.look().unwrap().iter().any(|stat| stat.process.pid == rustix::process::getpid()));
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let new = hunt.look().unwrap();
        let pid = Pid::from_child(&child);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(new.iter().any(|stat| stat.process.pid == pid));
        assert!(!new.iter().any(|stat| stat.process.pid == rustix::process::getpid()));
    }

    #[test]
    fn members_and_what_is_below_them_are_killed_and_the_spared_live() {
        let mut spared = Command::new("sleep").arg("1000").spawn().unwrap();
        let mut doomed = Command::new("sh").args(["-c", "sleep 1000 & sleep 1000"]).spawn().unwrap();
        let spare = HashSet::from([Pid::from_child(&spared)]);
        // Other tests may have children at the same time under `cargo test`.
        let killed = kill(|stat| stat.process.pid == Pid::from_child(&doomed), &spare).unwrap();
        assert!(killed >= 1);
        assert!(!doomed.wait().unwrap().success());
        assert!(spared.try_wait().unwrap().is_none());
        spared.kill().unwrap();
        spared.wait().unwrap();
    }
}
