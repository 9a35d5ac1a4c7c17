//! Limits on what a run takes together, its whole tree, whatever it made and however it detached.
//!
//! Two threads of an agent look at its runs every quarter of a second, one at processes and memory, one at the disk. A run is
//! handed over when its keeper tells that it has lived for a while, so short ones never meet them, and with nothing to look at
//! the threads sleep. What is over a limit is told to the run itself, which ends as it does for any other cause.

mod disk;
mod memory;

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::cgroup::{Cgroup, Events};
use super::table::{self, Families, Stat};
use crate::runner::Control;

/// How often runs are looked at.
pub const LOOK_PAUSE: Duration = Duration::from_millis(250);
/// Where many processes make a look long, the pause is so many times as long as the look, and no longer than this.
const PAUSE_PER_LOOK: u32 = 20;
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The most words that wait for a thread; who says more waits.
const MAX_ORDERS: usize = 1_024;

/// What a run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Processes, each thread counted, as the kernel does.
    pub processes: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes on disk, in its work folder and its private one.
    pub disk: u64,
}

/// What a run took more of than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    Processes {
        most: u64,
    },
    Memory {
        most: u64,
    },
    Disk {
        most: u64,
    },
    /// The kernel ended what it was of for want of memory.
    OfHost,
    /// Its folders lie in each other deeper than anything looks.
    Depth,
}

/// Looks at the runs of an agent.
#[derive(Debug)]
pub(crate) struct Overseer {
    threads: [SyncSender<Order>; 2],
    next: AtomicU64,
}

/// A run that is looked at until this goes.
#[derive(Debug)]
pub(crate) struct Overseen {
    overseer: Arc<Overseer>,
    number: u64,
    bounds: Bounds,
    ended_before: u64,
    cgroup: Option<(Arc<Cgroup>, Events)>,
}

/// A run to look at.
#[derive(Debug)]
pub(crate) struct Subject {
    /// Its keeper, above which nothing is the run's.
    pub keeper: Pid,
    pub bounds: Bounds,
    /// The folders that count.
    pub folders: [OwnedFd; 2],
    /// The run.
    pub control: Control,
    /// The cgroup that its keeper is in, where there is one.
    pub cgroup: Option<Arc<Cgroup>>,
}

#[derive(Debug)]
enum Order {
    Watch(u64, Arc<Subject>),
    Forget(u64),
}

impl Overseer {
    /// Starts the threads; they end with the last clone of what is given back.
    ///
    /// # Errors
    /// The system's, when there is no thread left.
    pub fn start() -> std::io::Result<Arc<Self>> {
        let (trees, tree_orders) = sync_channel(MAX_ORDERS);
        let (disks, disk_orders) = sync_channel(MAX_ORDERS);
        std::thread::Builder::new()
            .name("overseer".into())
            .spawn(move || serve(&tree_orders, memory::Tree::default, look_at_trees))?;
        std::thread::Builder::new()
            .name("overseer-disk".into())
            .spawn(move || serve(&disk_orders, disk::Usage::default, look_at_disks))?;
        Ok(Arc::new(Self { threads: [trees, disks], next: AtomicU64::new(0) }))
    }

    /// Looks at a run from now on.
    pub fn watch(self: &Arc<Self>, subject: Subject) -> Overseen {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let cgroup = subject.cgroup.clone().map(|cgroup| {
            let events = cgroup.events();
            (cgroup, events)
        });
        let bounds = subject.bounds;
        let subject = Arc::new(subject);
        for thread in &self.threads {
            // A thread that is gone has panicked, which ends the worker.
            let _ = thread.send(Order::Watch(number, Arc::clone(&subject)));
        }
        Overseen {
            overseer: Arc::clone(self),
            number,
            bounds,
            ended_before: memory::ended_by_kernel(),
            cgroup,
        }
    }
}

impl Overseen {
    /// What the kernel held the run to that ended with a failure before anybody looked: memory of its cgroup, whichever of its
    /// processes the kernel ended, or of the whole host where it has none and was killed, or processes of its cgroup.
    pub fn why_it_failed(&self, is_killed: bool) -> Option<Excess> {
        match &self.cgroup {
            Some((cgroup, before)) => held_by_kernel(cgroup, *before, self.bounds),
            None => (is_killed && memory::ended_by_kernel() > self.ended_before).then_some(Excess::OfHost),
        }
    }
}

impl Drop for Overseen {
    fn drop(&mut self) {
        for thread in &self.overseer.threads {
            let _ = thread.send(Order::Forget(self.number));
        }
    }
}

/// A run that a thread looks at, with what the thread remembers of it.
struct Watched<T> {
    number: u64,
    subject: Arc<Subject>,
    memory: T,
    events: Option<Events>,
    is_told: bool,
}

impl<T> Watched<T> {
    fn tell(&mut self, excess: Excess) {
        self.is_told = true;
        self.subject.control.exceeded(excess);
    }
}

fn serve<T>(orders: &Receiver<Order>, new: impl Fn() -> T, mut look: impl FnMut(&mut [Watched<T>])) {
    let mut watched: Vec<Watched<T>> = Vec::new();
    let mut next = Instant::now();
    loop {
        let order = match watched.is_empty() {
            true => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false => orders.recv_timeout(next.saturating_duration_since(Instant::now())),
        };
        match order {
            Ok(Order::Watch(number, subject)) => {
                if watched.is_empty() {
                    next = Instant::now() + LOOK_PAUSE;
                }
                let events = subject.cgroup.as_ref().map(|cgroup| cgroup.events());
                watched.push(Watched { number, subject, memory: new(), events, is_told: false });
            }
            Ok(Order::Forget(number)) => watched.retain(|it| it.number != number),
            Err(RecvTimeoutError::Timeout) => {
                let begun = Instant::now();
                look(&mut watched);
                let pause = (begun.elapsed() * PAUSE_PER_LOOK).clamp(LOOK_PAUSE, LONGEST_PAUSE);
                next = Instant::now() + pause;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn look_at_trees(watched: &mut [Watched<memory::Tree>]) {
    // Without a list of the processes there is nothing to compare; the next look tries again.
    let Ok(processes) = table::all() else { return };
    let families = Families::of(&processes);
    let swapped = memory::swapped();
    for run in watched.iter_mut().filter(|run| !run.is_told) {
        let members: Vec<&Stat> = families.below(run.subject.keeper, &HashSet::new()).collect();
        let bounds = run.subject.bounds;
        if members.iter().map(|stat| u64::from(stat.threads)).sum::<u64>() > bounds.processes {
            run.tell(Excess::Processes { most: bounds.processes });
        } else if run.memory.is_over(&members, bounds.memory, swapped) {
            run.tell(Excess::Memory { most: bounds.memory });
        } else if let (Some(cgroup), Some(before)) = (&run.subject.cgroup, run.events)
            && let Some(excess) = held_by_kernel(cgroup, before, bounds)
        {
            run.tell(excess);
        }
    }
}

/// What the kernel has held a run to since it counted before.
fn held_by_kernel(cgroup: &Cgroup, before: Events, bounds: Bounds) -> Option<Excess> {
    let now = cgroup.events();
    let memory = now.ended > before.ended;
    let processes = now.refused > before.refused;
    let excess = memory.then_some(Excess::Memory { most: bounds.memory });
    excess.or(processes.then_some(Excess::Processes { most: bounds.processes }))
}

fn look_at_disks(watched: &mut [Watched<disk::Usage>]) {
    for run in watched.iter_mut().filter(|run| !run.is_told) {
        let excess = run.memory.look(&run.subject);
        if let Some(excess) = excess {
            run.tell(excess);
        }
    }
}
