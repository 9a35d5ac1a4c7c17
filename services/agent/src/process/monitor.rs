//! The monitor: a process of one thread that keeps a worker running and ends all that a dead worker left.
//!
//! Monitor and worker watch each other: the monitor gets the worker's exit status, the worker's standard input is
//! a pipe that only the monitor holds. With a parent pipe the monitor's own standard input is such a pipe of its
//! parent.

use std::ffi::{CString, OsString};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal};

use super::frame::Exit;
use super::spawn::{self, Command};
use super::tree;

/// What the monitor hands to the worker.
const PASSED_ON: [Signal; 6] =
    [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2];
/// How long a worker has to leave when the monitor's parent is gone.
const PARENT_GONE_GRACE: Duration = Duration::from_secs(10);

/// What a monitor keeps running.
#[derive(Debug)]
pub struct Settings {
    pub program: PathBuf,
    /// What makes the program the worker.
    pub args: Vec<OsString>,
    /// Whether standard input is a pipe of the parent, whose end means the end of everything here.
    pub parent_pipe: bool,
    /// The exit codes with which a worker means to end; after any other it is started again.
    pub final_codes: Vec<i32>,
    pub backoff: Backoff,
    /// Hears what happens.
    pub notice: fn(&Notice),
}

/// How long a monitor waits before it starts a worker again: doubled each time, from the start when the worker
/// lived.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    pub first: Duration,
    pub most: Duration,
    /// How long a worker has lived that is no part of a row of crashes.
    pub lived: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { first: Duration::from_millis(50), most: seconds(10), lived: seconds(5) }
    }
}

/// What a monitor says about its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    Started { worker: i32 },
    Died { worker: i32, exit: Exit, restart_in: Duration },
    ParentGone,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { worker } => write!(f, "worker {worker} started"),
            Self::Died { worker, exit, restart_in } => {
                let ms = restart_in.as_millis();
                write!(f, "worker {worker} {exit}; all that it ran is ended, it starts again in {ms} ms")
            }
            Self::ParentGone => write!(f, "the parent is gone, the worker ends"),
        }
    }
}

/// Is the monitor until the worker ends for good, and returns the code to exit with.
///
/// A program calls this before it makes a thread.
///
/// # Errors
///
/// Fails when the process cannot become a subreaper or the first worker cannot be made.
pub fn run(settings: &Settings) -> io::Result<i32> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    spawn::seal_descriptors()?;
    let watched: Vec<Signal> = PASSED_ON.into_iter().chain([Signal::CHILD]).collect();
    let mut monitor =
        Monitor { settings, signals: spawn::signal_fd(&watched)?, parent_gone: false, asked_to_end: false };
    let mut pause = settings.backoff.first;
    loop {
        let born = Instant::now();
        let (worker, pipe) = monitor.start()?;
        (settings.notice)(&Notice::Started { worker: worker.as_raw_nonzero().get() });
        let exit = monitor.watch(worker, pipe)?;
        tree::end_own()?;
        match exit {
            Exit::Code(code) if settings.final_codes.contains(&code) => return Ok(code),
            Exit::Code(_) | Exit::Signal(_) if monitor.parent_gone || monitor.asked_to_end => {
                return Ok(exit.as_code());
            }
            Exit::Code(_) | Exit::Signal(_) => {}
        }
        if born.elapsed() >= settings.backoff.lived {
            pause = settings.backoff.first;
        }
        let worker = worker.as_raw_nonzero().get();
        (settings.notice)(&Notice::Died { worker, exit, restart_in: pause });
        if monitor.pause(pause)? {
            return Ok(exit.as_code());
        }
        pause = (pause * 2).min(settings.backoff.most);
    }
}

struct Monitor<'a> {
    settings: &'a Settings,
    signals: OwnedFd,
    parent_gone: bool,
    /// Whether a signal asked for the end, so that a worker that dies of it is not started again.
    asked_to_end: bool,
}

