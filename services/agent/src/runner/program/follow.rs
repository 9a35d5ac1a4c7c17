//! One start of a program: what it prints is read and kept until nothing of it is left.

mod converse;

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use conductor_core::Amount;
use conductor_runtime::config::RunnerSpec;
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use super::super::cause::{Cause, disk};
use super::super::command::READ_BYTES;
use super::super::watched::{Gone, Ready, Watched, has_more};
use super::lines::{Line, Lines};
use super::missing;
use super::parse::{Known, Parser};
use super::plan::Plan;
use super::raw::Raw;
use super::spent::Guard;
use super::talk::{Begin, Talk};
use crate::process::{Exit, Keeper, Stdio, boot_ms};
use crate::run::Folder;
use crate::run::events::Event;
use crate::sandbox::Policy;

/// How much is still read when nothing of the run is left.
const MAX_LAST_READS: usize = 16;
/// How much of what a program complained of is remembered.
const MAX_COMPLAINT_BYTES: usize = 8 << 10;

/// What is known when nothing of a start is left.
#[derive(Debug)]
pub(super) struct Followed {
    pub gone: Gone,
    /// Why it was ended, when it did not end by itself.
    pub cause: Option<Cause>,
    pub exit: Option<Exit>,
    /// The end of what it complained of, or of what a plain program printed.
    pub complaint: String,
    /// A command that its output says is missing.
    pub missing: Option<String>,
    pub known: Known,
}

/// A start of a program that is followed.
pub(super) struct Follow<'a> {
    watched: Watched<'a>,
    spec: &'a RunnerSpec,
    /// The most turns, where the program does not count them itself.
    pub max_turns: Option<u32>,
    /// What it spends, and may, where no gateway holds it to that.
    pub guard: Guard<'a>,
    parser: Parser,
    raw: &'a mut Raw,
    lines: [Lines; 2],
    pipes: [Option<OwnedFd>; 2],
    /// What is said to it; none where the prompt is all.
    talk: Option<Talk>,
    complaint: String,
    missing: Option<String>,
    /// Told once, when the session is known.
    found_session: &'a dyn Fn(&Known),
    /// When it printed last.
    heard_ms: u64,
    /// When it said that it was done.
    done_ms: Option<u64>,
    /// When it was asked to leave its turn.
    left_ms: Option<u64>,
}

/// The pipes that a program writes to, and what is said to it.
pub(super) type Ends = ([OwnedFd; 2], Option<Talk>);

/// Asks the keeper for the program.
pub(super) fn spawn(
    keeper: &Keeper,
    policy: Option<&Policy>,
    plan: &Plan,
    folder: &Folder,
    begin: Option<Begin>,
) -> Result<Ends, std::io::Error> {
    let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC);
    let ((out, out_write), (err, err_write)) = (pipe()?, pipe()?);
    let (talk, socket) = begin.map(Talk::begin).transpose()?.unzip();
    let stdio = Stdio {
        cwd: folder.work.as_fd(),
        input: socket.as_ref().map_or(plan.input.as_fd(), OwnedFd::as_fd),
        output: out_write.as_fd(),
        error: err_write.as_fd(),
    };
    let program = plan.argv.first().map(String::as_str).unwrap_or_default();
    match keeper.spawn(policy, program.as_bytes(), &plan.argv, &plan.env, stdio) {
        // A keeper that is gone shows as such when its reply is waited for.
        Err(error) if !is_about_arguments(&error) => Ok(([out, err], talk)),
        Err(error) => Err(error),
        Ok(()) => Ok(([out, err], talk)),
    }
}

fn is_about_arguments(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::InvalidInput
        || error.raw_os_error() == Some(Errno::TOOBIG.raw_os_error())
}

impl<'a> Follow<'a> {
    pub fn new(
        watched: Watched<'a>,
        spec: &'a RunnerSpec,
        raw: &'a mut Raw,
        (pipes, talk): Ends,
        lines: [Lines; 2],
        found_session: &'a dyn Fn(&Known),
    ) -> Self {
        Self {
            watched,
            spec,
            max_turns: None,
            guard: Guard::default(),
            parser: Parser::new(spec.output),
            raw,
            lines,
            pipes: pipes.map(Some),
            talk,
            complaint: String::new(),
            missing: None,
            found_session,
            heard_ms: boot_ms(),
            done_ms: None,
            left_ms: None,
        }
    }

