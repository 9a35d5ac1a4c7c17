//! What every runner does with the attempt that it runs: print, report, wait, and hear that it shall end.

use std::sync::Arc;
use std::time::Duration;

use conductor_core::Amount;
use conductor_redact::{Redactor, Stream};
use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::attempt::{Limits, OnOutputLimit};
use super::cause::{Cause, disk};
use super::control::{Answer, Inbox, Message, Progress, Question, Report, ReportBody, Spending};
use super::outcome::{Usage, Verdict};
use super::program::render;
use super::turnstile::Turn;
use crate::process::boot_ms;
use crate::run::events::{Event, EventFile};
use crate::run::output::Output;

/// The longest wait without a look at the clock: a sleeping host's time counts, but no poll wakes up for it.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// How many times its limit a run may print where what is beyond it is cut, and what it may print at the least.
const MOST_OUTPUT_TIMES: u64 = 10;
const LEAST_MOST_OUTPUT: u64 = 1 << 30;

/// Where reports of a slot go.
#[derive(Debug, Clone)]
pub(super) struct Reporter {
    pub slot: usize,
    pub task_id: Uuid,
    pub attempt: u32,
    pub reports: mpsc::Sender<Report>,
}

impl Reporter {
    /// Sends a report; false when nobody listens any more.
    pub fn report(&self, body: ReportBody) -> bool {
        let Self { slot, task_id, attempt, .. } = *self;
        self.reports.blocking_send(Report { slot, task_id, attempt, body }).is_ok()
    }
}

/// An attempt while it runs.
#[derive(Debug)]
pub(super) struct Live {
    pub output: Output,
    /// Keeps secrets out of what is printed.
    passing: Stream,
    redactor: Arc<Redactor>,
    pub events: EventFile,
    pub inbox: Inbox,
    pub limits: Limits,
    pub reporter: Reporter,
    pub progress: watch::Sender<Progress>,
    turn: Option<Turn>,
    begin_ms: u64,
    deadline_ms: u64,
    timeout: Duration,
    questions: u32,
    /// How much of what people told it the run took.
    told: u32,
}

impl Live {
    pub fn new(
        output: Output,
        events: EventFile,
        (inbox, progress): (Inbox, watch::Sender<Progress>),
        (limits, timeout): (Limits, Duration),
        turn: Turn,
        reporter: Reporter,
        redactor: Arc<Redactor>,
    ) -> Self {
        let turn = (!inbox.has_lent()).then_some(turn);
        let begin_ms = boot_ms();
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let deadline_ms = begin_ms.saturating_add(timeout_ms);
        Self {
            output,
            passing: Stream::new(Arc::clone(&redactor)),
            redactor,
            events,
            inbox,
            limits,
            reporter,
            progress,
            turn,
            begin_ms,
            deadline_ms,
            timeout,
            questions: 0,
            told: 0,
        }
    }

    /// What keeps secrets out of what the attempt says.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Lets another run begin: this one's program is over, or waits for a person.
    pub fn give_turn_back(&mut self) {
        self.turn = None;
    }

    /// The same where tasks that it submitted live.
    pub fn lend(&mut self) {
        if self.turn.is_some() && self.inbox.has_lent() {
            self.give_turn_back();
        }
    }

    /// Returns how long the attempt has run.
    pub fn elapsed_ms(&self) -> u64 {
        boot_ms().saturating_sub(self.begin_ms)
    }

