//! Signals to whole process trees.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus};

use super::hunt;
use super::table::{self, Process};

/// How long the killed may take to be gone, in a system call that cannot be interrupted or as another user.
pub(crate) const MAX_SWEEP: Duration = Duration::from_secs(10);
/// How long a sweep waits for the killed to be gone before it looks again.
pub(crate) const SWEEP_PAUSE: Duration = Duration::from_millis(5);

/// All that is below one process, without some of its children and what is below those.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    pub root: Pid,
    pub spared: HashSet<Pid>,
}

impl Tree {
    /// All that is below this process.
    pub fn own() -> Self {
        Self { root: rustix::process::getpid(), spared: HashSet::new() }
    }

    pub fn members(&self) -> std::io::Result<HashSet<Process>> {
        Ok(table::below(self.root, &self.spared, &table::all()?))
    }

    /// Asks all members to end. A stopped process reads its signals only when it is continued.
    pub fn terminate(&self) -> std::io::Result<()> {
        for process in self.members()? {
            signal(process, Signal::TERM);
            signal(process, Signal::CONT);
        }
        Ok(())
    }

    /// Kills all members that can be found; a caller goes on until no child is left.
    pub fn kill(&self) -> std::io::Result<usize> {
        hunt::kill(|stat| stat.parent == Some(self.root), &self.spared)
    }
}

/// Sends a signal to exactly this process; says whether it is still there to get it.
pub(crate) fn signal(process: Process, signal: Signal) -> bool {
    match rustix::process::pidfd_open(process.pid, PidfdFlags::empty()) {
        // The descriptor holds the pid, so what is true after it was opened stays true.
        Ok(fd) => is_there(process) && rustix::process::pidfd_send_signal(fd, signal).is_ok(),
        // A kernel or a filter without pidfds: the window between the look and the signal is small.
        Err(Errno::NOSYS | Errno::PERM) => {
            is_there(process) && rustix::process::kill_process(process.pid, signal).is_ok()
        }
        Err(_) => false,
    }
}

/// Says whether the process is still the one that was meant.
pub(crate) fn is_there(process: Process) -> bool {
    table::stat(process.pid).is_some_and(|stat| stat.process == process)
}

/// What [`reap`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Children {
    /// Some are left, and none of them has ended.
    Some,
    /// No child is left, so nothing is left below this process.
    None,
}

/// Takes the status of every child that has ended.
pub(crate) fn reap(mut ended: impl FnMut(Pid, WaitStatus)) -> Children {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => ended(pid, status),
            Ok(None) => return Children::Some,
            Err(Errno::INTR) => {}
            Err(_) => return Children::None,
        }
    }
}

/// Ends all that is below this process and takes the status of what ended; gives up after a while.
pub(crate) fn end_own() -> std::io::Result<()> {
    let deadline = Instant::now() + MAX_SWEEP;
    while reap(|_, _| {}) == Children::Some && Instant::now() < deadline {
        Tree::own().kill()?;
        std::thread::sleep(SWEEP_PAUSE);
    }
    Ok(())
}