    /// Follows the program until nothing of it is left.
    pub fn follow(mut self, buffer: &mut Vec<u8>) -> Followed {
        buffer.resize(READ_BYTES, 0);
        // What came before it was started woke somebody else.
        self.hear_people();
        let gone = self.until_gone(buffer);
        for index in 0..2 {
            self.read_the_rest(index, buffer);
            if let Some(line) = self.lines[index].finish() {
                self.line(index, line);
            }
        }
        for event in self.parser.finish() {
            self.event(&event);
        }
        let Self { watched: Watched { cause, exit, .. }, complaint, missing, parser, .. } = self;
        Followed { gone, cause, exit, complaint, missing, known: parser.known().clone() }
    }

    fn until_gone(&mut self, buffer: &mut [u8]) -> Gone {
        loop {
            let ready = self.wait();
            for (index, is_ready) in ready.pipes.into_iter().enumerate() {
                if is_ready {
                    self.read(index, buffer);
                }
            }
            if ready.keeper
                && let Some(gone) = self.watched.hear_keeper()
            {
                return gone;
            }
            if ready.inbox {
                self.hear_people();
            }
            if let Some(talk) = &mut self.talk {
                talk.write();
            }
            self.look_at_time();
            self.leave();
        }
    }

    fn look_at_time(&mut self) {
        if !self.watched.goes_on() || self.waits() {
            return;
        }
        if self.watched.live.left().is_zero() && self.done_ms.is_none() {
            self.watched.end(Cause::Timeout);
        } else if self.stall_left().is_some_and(|left| left.is_zero()) {
            self.watched.end(Cause::Stalled { after: self.spec.stall });
        } else if self.grace_left().is_some_and(|left| left.is_zero()) {
            // The result stands; what does not end by itself is ended.
            self.watched.end_what_is_left(self.watched.live.limits.grace);
            self.done_ms = Some(u64::MAX);
        } else if self.rest_left().is_some_and(|left| left.is_zero()) {
            if let Some(talk) = &mut self.talk {
                talk.has_rested();
            }
            self.keep_up();
        }
    }

    /// How long it may still be silent; none while a tool is at work.
    fn stall_left(&self) -> Option<Duration> {
        let known = self.parser.known();
        let counts = self.done_ms.is_none() && !known.works();
        counts.then(|| left_of(self.spec.stall, self.heard_ms))
    }

    fn grace_left(&self) -> Option<Duration> {
        self.done_ms.filter(|done| *done != u64::MAX).map(|done| left_of(self.spec.result_grace, done))
    }

    fn wait(&self) -> Ready<2> {
        let time = if self.watched.goes_on() && !self.waits() {
            let left = self.watched.live.left().max(Duration::from_millis(1));
            let others = [self.stall_left(), self.grace_left(), self.rest_left()];
            others.into_iter().flatten().fold(left, Duration::min)
        } else {
            self.leave_left().unwrap_or(Duration::MAX)
        };
        self.watched.wait(&self.pipes, self.talk.as_ref().and_then(Talk::blocked_on), time)
    }

