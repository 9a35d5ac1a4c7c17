//! How the worker and a running attempt talk to each other.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use conductor_core::Amount;
use rustix::event::{EventfdFlags, PollFd, PollFlags};
use uuid::Uuid;

use super::attempt::Budget;
use super::live::wait;
use super::outcome::{Outcome, Usage};
use crate::process::boot_ms;
use crate::process::overseer::Excess;

/// The most messages that wait for a run to read them; a run that waits for nothing needs no more.
const MAX_MESSAGES: usize = 32;

/// The most messages of people that wait for a run; the orchestrator keeps no more of a task.
const MAX_TOLD: usize = conductor_protocol::limits::MAX_TOLD;

/// Why a run is ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The task was cancelled or the lease is lost: the outcome is `Cancelled`.
    Cancel,
    /// The agent stops cleanly: the outcome is `Stopped`.
    Stop,
    /// The agent is being lost, without a grace for the children: the outcome is `Crashed`.
    Abandon,
}

/// What a person said to a question of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Allow,
    Deny,
    Text(String),
    /// Nobody answered in time: the attempt fails as `waiting_timeout`.
    Expired,
}

/// What a run asks a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub kind: QuestionKind,
    pub text: String,
    /// The tool that it is about.
    pub tool: Option<String>,
    /// What the tool would be given, as JSON.
    pub input: Option<String>,
}

/// What kind of answer a question wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuestionKind {
    /// Words.
    Question,
    /// Yes or no.
    Permission,
}

impl QuestionKind {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Question => "question",
            Self::Permission => "permission",
        }
    }
}

impl Question {
    /// A question that wants words.
    #[must_use]
    pub fn of_words(text: &str) -> Self {
        Self { kind: QuestionKind::Question, text: text.to_owned(), tool: None, input: None }
    }
}

/// Reaches a running attempt; cheap to clone, harmless once the attempt has ended.
#[derive(Debug, Clone)]
pub struct Control {
    mailbox: Arc<Mailbox>,
}

#[derive(Debug)]
struct Mailbox {
    messages: Mutex<VecDeque<Message>>,
    /// What people tell the run, apart from what every run hears: most do not listen to it before they are over.
    told: Mutex<VecDeque<String>>,
    /// Whether tasks live below the run, for which it may wait, or did.
    has_lent: AtomicBool,
    /// What it may spend, where it was told anew. It holds for every start of the run.
    limit: Mutex<Option<Budget>>,
    wake: OwnedFd,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    End(End),
    Answer {
        request: u32,
        answer: Answer,
    },
    /// It took more than it may.
    Exceeded(Excess),
}

/// The run's side of a [`Control`].
#[derive(Debug)]
pub(crate) struct Inbox {
    mailbox: Arc<Mailbox>,
}

impl Control {
    pub(crate) fn pair() -> rustix::io::Result<(Self, Inbox)> {
        let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let mailbox = Arc::new(Mailbox {
            messages: Mutex::default(),
            told: Mutex::default(),
            has_lent: AtomicBool::new(false),
            limit: Mutex::default(),
            wake,
        });
        Ok((Self { mailbox: Arc::clone(&mailbox) }, Inbox { mailbox }))
    }

    /// Ends the run: TERM, the grace of its limits, KILL, over its whole tree.
    pub fn end(&self, end: End) {
        self.send(Message::End(end));
    }

    /// Gives the run the answer to the question that it asked under this number.
    pub fn answer(&self, request: u32, answer: Answer) {
        self.send(Message::Answer { request, answer });
    }

    /// Tells the run that it took more than it may, which ends it at once.
    pub(crate) fn exceeded(&self, excess: Excess) {
        self.send(Message::Exceeded(excess));
    }

    /// Has the run let another one begin: it may wait for tasks that it submitted.
    pub fn lend(&self) {
        self.mailbox.has_lent.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Tells the run something, which becomes its next turn where its program can take it.
    pub fn tell(&self, text: String) {
        let mut told = self.mailbox.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < MAX_TOLD {
            told.push_back(text);
        }
        drop(told);
        self.wake();
    }

    /// Has the run spend less than it was told before.
    pub fn limit(&self, budget: Budget) {
        *self.mailbox.limit.lock().unwrap_or_else(PoisonError::into_inner) = Some(budget);
        self.wake();
    }

    fn send(&self, message: Message) {
        let mut messages = self.mailbox.messages.lock().unwrap_or_else(PoisonError::into_inner);
        // An answer beyond the limit answers no question: a run asks one at a time.
        if messages.contains(&message)
            || (messages.len() >= MAX_MESSAGES && matches!(message, Message::Answer { .. }))
        {
            return;
        }
        messages.push_back(message);
        drop(messages);
        self.wake();
    }

    fn wake(&self) {
        // An eventfd write fails only when its counter is full, and then the reader is awake anyway.
        let _ = rustix::io::write(&self.mailbox.wake, &1u64.to_ne_bytes());
    }
}

impl Inbox {
    /// The other side of it.
    pub(crate) fn control(&self) -> Control {
        Control { mailbox: Arc::clone(&self.mailbox) }
    }