    /// Gives what comes next as much time as the run had.
    pub fn begin_again(&mut self) {
        self.deadline_ms =
            boot_ms().saturating_add(u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX));
    }

    /// Returns how long it may still run.
    pub fn left(&self) -> Duration {
        Duration::from_millis(self.deadline_ms.saturating_sub(boot_ms()))
    }

    /// Adds to `output.log`.
    pub fn print(&mut self, bytes: &[u8]) -> Result<(), Cause> {
        self.output.push(&self.passing.push(bytes)).map_err(|error| disk(&error))?;
        self.printed()
    }

    /// Lets go what was held back because it might have become a secret; nothing more comes of what printed it.
    pub fn end_print(&mut self) -> Result<(), Cause> {
        let held = self.passing.finish();
        if held.is_empty() {
            return Ok(());
        }
        self.output.push(&held).map_err(|error| disk(&error))?;
        self.printed()
    }

    fn printed(&self) -> Result<(), Cause> {
        self.grew();
        match self.limits.on_output_limit {
            OnOutputLimit::End if self.output.dropped_bytes() > 0 => Err(Cause::OutputLimit),
            OnOutputLimit::Cut
                if self.output.dropped_bytes() > most_printed(self.limits.max_output_bytes) =>
            {
                Err(Cause::OutputLimit)
            }
            OnOutputLimit::End | OnOutputLimit::Cut => Ok(()),
        }
    }

    /// Adds to `events.ndjson`.
    pub fn event(&mut self, event: &Event) -> Result<(), Cause> {
        self.events.push(self.elapsed_ms(), event).map_err(|error| disk(&error))?;
        self.grew();
        Ok(())
    }

    /// Adds an event to `events.ndjson`, and to `output.log` what people read of it.
    pub fn show(&mut self, event: &Event) -> Result<(), Cause> {
        self.event(event)?;
        render::text(event).map_or(Ok(()), |text| self.print(text.as_bytes()))
    }

    /// Says back what has come to end the run, if anything has. Answers that nobody waits for are forgotten.
    pub fn pending(&mut self) -> Option<Cause> {
        self.lend();
        while let Some(message) = self.inbox.take() {
            if let Message::End(end) = message {
                return Some(Cause::Asked(end));
            }
        }
        self.left().is_zero().then_some(Cause::Timeout)
    }

    /// Waits, unless the run shall end.
    pub fn sleep(&mut self, time: Duration) -> Result<(), Cause> {
        let until = boot_ms().saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        loop {
            if let Some(cause) = self.pending() {
                return Err(cause);
            }
            let now = boot_ms();
            if now >= until {
                return Ok(());
            }
            wait(
                &mut [PollFd::new(&self.inbox, PollFlags::IN)],
                Duration::from_millis(until - now).min(self.left()),
            );
        }
    }

    /// Asks a person and waits for the answer. The time that this takes is not the run's.
    pub fn ask(&mut self, question: Question) -> Result<Answer, Cause> {
        let request = self.put(question)?;
        let since_ms = boot_ms();
        let answer = loop {
            match self.inbox.take() {
                Some(Message::End(end)) => return Err(Cause::Asked(end)),
                Some(Message::Answer { request: asked, answer }) if asked == request => break answer,
                Some(Message::Answer { .. } | Message::Exceeded(_)) => {}
                None => wait(&mut [PollFd::new(&self.inbox, PollFlags::IN)], MAX_WAIT),
            }
        };
        self.answered(request, since_ms, &answer)?;
        Ok(answer)
    }

    /// Puts a question to a person; the number names it. It is for the caller to wait for the answer, and to say when it came.
    pub fn put(&mut self, question: Question) -> Result<u32, Cause> {
        self.questions += 1;
        let request = self.questions;
        let redactor = Arc::clone(&self.redactor);
        let clean = |text: String| redactor.text(&text).into_owned();
        let text = clean(question.text);
        self.print(format!("[question] {text}\n").as_bytes())?;
        self.event(&Event::Question { request, text: text.clone() })?;
        self.give_turn_back();
        let (tool, input) = (question.tool.map(clean), question.input.map(clean));
        let question = Question { text, tool, input, ..question };
        self.reporter.report(ReportBody::Asked { request, question });
        Ok(request)
    }

    /// Takes an answer down, and gives the run the time back that it waited.
    pub fn answered(&mut self, request: u32, since_ms: u64, answer: &Answer) -> Result<(), Cause> {
        self.deadline_ms = self.deadline_ms.saturating_add(boot_ms().saturating_sub(since_ms));
        let text = match answer {
            Answer::Allow => "allow",
            Answer::Deny => "deny",
            Answer::Text(text) => text,
            Answer::Expired => return Err(Cause::Unanswered),
        };
        self.print(format!("[answer] {text}\n").as_bytes())?;
        self.event(&Event::Answer { request, text: text.to_owned() })
    }

    /// Takes down that the run wants no answer to a question any more, and gives it the time back that it waited.
    pub fn withdrawn(&mut self, request: u32, since_ms: u64) -> Result<(), Cause> {
        self.deadline_ms = self.deadline_ms.saturating_add(boot_ms().saturating_sub(since_ms));
        self.reporter.report(ReportBody::Withdrawn { request });
        self.print(b"[question] it is withdrawn\n")?;
        self.event(&Event::Withdrawn { request })
    }

    /// Takes what a person told the run, if anything is left; the run has it from then on.
    pub fn take_told(&mut self) -> Result<Option<String>, Cause> {
        let Some(text) = self.inbox.told() else { return Ok(None) };
        self.told += 1;
        self.print(format!("[message] {}\n", text.trim_end()).as_bytes())?;
        self.event(&Event::Told { text: text.clone() })?;
        Ok(Some(text))
    }

    /// How much of what people told it the run took.
    pub fn told(&self) -> u32 {
        self.told
    }

    /// Turns the cause of an early end into the verdict.
    pub fn verdict(&self, cause: Cause) -> Verdict {
        cause.verdict(self.timeout, self.output.bytes() + self.output.dropped_bytes())
    }

    /// Notes what the run has spent since it began.
    pub fn spent(&self, amount: Amount, usage: Usage) {
        self.progress.send_modify(|known| known.spent = Spending { amount, usage });
    }

    fn grew(&self) {
        let (output_bytes, event_bytes) = (self.output.bytes(), self.events.bytes());
        self.progress.send_modify(|known| *known = Progress { output_bytes, event_bytes, ..*known });
    }
}

