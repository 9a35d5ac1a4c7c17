//! The command runner: a program in a process tree of its own.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use super::attempt::Attempt;
use super::control::{End, Message};
use super::environment::{self, Inherited};
use super::live::{Cause, Live, disk, wait};
use super::outcome::{Failure, FailureReason, Verdict};
use super::slots::Ended;
use crate::process::leftover::{self, Record};
use crate::process::{Exit, Keeper, Reply, Stdio};
use crate::run::Folder;

/// How much is read from the child at once.
pub(super) const READ_BYTES: usize = 64 << 10;
/// How much is still read when nothing of the run is left: what a pipe holds, and a little for a stranger that got
/// hold of it.
const MAX_LAST_READS: usize = 4;

/// What a slot keeps between its runs.
#[derive(Debug)]
pub(super) struct Tools<'a> {
    pub keeper: &'a Keeper,
    pub inherited: &'a Inherited,
    pub agent_id: &'a str,
    pub null: &'a File,
    pub buffer: &'a mut Vec<u8>,
}

/// How the keeper came out of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeeperState {
    Fit,
    /// It died, or processes that cannot be ended are left below it.
    Unfit,
}

/// Runs a command to its end; nothing of it is left then.
pub(super) fn run(
    attempt: &Attempt,
    argv: &[String],
    folder: &Folder,
    live: &mut Live,
    tools: Tools<'_>,
) -> (Ended, KeeperState) {
    let program = argv.first().map(String::as_str).unwrap_or_default();
    let pipe = match start(attempt, argv, folder, &tools) {
        Ok(pipe) => pipe,
        Err(verdict) => return (Ended::without_child(verdict), KeeperState::Fit),
    };
    tools.buffer.resize(READ_BYTES, 0);
    let mut run = Run { live, keeper: tools.keeper, pipe: Some(pipe), cause: None, exit: None };
    let end = run.follow(folder, attempt.number, tools.buffer);
    run.read_the_rest(tools.buffer);
    let Run { live, cause, exit, .. } = run;
    let (verdict, state) = match (end, cause) {
        (Gone::KeeperLost, Some(cause)) => (live.verdict(cause), KeeperState::Unfit),
        (Gone::KeeperLost, None) => {
            let message = "its keeper process ended".to_owned();
            (Verdict::Crashed { message }, KeeperState::Unfit)
        }
        (Gone::Refused(errno), _) => (refused(program, errno), KeeperState::Fit),
        (Gone::Empty { left }, cause) => {
            let verdict = match (cause, exit) {
                (Some(cause), _) => live.verdict(cause),
                (None, Some(Exit::Code(0))) => Verdict::Succeeded,
                (None, Some(exit)) => failed(program, exit),
                (None, None) => Verdict::Crashed { message: "its end was not seen".into() },
            };
            (verdict, if left == 0 { KeeperState::Fit } else { KeeperState::Unfit })
        }
    };
    let exit_code = match exit {
        Some(Exit::Code(code)) => Some(code),
        Some(Exit::Signal(_)) | None => None,
    };
    let summary = match &verdict {
        Verdict::Succeeded => live.output.last_line().unwrap_or_else(|| format!("{program} printed nothing")),
        verdict => verdict.summary(),
    };
    (Ended { exit_code, summary, ..Ended::without_child(verdict) }, state)
}

/// Asks the keeper for the child and returns the end of the pipe that it prints to.
fn start(attempt: &Attempt, argv: &[String], folder: &Folder, tools: &Tools<'_>) -> Result<OwnedFd, Verdict> {
    let invalid = |message: String| failure(FailureReason::InvalidRequest, message, "");
    let internal =
        |error: io::Error| failure(FailureReason::Internal, format!("no process can be made: {error}"), "");
    let Some(program) = argv.first().filter(|program| !program.is_empty()) else {
        return Err(invalid("the command is empty".into()));
    };
    for (name, value) in &attempt.env {
        environment::check(name, value).map_err(|refused| invalid(refused.to_string()))?;
    }
    let (task_id, number) = (attempt.task_id.to_string(), attempt.number.to_string());
    let own = [
        ("HOME", folder.home().into_os_string()),
        ("TMPDIR", folder.temporary().into_os_string()),
        (leftover::TASK_VARIABLE, task_id.into()),
        (leftover::ATTEMPT_VARIABLE, number.into()),
        (leftover::AGENT_VARIABLE, tools.agent_id.into()),
    ];
    let own: Vec<(&str, &OsStr)> = own.iter().map(|(name, value)| (*name, value.as_os_str())).collect();
    let env = tools.inherited.with(&attempt.env, &own);
    let (read, write) =
        rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|errno| internal(errno.into()))?;
    let stdio = Stdio {
        cwd: folder.work.as_fd(),
        input: tools.null.as_fd(),
        output: write.as_fd(),
        error: write.as_fd(),
    };
    match tools.keeper.spawn(program.as_bytes(), argv, &env, stdio) {
        Ok(()) => Ok(read),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(invalid(error.to_string())),
        Err(error) if error.raw_os_error() == Some(Errno::TOOBIG.raw_os_error()) => {
            Err(refused(program, Errno::TOOBIG))
        }
        // A keeper that is gone shows as such when its reply is waited for.
        Err(_) => Ok(read),
    }
}

/// Why there is nothing more to follow.
enum Gone {
    Empty { left: u32 },
    Refused(Errno),
    KeeperLost,
}

