//! What the log says of credentials.

use std::collections::BTreeMap;

use crate::lane::{FULL_TRUST, Lane};
use crate::name::Name;
use crate::task::{AttemptEnd, FailureReason};
use crate::time::Wall;

/// The lanes of which there is something to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lanes {
    by_name: BTreeMap<Name, Lane>,
}

impl Lanes {
    pub(crate) fn get(&self, name: &Name) -> Option<&Lane> {
        self.by_name.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.by_name.values()
    }

    /// Puts back a lane from a snapshot; answers false when it is there already.
    pub(crate) fn restore(&mut self, lane: Lane) -> bool {
        self.by_name.insert(lane.name.clone(), lane).is_none()
    }

    fn change(&mut self, name: &Name, change: impl FnOnce(&mut Lane)) {
        let lane = self.by_name.entry(name.clone()).or_insert_with(|| Lane::open(name.clone()));
        change(lane);
        if lane.is_plain() {
            self.by_name.remove(name);
        }
    }

    /// A run under the lane is over, with so many others still under way.
    pub(crate) fn run_ended(&mut self, name: &Name, end: &AttemptEnd, others: u32) {
        match end {
            AttemptEnd::Succeeded => self.change(name, Lane::succeeded),
            AttemptEnd::Failed(failure) => match failure.reason {
                FailureReason::Auth => {
                    self.change(name, |lane| lane.auth_failures = lane.auth_failures.saturating_add(1));
                }
                // The credential let it in.
                FailureReason::MaxTurns
                | FailureReason::VerifyFailed
                | FailureReason::PushFailed
                | FailureReason::ContextOverflow => self.change(name, |lane| lane.auth_failures = 0),
                FailureReason::ExitCode
                | FailureReason::Timeout
                | FailureReason::QueueTimeout
                | FailureReason::Stalled
                | FailureReason::CrashLimit
                | FailureReason::Budget
                | FailureReason::RateLimited
                | FailureReason::NoResult
                | FailureReason::Oom
                | FailureReason::OutputLimit
                | FailureReason::ProcessLimit
                | FailureReason::DiskFull
                | FailureReason::Dependency
                | FailureReason::InvalidRequest
                | FailureReason::WaitingTimeout
                | FailureReason::InvalidWorkspace
                | FailureReason::RunnerUnavailable
                | FailureReason::RunnerError
                | FailureReason::Internal => {}
            },
            // Half of what was tried may be tried again.
            AttemptEnd::Limited { .. } => {
                let half = u8::try_from((others + 1).ilog2()).unwrap_or(FULL_TRUST).saturating_sub(1);
                self.change(name, |lane| lane.trust = lane.trust.min(half));
            }
            AttemptEnd::Crashed(_) | AttemptEnd::Stopped | AttemptEnd::Cancelled => {}
        }
    }

    /// The lane rests until an instant, or is closed, or is open again.
    pub(crate) fn changed(&mut self, name: &Name, rests_until: Option<Wall>, open: bool) {
        self.change(name, |lane| {
            let was_shut = lane.closed || lane.rests_until.is_some();
            (lane.closed, lane.rests_until) = (!open, rests_until);
            if open && rests_until.is_none() && was_shut {
                // Whether it holds again is tried with one first.
                (lane.auth_failures, lane.trust) = (0, 0);
            }
        });
    }

    /// Forgets lanes that nobody offers any more.
    pub(crate) fn keep(&mut self, is_offered: impl Fn(&Name) -> bool) {
        self.by_name.retain(|name, _| is_offered(name));
    }
}

impl Lane {
    fn succeeded(&mut self) {
        self.auth_failures = 0;
        self.trust = (self.trust + 1).min(FULL_TRUST);
    }
}
