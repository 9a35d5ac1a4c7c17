//! The conversation with a program: what it wants to know, what people answer and tell it, and how it is asked to stop.

use std::time::Duration;

use super::super::talk::Talk;
use super::{Follow, boot_ms, left_of};

/// How long a program has to leave its turn, where it is asked to before it is ended.
const LEAVE: Duration = Duration::from_secs(2);

impl Follow<'_> {
    /// Has it leave its turn before it is ended, where it can be asked to.
    pub(super) fn leave(&mut self) {
        if !self.watched.is_to_leave || self.left_ms == Some(u64::MAX) {
            return;
        }
        let asks = self.left_ms.is_none() && self.talk.as_mut().is_some_and(Talk::cancel);
        if asks {
            self.left_ms = Some(boot_ms());
        } else if self.leave_left().is_none_or(|left| left.is_zero()) || self.parser.known().end.is_some() {
            self.left_ms = Some(u64::MAX);
            self.watched.end_what_is_left(self.watched.live.limits.grace);
        }
    }

    /// How long it still has to leave its turn.
    pub(super) fn leave_left(&self) -> Option<Duration> {
        self.left_ms.filter(|left| *left != u64::MAX).map(|left| left_of(LEAVE, left))
    }

    /// How long it has to be silent before the conversation goes on.
    pub(super) fn rest_left(&self) -> Option<Duration> {
        self.talk.as_ref().and_then(Talk::rest).map(|rest| left_of(rest, self.heard_ms))
    }

    /// Whether it waits for a person: its clocks stand still.
    pub(super) fn waits(&self) -> bool {
        self.talk.as_ref().is_some_and(Talk::waits)
    }

    /// Passes on what people answered and said.
    pub(super) fn hear_people(&mut self) {
        let answers = self.watched.hear_inbox();
        let Some(talk) = &mut self.talk else { return };
        for (number, answer) in answers {
            let Some(answered) = talk.answer(number, &answer) else { continue };
            self.heard_ms = boot_ms();
            if let Err(cause) = self.watched.live.answered(answered.number, answered.since_ms, &answer) {
                self.watched.end(cause);
            }
        }
        self.tell();
        self.ask();
    }

    /// Passes on what people told it. One that has its result hears of the next turn from whoever started it.
    pub(super) fn tell(&mut self) {
        let Some(talk) = &mut self.talk else { return };
        while self.watched.goes_on() && talk.listens() {
            match self.watched.live.take_told() {
                Ok(Some(text)) => talk.tell(&text),
                Ok(None) => break,
                Err(cause) => self.watched.end(cause),
            }
        }
        self.keep_up();
    }

    /// Notes that a prompt was said, what was not allowed, and which question was taken back.
    pub(super) fn keep_up(&mut self) {
        let Some(talk) = &mut self.talk else { return };
        if let Some(session) = talk.take_begun() {
            self.parser.begin_turn(session);
        }
        self.watched.can_be_asked = talk.can_cancel();
        let withdrawn = talk.take_withdrawn();
        let denied = talk.take_denied();
        for event in denied.iter().filter_map(|(call, why)| self.parser.denied(call, why)).collect::<Vec<_>>()
        {
            self.event(&event);
        }
        if let Some(asked) = withdrawn {
            self.heard_ms = boot_ms();
            if let Err(cause) = self.watched.live.withdrawn(asked.number, asked.since_ms) {
                self.watched.end(cause);
            }
        }
    }

    /// Takes what the program wants.
    pub(super) fn hear_requests(&mut self) {
        let requests = self.parser.requests();
        let Some(talk) = &mut self.talk else { return };
        if requests.is_empty() {
            return;
        }
        for request in requests {
            talk.request(request);
        }
        self.keep_up();
        if self.parser.known().end.is_some() {
            self.tell();
        }
        self.ask();
    }

    /// Puts the next question to a person, if none is with one.
    pub(super) fn ask(&mut self) {
        let Some(talk) = self.talk.as_mut().filter(|_| self.watched.goes_on()) else { return };
        let Some(question) = talk.next_question() else { return };
        match self.watched.live.put(question) {
            Ok(number) => talk.asked(number),
            Err(cause) => self.watched.end(cause),
        }
    }
}
