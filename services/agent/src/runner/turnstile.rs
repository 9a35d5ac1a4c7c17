//! Lets as many runs go at once as the agent has slots. A run makes its folder before its turn and collects what it left
//! after it, so that the next one's program starts meanwhile.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags};
use rustix::io::Errno;

use super::control::{End, Inbox, Message};
use super::live;
use crate::process::boot_ms;

/// How long a run waits for its turn before it is given back: those before it turned out to be long.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// Hands out turns.
#[derive(Debug, Clone)]
pub(super) struct Turnstile {
    /// Counts the turns that nobody has.
    free: Arc<OwnedFd>,
}

/// The right to run, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    free: Arc<OwnedFd>,
}

/// What waiting for a turn came to.
#[derive(Debug)]
pub(super) enum Waited {
    Turn(Turn),
    /// The run shall end before it began.
    Ended(End),
    TooLong,
}

impl Turnstile {
    pub fn new(turns: u32) -> rustix::io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK | EventfdFlags::SEMAPHORE;
        Ok(Self { free: Arc::new(rustix::event::eventfd(turns, flags)?) })
    }

    /// Waits for a turn, and meanwhile for the end of the run that wants it.
    pub fn wait(&self, inbox: &Inbox) -> Waited {
        let since = boot_ms();
        loop {
            while let Some(message) = inbox.take() {
                match message {
                    Message::End(end) => return Waited::Ended(end),
                    // It is about an earlier run.
                    Message::Answer { .. } | Message::Exceeded(_) => {}
                }
            }
            if let Some(turn) = self.take() {
                return Waited::Turn(turn);
            }
            let waited = Duration::from_millis(boot_ms().saturating_sub(since));
            let Some(left) = MAX_WAIT.checked_sub(waited) else { return Waited::TooLong };
            let free: &OwnedFd = &self.free;
            live::wait(&mut [PollFd::new(free, PollFlags::IN), PollFd::new(inbox, PollFlags::IN)], left);
        }
    }

    pub fn take(&self) -> Option<Turn> {
        match rustix::io::retry_on_intr(|| rustix::io::read(self.free.as_fd(), &mut [0; 8])) {
            Ok(_) => Some(Turn { free: Arc::clone(&self.free) }),
            Err(Errno::AGAIN) => None,
            Err(errno) => unreachable!("an eventfd is read: {errno}"),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // The count is at most that of the slots, so there is always room for one more.
        let _ = rustix::io::write(self.free.as_fd(), &1u64.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::{Answer, Control};

    fn turn(waited: Waited) -> Turn {
        match waited {
            Waited::Turn(turn) => turn,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn there_are_as_many_turns_as_slots_and_each_comes_back() {
        let turnstile = Turnstile::new(2).unwrap();
        let (_control, inbox) = Control::pair().unwrap();
        let first = turn(turnstile.wait(&inbox));
        let second = turn(turnstile.wait(&inbox));
        assert!(turnstile.take().is_none(), "both are taken");
        drop(first);
        let third = turn(turnstile.wait(&inbox));
        assert!(turnstile.take().is_none());
        drop((second, third));
        assert!(turnstile.take().is_some());
    }

    #[test]
    fn a_run_that_shall_end_does_not_take_a_turn() {
        let turnstile = Turnstile::new(1).unwrap();
        let (control, inbox) = Control::pair().unwrap();
        control.answer(7, Answer::Allow);
        control.end(End::Cancel);
        assert!(matches!(turnstile.wait(&inbox), Waited::Ended(End::Cancel)));
        assert!(turnstile.take().is_some(), "the turn is still there");
    }

    #[test]
    fn a_turn_that_comes_free_wakes_who_waits() {
        let turnstile = Turnstile::new(1).unwrap();
        let (_control, inbox) = Control::pair().unwrap();
        let held = turn(turnstile.wait(&inbox));
        let other = turnstile.clone();
        let (_other_control, other_inbox) = Control::pair().unwrap();
        let waiting = std::thread::spawn(move || matches!(other.wait(&other_inbox), Waited::Turn(_)));
        drop(held);
        assert!(waiting.join().unwrap());
    }

    #[test]
    fn a_run_behind_long_ones_is_given_back() {
        let turnstile = Turnstile::new(1).unwrap();
        let (_control, inbox) = Control::pair().unwrap();
        let _held = turn(turnstile.wait(&inbox));
        assert!(matches!(turnstile.wait(&inbox), Waited::TooLong));
    }
}
