//! The command runner: a program in a process tree of its own.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use conductor_gateway::Gateways;
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use super::attempt::Attempt;
use super::cause::Cause;
use super::confined;
use super::environment::{self, Inherited};
use super::live::Live;
use super::network::Ways;
use super::outcome::{Failure, FailureReason, Verdict};
use super::secrets::Given;
use super::slots::Ended;
use super::watched::{Gone, Ready, Watched, has_more};
use crate::process::leftover;
use crate::process::{Exit, Keeper, Stdio};
use crate::run::Folder;
use crate::sandbox::{Policy, Sandbox};

/// How much is read from the child at once.
pub(super) const READ_BYTES: usize = 64 << 10;
/// How much is still read when nothing of the run is left: what a pipe holds, and a little for a stranger that got
/// hold of it.
const MAX_LAST_READS: usize = 4;

/// What a slot keeps between its runs.
#[derive(Debug)]
pub(super) struct Tools<'a> {
    pub keeper: &'a Keeper,
    pub sandbox: &'a Sandbox,
    /// Where it may connect to.
    pub ways: Ways,
    /// What git reads in place of the system's configuration.
    pub git_config: &'a Path,
    pub inherited: &'a Inherited,
    pub agent_id: &'a str,
    pub null: &'a File,
    pub given: &'a Given,
    pub gateways: &'a Gateways,
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
    let started = confined::policy(attempt, folder, &tools)
        .and_then(|policy| Ok((start(attempt, argv, folder, &tools, policy.as_ref())?, policy.is_some())));
    let (pipe, is_confined) = match started {
        Ok(started) => started,
        Err(verdict) => return (Ended::without_child(verdict), KeeperState::Fit),
    };
    tools.buffer.resize(READ_BYTES, 0);
    let watched = Watched::new(live, tools.keeper, folder, attempt.number);
    let mut run = Run { watched, pipe: [Some(pipe)] };
    let end = run.follow(tools.buffer);
    run.read_the_rest(tools.buffer);
    if let Err(cause) = run.watched.live.end_print() {
        run.watched.end(cause);
    }
    let Watched { live, cause, exit, .. } = run.watched;
    let (verdict, state) = match (end, cause) {
        (Gone::KeeperLost, Some(cause)) => (live.verdict(cause), KeeperState::Unfit),
        (Gone::KeeperLost, None) => {
            let message = "its keeper process ended".to_owned();
            (Verdict::Crashed { message }, KeeperState::Unfit)
        }
        (Gone::Refused(errno), _) => (refused(program, errno, is_confined), KeeperState::Fit),
        (Gone::Unconfined, _) => (confined::unconfined(), KeeperState::Fit),
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
fn start(
    attempt: &Attempt,
    argv: &[String],
    folder: &Folder,
    tools: &Tools<'_>,
    policy: Option<&Policy>,
) -> Result<OwnedFd, Verdict> {
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
    let secrets = tools.given.variables.iter().filter(|(name, _)| own.iter().all(|(set, _)| set != name));
    let secrets = secrets.map(|(name, value)| (name.as_str(), OsStr::new(value.reveal())));
    let submits = attempt.submits.as_ref().map(|submits| (tools.ways.api_url(&submits.url), submits));
    let submits = submits.iter().flat_map(|(url, submits)| submits.variables(url));
    let submits = submits.map(|(name, value)| (name, OsStr::new(value)));
    let fixed = own.iter().map(|(name, value)| (*name, value.as_os_str()));
    let proxied = tools.ways.variables().map(|(name, value)| (name, OsStr::new(value)));
    let own: Vec<(&str, &OsStr)> = secrets.chain(fixed).chain(submits).chain(proxied).collect();
    let env = tools.inherited.with(&attempt.env, &own);
    let (read, write) =
        rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|errno| internal(errno.into()))?;
    let stdio = Stdio {
        cwd: folder.work.as_fd(),
        input: tools.null.as_fd(),
        output: write.as_fd(),
        error: write.as_fd(),
    };
    match tools.keeper.spawn(policy, program.as_bytes(), argv, &env, stdio) {
        Ok(()) => Ok(read),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(invalid(error.to_string())),
        Err(error) if error.raw_os_error() == Some(Errno::TOOBIG.raw_os_error()) => {
            Err(refused(program, Errno::TOOBIG, false))
        }
        // A keeper that is gone shows as such when its reply is waited for.
        Err(_) => Ok(read),
    }
}

struct Run<'a> {
    watched: Watched<'a>,
    pipe: [Option<OwnedFd>; 1],
}

impl Run<'_> {
    fn follow(&mut self, buffer: &mut [u8]) -> Gone {
        loop {
            let ready = self.wait();
            if ready.pipes[0] {
                self.read(buffer);
            }
            if ready.keeper
                && let Some(gone) = self.watched.hear_keeper()
            {
                return gone;
            }
            if ready.inbox {
                // It asked nothing.
                drop(self.watched.hear_inbox());
            }
            if self.watched.exit.is_none() && self.watched.live.left().is_zero() {
                self.watched.end(Cause::Timeout);
            }
        }
    }

    fn wait(&self) -> Ready<1> {
        let time = if self.watched.goes_on() { self.watched.live.left() } else { Duration::MAX };
        self.watched.wait(&self.pipe, None, time)
    }

    /// Reads once from the pipe; false when nothing more can come.
    fn read(&mut self, buffer: &mut [u8]) -> bool {
        let Some(pipe) = &self.pipe[0] else { return false };
        match rustix::io::read(pipe, &mut *buffer) {
            Ok(0) => self.pipe[0] = None,
            Ok(count) => {
                if let Err(cause) = self.watched.live.print(&buffer[..count]) {
                    self.watched.end(cause);
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.pipe[0] = None,
        }
        self.pipe[0].is_some()
    }

    /// Reads what is in the pipe when the run is over, and waits for nothing.
    fn read_the_rest(&mut self, buffer: &mut [u8]) {
        for _ in 0..MAX_LAST_READS {
            if !self.pipe[0].as_ref().is_some_and(has_more) || !self.read(buffer) {
                return;
            }
        }
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

pub(super) fn refused(program: &str, errno: Errno, is_confined: bool) -> Verdict {
    let (reason, message, hint) = match errno {
        Errno::NOENT => (
            FailureReason::RunnerError,
            format!("the program {program:?} is not found"),
            "a name is looked up in the agent's PATH, a path with a slash is seen from the work folder; a script also \
             needs the program of its first line",
        ),
        Errno::ACCESS if is_confined => (
            FailureReason::RunnerError,
            format!("the program {program:?} may not be executed"),
            "it needs to be a file with its executable bit set, and to lie where the sandbox lets runs read: in the work \
             folder, the system, the agent's PATH or sandbox.read_paths",
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