/// How much a run may print where what is beyond its limit is cut: what prints without an end is ended too.
pub(crate) fn most_printed(limit: u64) -> u64 {
    limit.saturating_mul(MOST_OUTPUT_TIMES).max(LEAST_MOST_OUTPUT)
}

/// Waits until one of these is ready, or the time is up, or a long time has passed.
pub(crate) fn wait(fds: &mut [PollFd<'_>], time: Duration) {
    // A millisecond more than asked: the clock that is compared has whole ones.
    let time = time.saturating_add(Duration::from_millis(1)).min(MAX_WAIT);
    let time = Timespec::try_from(time).expect("a minute fits");
    // An interrupted wait is a short wait; every caller looks again.
    let _ = rustix::event::poll(fds, Some(&time));
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::runner::turnstile::Turnstile;
    use crate::runner::{Control, End};

    fn live() -> (Live, Control, watch::Receiver<Progress>, tempfile::TempDir) {
        let (control, inbox) = Control::pair().unwrap();
        let (progress, receiver) = watch::channel(Progress::default());
        let (reports, _) = mpsc::channel(1);
        let reporter = Reporter { slot: 0, task_id: Uuid::nil(), attempt: 1, reports };
        let folder = tempfile::tempdir().unwrap();
        let attempt = || File::open(folder.path()).unwrap().into();
        let limits = Limits { max_output_bytes: 10, ..Limits::default() };
        let (output, events) = (Output::new(attempt(), 10), EventFile::new(attempt(), Arc::default()));
        let turn = Turnstile::new(1).unwrap().take().unwrap();
        let limits = (limits, Duration::from_secs(60));
        (
            Live::new(output, events, (inbox, progress), limits, turn, reporter, Arc::default()),
            control,
            receiver,
            folder,
        )
    }

    #[test]
    fn live_readers_hear_how_long_the_output_is() {
        let (mut live, _, progress, _folder) = live();
        live.print(b"12345").unwrap();
        assert_eq!(progress.borrow().output_bytes, 5);
        live.print(b"6789abcdef").unwrap();
        assert_eq!(progress.borrow().output_bytes, live.output.bytes());
        assert_eq!(live.output.dropped_bytes(), 5);
    }

    #[test]
    fn an_end_that_came_before_the_run_began_is_heard() {
        let (mut live, control, ..) = live();
        assert_eq!(live.pending(), None);
        control.answer(1, Answer::Allow);
        control.end(End::Stop);
        control.end(End::Stop);
        assert_eq!(live.sleep(Duration::from_secs(1_000)), Err(Cause::Asked(End::Stop)));
        assert_eq!(live.pending(), None, "an end that is said twice is one");
    }

    #[test]
    fn answers_beyond_the_limit_never_crowd_out_an_end() {
        let (mut live, control, ..) = live();
        for request in 0..1_000 {
            control.answer(request, Answer::Deny);
        }
        control.end(End::Cancel);
        assert_eq!(live.pending(), Some(Cause::Asked(End::Cancel)));
    }
}
