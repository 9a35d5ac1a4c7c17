//! A program below a keeper while it is followed: how it stands, and why it is ended.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use conductor_gateway::Model;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::attempt::{Budget, Limits};
use super::cause::{Cause, disk};
use super::control::{Answer, End, Message};
use super::live::{Live, wait};
use crate::process::leftover::{self, Record};
use crate::process::overseer::{Bounds, Overseen};
use crate::process::{Exit, Keeper, Reply};
use crate::run::Folder;

/// Why there is nothing more to follow.
#[derive(Debug)]
pub(super) enum Gone {
    Empty { left: u32 },
    Refused(Errno),
    Unconfined,
    KeeperLost,
}

/// A program that was asked for.
pub(super) struct Watched<'a> {
    pub live: &'a mut Live,
    pub folder: &'a Folder,
    /// Why it is ended, when it does not end by itself.
    pub cause: Option<Cause>,
    pub exit: Option<Exit>,
    /// The gateway to its model, which closes when it is ended.
    pub model: Option<&'a Model>,
    /// The most tokens that its runner lets pass there.
    pub max_tokens: Option<u64>,
    /// Whether it can be asked to leave what it does before it is ended.
    pub can_be_asked: bool,
    /// Whether it is to be asked so.
    pub is_to_leave: bool,
    keeper: &'a Keeper,
    /// Is looked at while it lives, once it has lived for a while.
    overseen: Option<Overseen>,
    attempt: u32,
}

/// What a wait ended with.
pub(super) struct Ready<const PIPES: usize> {
    pub keeper: bool,
    pub inbox: bool,
    pub pipes: [bool; PIPES],
}

impl<'a> Watched<'a> {
    pub fn new(live: &'a mut Live, keeper: &'a Keeper, folder: &'a Folder, attempt: u32) -> Self {
        live.inbox.forget_excess();
        Self {
            live,
            folder,
            cause: None,
            exit: None,
            model: None,
            max_tokens: None,
            can_be_asked: false,
            is_to_leave: false,
            keeper,
            overseen: None,
            attempt,
        }
    }

    /// Whether nothing has ended it yet, nor asked it to end.
    pub fn goes_on(&self) -> bool {
        self.cause.is_none() && self.exit.is_none()
    }

    /// Waits until something is ready, or the time is up: the pipes to be read, and a socket to be written, where there is one.
    pub fn wait<const PIPES: usize>(
        &self,
        pipes: &[Option<OwnedFd>; PIPES],
        socket: Option<BorrowedFd<'_>>,
        time: Duration,
    ) -> Ready<PIPES> {
        let mut fds =
            vec![PollFd::new(self.keeper, PollFlags::IN), PollFd::new(&self.live.inbox, PollFlags::IN)];
        let places = pipes.each_ref().map(|pipe| {
            let pipe = pipe.as_ref()?;
            fds.push(PollFd::new(pipe, PollFlags::IN));
            Some(fds.len() - 1)
        });
        if let Some(socket) = &socket {
            fds.push(PollFd::new(socket, PollFlags::OUT));
        }
        wait(&mut fds, time);
        let is_ready = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
        Ready {
            keeper: is_ready(0),
            inbox: is_ready(1),
            pipes: places.map(|place| place.is_some_and(is_ready)),
        }
    }

    /// Hears the keeper once; says how the run is over, when it is.
    pub fn hear_keeper(&mut self) -> Option<Gone> {
        match self.keeper.reply() {
            Ok(Reply::Started { pid, from_ms, to_ms }) => self.started(pid, from_ms, to_ms),
            Ok(Reply::Refused { errno }) => return Some(Gone::Refused(Errno::from_raw_os_error(errno))),
            Ok(Reply::Unconfined) => return Some(Gone::Unconfined),
            Ok(Reply::Exited(exit)) => self.exited(exit),
            Ok(Reply::Gone { left }) => return Some(Gone::Empty { left }),
            Ok(Reply::ExitedAndGone(exit)) => {
                self.exited(exit);
                return Some(Gone::Empty { left: 0 });
            }
            Err(_) => return Some(Gone::KeeperLost),
        }
        None
    }

    fn started(&mut self, pid: i32, from_ms: u64, to_ms: u64) {
        let (version, boot_id, attempt) = (Record::VERSION, leftover::boot_id(), self.attempt);
        let record = Record { version, attempt, boot_id, pid, from_ms, to_ms };
        if let Err(error) = self.folder.keep_process(&record) {
            self.end(disk(&error));
        }
        let Limits { max_processes: processes, max_memory_bytes: memory, max_workspace_bytes, .. } =
            self.live.limits;
        let bounds = Bounds { processes, memory, disk: max_workspace_bytes };
        match self.folder.work.try_clone().and_then(|work| Ok([work, self.folder.private.try_clone()?])) {
            Ok(folders) => {
                self.overseen = Some(self.keeper.oversee(bounds, folders, self.live.inbox.control()))
            }
            Err(error) => self.end(disk(&error)),
        }
    }

    fn exited(&mut self, exit: Exit) {
        // A shell says so of what it started with this code.
        let is_killed = matches!(exit, Exit::Signal(9) | Exit::Code(137));
        if self.cause.is_none()
            && exit != Exit::Code(0)
            && let Some(excess) =
                self.overseen.as_ref().and_then(|overseen| overseen.why_it_failed(is_killed))
        {
            self.cause = Some(Cause::Exceeded(excess));
        }
        self.exit = Some(exit);
    }

    /// Hears who wants the run to end, and gives the answers of people that came.
    pub fn hear_inbox(&mut self) -> Vec<(u32, Answer)> {
        self.live.lend();
        if let (Some(model), Some(budget)) = (self.model, self.live.inbox.limit()) {
            let tokens = [budget.tokens, self.max_tokens].into_iter().flatten().min();
            model.set_limit(Budget { tokens, ..budget });
        }
        let mut answers = Vec::new();
        while let Some(message) = self.live.inbox.take() {
            match message {
                Message::End(end) => self.end(Cause::Asked(end)),
                Message::Exceeded(excess) => self.end(Cause::Exceeded(excess)),
                Message::Answer { request, answer } => answers.push((request, answer)),
            }
        }
        answers
    }

    /// Ends the run; the first cause is the one that counts, a later one can only make it faster.
    pub fn end(&mut self, cause: Cause) {
        // What takes too much has no time to take more.
        let abandoned = matches!(cause, Cause::Asked(End::Abandon) | Cause::Exceeded(_));
        // What comes after the child's end no longer changes it, save that its output is not all there.
        let counts = self.exit.is_none() || matches!(cause, Cause::Disk { .. } | Cause::OutputLimit);
        if self.cause.is_none() && counts {
            self.cause = Some(cause);
        } else if !abandoned {
            return;
        }
        if let Some(model) = self.model {
            model.close();
        }
        if self.can_be_asked && !abandoned {
            self.is_to_leave = true;
            return;
        }
        self.end_what_is_left(if abandoned { Duration::ZERO } else { self.live.limits.grace });
    }

    /// Ends what does not end by itself, which says nothing of how the run came out.
    pub fn end_what_is_left(&self, grace: Duration) {
        // A keeper that is gone shows at the next wait.
        let _ = self.keeper.end(grace);
    }
}

/// Whether a read from the pipe would not wait.
pub(super) fn has_more(pipe: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(pipe, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(1))
}
