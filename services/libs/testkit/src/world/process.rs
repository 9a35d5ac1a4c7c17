//! Processes: the programs that a test starts, and everything that carries a mark in its environment.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::wait::eventually;

/// How long a killed process may take to be gone.
const GONE: Duration = Duration::from_secs(10);

/// A program that a test started. It is killed when it is dropped.
#[derive(Debug)]
pub struct Spawned {
    child: Child,
    said: PathBuf,
}

impl Spawned {
    /// Starts a program; what it says goes to a file below `folder`.
    pub(super) fn start(program: &Path, args: &[OsString], env: &[(String, String)], folder: &Path) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let said = folder.join(format!("{:03}-{name}.log", COUNT.fetch_add(1, Ordering::Relaxed)));
        let file = File::create(&said).expect("the world's folder can be written");
        let again = file.try_clone().expect("a file can be opened twice");
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(file).stderr(again);
        // What the test's own environment says of Conductor is not meant for the programs of a world.
        let foreign = std::env::vars_os().map(|(name, _)| name);
        foreign.filter(|name| name.to_string_lossy().starts_with("CONDUCTOR_")).for_each(|name| {
            command.env_remove(name);
        });
        command.envs(env.iter().map(|(name, value)| (name, value)));
        let child =
            command.spawn().unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
        Self { child, said }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, when it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Everything that it said so far.
    #[must_use]
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.said).unwrap_or_default()).into_owned()
    }

    /// Kills it, as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn terminate(&mut self, limit: Duration) -> ExitStatus {
        signal(self.pid(), rustix::process::Signal::TERM);
        eventually(limit, "the program ends", async || self.ended()).await
    }

    /// The worker below an agent's monitor.
    ///
    /// # Panics
    /// When there is none in time.
    pub async fn worker(&self) -> Found {
        eventually(GONE, "the monitor has a worker", async || children(self.pid()).into_iter().next()).await
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A process that was found: by its id and start, so that another of the same id is not taken for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its process id.
    pub pid: u32,
    started: u64,
    /// How it was called.
    pub command: String,
}

impl Found {
    /// Whether it lives.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && !stat.ended)
    }

    /// Whether it is one of Conductor's programs, and not what a task started.
    #[must_use]
    pub fn is_program(&self) -> bool {
        let name = self.command.split(' ').next().and_then(|program| program.rsplit('/').next());
        name.is_some_and(|name| name.starts_with("conductor"))
    }

    /// Stops it where it is, as `kill -STOP` does.
    pub fn stop(&self) {
        if self.is_alive() {
            signal(self.pid, rustix::process::Signal::STOP);
        }
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(&self) {
        if self.is_alive() {
            signal(self.pid, rustix::process::Signal::KILL);
        }
    }

    /// Waits until it is gone.
    ///
    /// # Panics
    /// When it is still there in the end.
    pub async fn gone(&self) {
        eventually(GONE, "the process is gone", async || (!self.is_alive()).then_some(())).await;
    }
}

struct Stat {
    parent: u32,
    started: u64,
    ended: bool,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold any character.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
        ended: matches!(*fields.first()?, "Z" | "X"),
    })
}

fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("the tests run where there is a /proc");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn found(pid: u32) -> Option<Found> {
    let stat = stat(pid).filter(|stat| !stat.ended)?;
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command).replace('\0', " ").trim().to_owned();
    Some(Found { pid, started: stat.started, command })
}

/// The processes whose environment holds a variable of this value.
#[must_use]
pub fn marked(name: &str, value: &str) -> Vec<Found> {
    let wanted = format!("{name}={value}");
    let carries = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    pids().into_iter().filter(|pid| *pid != std::process::id()).filter(carries).filter_map(found).collect()
}

/// The children of a process.
#[must_use]
pub fn children(parent: u32) -> Vec<Found> {
    let is_child = |pid: &u32| stat(*pid).is_some_and(|stat| stat.parent == parent);
    pids().into_iter().filter(is_child).filter_map(found).collect()
}

/// Whether a process of this id lives.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| !stat.ended)
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid =
        i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a process id is positive");
    // It may be gone already.
    let _ = rustix::process::kill_process(pid, signal);
}

/// Shows the end of what the programs said.
pub(super) fn show(folder: &Path, most: usize) {
    let mut files: Vec<_> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    for file in files {
        let bytes = fs::read(&file).unwrap_or_default();
        let tail = &bytes[bytes.len().saturating_sub(most)..];
        eprintln!("---- {}\n{}", file.display(), String::from_utf8_lossy(tail));
    }
}