struct Run<'a> {
    live: &'a mut Live,
    keeper: &'a Keeper,
    pipe: Option<OwnedFd>,
    cause: Option<Cause>,
    exit: Option<Exit>,
}

impl Run<'_> {
    fn follow(&mut self, folder: &Folder, attempt: u32, buffer: &mut [u8]) -> Gone {
        loop {
            let [keeper, inbox, pipe] = self.wait();
            if pipe {
                self.read(buffer);
            }
            if keeper {
                match self.keeper.reply() {
                    Ok(Reply::Started { pid, from_ms, to_ms }) => {
                        let (version, boot_id) = (Record::VERSION, leftover::boot_id());
                        let record = Record { version, attempt, boot_id, pid, from_ms, to_ms };
                        if let Err(error) = folder.keep_process(&record) {
                            self.end(disk(&error));
                        }
                    }
                    Ok(Reply::Refused { errno }) => return Gone::Refused(Errno::from_raw_os_error(errno)),
                    Ok(Reply::Exited(exit)) => self.exit = Some(exit),
                    Ok(Reply::Gone { left }) => return Gone::Empty { left },
                    Ok(Reply::ExitedAndGone(exit)) => {
                        self.exit = Some(exit);
                        return Gone::Empty { left: 0 };
                    }
                    Err(_) => return Gone::KeeperLost,
                }
            }
            if inbox {
                while let Some(message) = self.live.inbox.take() {
                    if let Message::End(end) = message {
                        self.end(Cause::Asked(end));
                    }
                }
            }
            if self.exit.is_none() && self.live.left().is_zero() {
                self.end(Cause::Timeout);
            }
        }
    }

    /// Says what is ready: the keeper, the inbox, the pipe.
    fn wait(&self) -> [bool; 3] {
        let mut fds =
            vec![PollFd::new(self.keeper, PollFlags::IN), PollFd::new(&self.live.inbox, PollFlags::IN)];
        fds.extend(self.pipe.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        let ends_by_itself = self.cause.is_none() && self.exit.is_none();
        wait(&mut fds, if ends_by_itself { self.live.left() } else { Duration::MAX });
        [0, 1, 2].map(|index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty()))
    }

    /// Reads once from the pipe; false when nothing more can come.
    fn read(&mut self, buffer: &mut [u8]) -> bool {
        let Some(pipe) = &self.pipe else { return false };
        match rustix::io::read(pipe, &mut *buffer) {
            Ok(0) => self.pipe = None,
            Ok(count) => {
                if let Err(cause) = self.live.print(&buffer[..count]) {
                    self.end(cause);
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.pipe = None,
        }
        self.pipe.is_some()
    }

    /// Reads what is in the pipe when the run is over, and waits for nothing.
    fn read_the_rest(&mut self, buffer: &mut [u8]) {
        for _ in 0..MAX_LAST_READS {
            let Some(pipe) = &self.pipe else { return };
            let mut fds = [PollFd::new(pipe, PollFlags::IN)];
            let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
            if !matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(1)) || !self.read(buffer) {
                return;
            }
        }
    }

    /// Ends the run; the first cause is the one that counts, a later one can only make it faster.
    fn end(&mut self, cause: Cause) {
        let abandoned = cause == Cause::Asked(End::Abandon);
        // What comes after the child's end no longer changes it, save that its output is not all there.
        let counts = self.exit.is_none() || matches!(cause, Cause::Disk { .. } | Cause::OutputLimit);
        if self.cause.is_none() && counts {
            self.cause = Some(cause);
        } else if !abandoned {
            return;
        }
        let grace = if abandoned { Duration::ZERO } else { self.live.limits.grace };
        // A keeper that is gone shows at the next wait.
        let _ = self.keeper.end(grace);
    }
}

fn failed(program: &str, exit: Exit) -> Verdict {
    let hint = match exit {
        Exit::Code(_) => "see the end of its output",
        Exit::Signal(9) => "something killed it; the kernel does when memory runs out",
        Exit::Signal(_) => "a signal ends a program that crashes or is told to end",
    };
    failure(FailureReason::ExitCode, format!("{program} {exit}"), hint)
}

pub(super) fn refused(program: &str, errno: Errno) -> Verdict {
    let (reason, message, hint) = match errno {
        Errno::NOENT => (
            FailureReason::RunnerError,
            format!("the program {program:?} is not found"),
            "a name is looked up in the agent's PATH, a path with a slash is seen from the work folder; a script also \
             needs the program of its first line",
        ),
        Errno::ACCESS => (
            FailureReason::RunnerError,
            format!("the program {program:?} may not be executed"),
            "it needs to be a file with its executable bit set",
        ),
        Errno::NOEXEC => (
            FailureReason::RunnerError,
            format!("{program:?} is no program that this host can run"),
            "a script needs a first line such as #!/bin/sh; a binary must be made for this host",
        ),
        Errno::TOOBIG => (
            FailureReason::InvalidRequest,
            "the arguments and variables of the command are too large for the kernel".to_owned(),
            "pass large data in files",
        ),
        errno => (
            FailureReason::RunnerError,
            format!("the program {program:?} does not start: {}", io::Error::from(errno)),
            "",
        ),
    };
    failure(reason, message, hint)
}

fn failure(reason: FailureReason, message: String, hint: &str) -> Verdict {
    Verdict::Failed(Failure { reason, message, hint: hint.to_owned() })
}