impl Monitor<'_> {
    fn start(&self) -> io::Result<(Pid, OwnedFd)> {
        let (theirs, ours) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let program = CString::new(self.settings.program.as_os_str().as_bytes())?;
        let args = spawn::c_strings(self.settings.args.iter().map(|arg| arg.as_bytes()))?;
        let argv: Vec<_> =
            [program.as_c_str()].into_iter().chain(args.iter().map(CString::as_c_str)).collect();
        let env = spawn::c_strings(
            std::env::vars_os().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat()),
        )?;
        let env: Vec<_> = env.iter().map(CString::as_c_str).collect();
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let stdio = [theirs.as_fd(), stdout.as_fd(), stderr.as_fd()];
        let command = Command { program: &program, argv: &argv, env: &env, cwd: None, stdio };
        Ok((spawn::spawn(&command)?, ours))
    }

    /// Waits for the worker's end and passes signals on until then.
    fn watch(&mut self, worker: Pid, pipe: OwnedFd) -> io::Result<Exit> {
        let mut pipe = Some(pipe);
        let mut deadline: Option<Instant> = None;
        loop {
            self.wait(deadline)?;
            for signal in self.pending()? {
                // Not waited for yet, so the pid is still the worker's.
                let _ = rustix::process::kill_process(worker, signal);
            }
            let mut exit = None;
            tree::reap(|pid, status| {
                if pid == worker {
                    exit = Some(Exit::from(status));
                }
            });
            if let Some(exit) = exit {
                return Ok(exit);
            }
            if self.parent_gone && pipe.take().is_some() {
                (self.settings.notice)(&Notice::ParentGone);
                deadline = Some(Instant::now() + PARENT_GONE_GRACE);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                let _ = rustix::process::kill_process(worker, Signal::KILL);
                deadline = None;
            }
        }
    }

    /// Waits without a worker; true when there shall be none any more.
    fn pause(&mut self, pause: Duration) -> io::Result<bool> {
        let deadline = Instant::now() + pause;
        while Instant::now() < deadline {
            self.wait(Some(deadline))?;
            self.pending()?;
            tree::reap(|_, _| {});
            if self.parent_gone || self.asked_to_end {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn wait(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        let stdin = io::stdin();
        let mut fds = [PollFd::new(&self.signals, PollFlags::IN), PollFd::new(&stdin, PollFlags::IN)];
        let parent_watched = self.settings.parent_pipe && !self.parent_gone;
        let watched = if parent_watched { &mut fds[..] } else { &mut fds[..1] };
        let timeout = deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            Timespec::try_from(left).expect("pauses are short")
        });
        rustix::io::retry_on_intr(|| rustix::event::poll(watched, timeout.as_ref()))?;
        // Nothing is said on the parent's pipe, so anything but its end is read and forgotten.
        if !fds[1].revents().is_empty() {
            self.parent_gone = matches!(rustix::io::read(&stdin, &mut [0u8; 64]), Ok(0) | Err(_));
        }
        Ok(())
    }

    /// Takes the signals that came for the worker.
    fn pending(&mut self) -> io::Result<Vec<Signal>> {
        /// The size of a `signalfd_siginfo`, whose first word is the signal's number.
        const RECORD: usize = 128;
        let mut records = [0u8; 16 * RECORD];
        let count = match rustix::io::retry_on_intr(|| rustix::io::read(&self.signals, &mut records)) {
            Ok(count) => count,
            Err(rustix::io::Errno::AGAIN) => 0,
            Err(error) => return Err(error.into()),
        };
        let (records, _) = records[..count].as_chunks::<RECORD>();
        let signals = records.iter().filter_map(|record| {
            let number = i32::from_ne_bytes([record[0], record[1], record[2], record[3]]);
            PASSED_ON.into_iter().find(|signal| signal.as_raw() == number)
        });
        let signals: Vec<Signal> = signals.collect();
        self.asked_to_end |=
            signals.iter().any(|&signal| [Signal::TERM, Signal::INT, Signal::QUIT].contains(&signal));
        Ok(signals)
    }
}