    /// Reads once from a pipe; false when nothing more can come.
    fn read(&mut self, index: usize, buffer: &mut [u8]) -> bool {
        let Some(pipe) = &self.pipes[index] else { return false };
        match rustix::io::read(pipe, &mut *buffer) {
            Ok(0) => self.pipes[index] = None,
            Ok(count) => {
                self.heard_ms = boot_ms();
                for line in self.lines[index].push(&buffer[..count]) {
                    self.line(index, line);
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.pipes[index] = None,
        }
        self.pipes[index].is_some()
    }

    fn read_the_rest(&mut self, index: usize, buffer: &mut [u8]) {
        for _ in 0..MAX_LAST_READS {
            if !self.pipes[index].as_ref().is_some_and(has_more) || !self.read(index, buffer) {
                return;
            }
        }
    }

    fn line(&mut self, index: usize, line: Line) {
        let line = match line {
            Line::Text(line) => line,
            Line::TooLong => {
                let message = "it printed a line that is too long to be read".to_owned();
                return self.event(&Event::Error { message });
            }
        };
        let is_event = index == 0 && self.parser.is_structured();
        if !is_event {
            self.complain(&line);
            return self.print(format!("{line}\n").as_bytes());
        }
        let had_session = self.parser.known().session.is_some();
        let events = self.parser.line(&line);
        if self.parser.told_of_before() {
            return;
        }
        let ms = self.watched.live.elapsed_ms();
        if let Err(error) = self.raw.push(self.watched.folder, ms, &line) {
            self.watched.end(disk(&error));
        }
        if events.is_empty() && !line.trim_start().starts_with('{') && !line.trim().is_empty() {
            self.complain(&line);
            self.print(format!("{line}\n").as_bytes());
        }
        for event in &events {
            self.event(event);
        }
        if !had_session && self.parser.known().session.is_some() {
            (self.found_session)(self.parser.known());
        }
        self.hear_requests();
        self.look_at_result();
        self.look_at_spending();
        if self.max_turns.is_some_and(|most| self.parser.known().tool_calls > most) {
            self.watched.end(Cause::MaxTurns { most: self.max_turns.unwrap_or_default() });
        }
    }

    /// Tells what was spent, and ends what spent too much where no gateway does.
    fn look_at_spending(&mut self) {
        let known = self.parser.known();
        let spent = self.guard.spent(known, self.spec);
        if let Some(model) = self.watched.model {
            let used = model.used();
            let usd_micros = used.most_usd_micros.ceil() as u64;
            let amount = Amount { usd_micros, tokens: used.tokens() };
            return self.watched.live.spent(amount, spent.or_metered(used));
        }
        self.watched.live.spent(spent.amount(), spent.usage());
        let limit = self.watched.live.inbox.limit().unwrap_or(self.guard.limit);
        let exceeded = spent.exceeds(limit);
        let is_over = known.end.is_some();
        if let Some(exceeded) = exceeded.filter(|_| !is_over) {
            self.watched.end(Cause::Budget(exceeded));
        }
    }

    /// Looks whether it is done, which it is not while it was told something that it has not taken up.
    fn look_at_result(&mut self) {
        let is_done = self.parser.known().end.is_some();
        match (self.done_ms, &mut self.talk) {
            (None, _) if !is_done => {}
            (None, Some(talk)) if talk.has_untaken() => {}
            (None, talk) => {
                if let Some(talk) = talk {
                    talk.end();
                }
                self.done_ms = Some(boot_ms());
            }
            // It had a result and goes on all the same.
            (Some(at), _) if !is_done && at != u64::MAX => self.done_ms = None,
            (Some(_), _) => {}
        }
    }

    fn event(&mut self, event: &Event) {
        if let Event::ToolResult { output, .. } = event
            && let Some(command) = missing::command_in(output)
        {
            self.missing = Some(command);
        }
        if let Err(cause) = self.watched.live.show(event) {
            self.watched.end(cause);
        }
    }

    fn print(&mut self, bytes: &[u8]) {
        if let Err(cause) = self.watched.live.print(bytes) {
            self.watched.end(cause);
        }
    }

    fn complain(&mut self, line: &str) {
        if let Some(command) = missing::command_in(line) {
            self.missing = Some(command);
        }
        self.complaint.push_str(line);
        self.complaint.push('\n');
        let excess = self.complaint.len().saturating_sub(MAX_COMPLAINT_BYTES);
        if excess > 0 {
            let at = (excess..self.complaint.len()).find(|at| self.complaint.is_char_boundary(*at));
            self.complaint.drain(..at.unwrap_or(0));
        }
    }
}

fn left_of(time: Duration, since_ms: u64) -> Duration {
    time.saturating_sub(Duration::from_millis(boot_ms().saturating_sub(since_ms)))
}