    /// Whether the run lets another one begin.
    pub(crate) fn has_lent(&self) -> bool {
        self.mailbox.has_lent.load(Ordering::Relaxed)
    }

    /// What the run may spend, where it was told anew.
    pub(crate) fn limit(&self) -> Option<Budget> {
        *self.mailbox.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a person told the run, the oldest first.
    pub(crate) fn told(&self) -> Option<String> {
        self.mailbox.told.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Takes the oldest message, if there is one.
    pub(crate) fn take(&self) -> Option<Message> {
        let mut messages = self.mailbox.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let message = messages.pop_front();
        if messages.is_empty() {
            let _ = rustix::io::read(&self.mailbox.wake, &mut [0u8; 8]);
        }
        message
    }
}

impl Inbox {
    /// Says whether the run shall end, and leaves that to be taken. Answers before it are forgotten: nothing was asked.
    pub(crate) fn ends(&self) -> Option<End> {
        let mut messages = self.mailbox.messages.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(message) = messages.front() {
            match message {
                Message::End(end) => return Some(*end),
                Message::Answer { .. } | Message::Exceeded(_) => {
                    drop(messages.pop_front());
                }
            }
        }
        let _ = rustix::io::read(&self.mailbox.wake, &mut [0u8; 8]);
        None
    }

    /// Forgets what an earlier program of the run took too much.
    pub(crate) fn forget_excess(&self) {
        let mut messages = self.mailbox.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.retain(|message| !matches!(message, Message::Exceeded(_)));
    }

    /// Waits, unless the run shall end; whatever else comes does not cut it short.
    pub(crate) fn rest(&self, time: Duration) -> Result<(), End> {
        let until = boot_ms().saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        loop {
            if let Some(end) = self.ends() {
                return Err(end);
            }
            let now = boot_ms();
            if now >= until {
                return Ok(());
            }
            wait(&mut [PollFd::new(self, PollFlags::IN)], Duration::from_millis(until - now));
        }
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.mailbox.wake.as_fd()
    }
}

/// Says what happened in a slot. A slot sends at most one `Started`, one `Asked` for each question and one
/// `Finished` for an attempt, in this order; `result.json` is written before `Finished` is sent.
#[derive(Debug, Clone)]
pub struct Report {
    pub slot: usize,
    pub task_id: Uuid,
    pub attempt: u32,
    pub body: ReportBody,
}

/// What a [`Report`] says.
#[derive(Debug, Clone)]
pub enum ReportBody {
    /// The folder is ready and the work began.
    Started,
    /// The run waits for a person.
    Asked { request: u32, question: Question },
    /// The run wants no answer to that any more.
    Withdrawn { request: u32 },
    /// The attempt is over and nothing of it runs any more.
    Finished(Box<Outcome>),
}

/// How far a running attempt has come, for live readers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// The length of `output.log`.
    pub output_bytes: u64,
    /// The length of `events.ndjson`.
    pub event_bytes: u64,
    /// What it has spent.
    pub spent: Spending,
}

/// What a run has spent since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spending {
    /// At most, as budgets count it.
    pub amount: Amount,
    /// What is known of it, as its end would tell it.
    pub usage: Usage,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_may_spend_is_known_whoever_looked_at_the_messages_before() {
        let (control, inbox) = Control::pair().unwrap();
        let budget = Budget { tokens: Some(7), ..Budget::default() };
        control.limit(budget);
        assert_eq!(inbox.ends(), None);
        assert_eq!(inbox.take(), None);
        assert_eq!(inbox.limit(), Some(budget));
    }

    #[test]
    fn what_an_earlier_program_took_too_much_is_forgotten_and_an_end_is_not() {
        let (control, inbox) = Control::pair().unwrap();
        control.exceeded(Excess::Depth);
        control.end(End::Stop);
        inbox.forget_excess();
        assert_eq!((inbox.take(), inbox.take()), (Some(Message::End(End::Stop)), None));
    }

    #[test]
    fn a_pause_is_cut_short_by_an_end_and_by_nothing_else() {
        let (control, inbox) = Control::pair().unwrap();
        let pause = Duration::from_millis(30);
        control.answer(1, Answer::Allow);
        control.limit(Budget::default());
        let begin_ms = boot_ms();
        assert_eq!(inbox.rest(pause), Ok(()));
        assert!(boot_ms() - begin_ms >= 30);
        control.end(End::Cancel);
        assert_eq!(inbox.rest(Duration::from_secs(3_600)), Err(End::Cancel));
    }
}
