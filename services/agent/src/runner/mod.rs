//! Runners: how an attempt becomes a process tree, or a simulation of one, and then an outcome.
//!
//! An agent has a number of slots. Each slot is one thread that runs one [`Attempt`] at a time and
//! says what happens by [`Report`]s; [`Control`] is how the worker reaches a running attempt.

mod attempt;
mod cause;
mod command;
mod conclude;
mod confined;
mod control;
pub mod environment;
mod excess;
mod finish;
mod lend;
mod live;
mod mock;
mod network;
mod outcome;
mod prepare;
pub mod program;
mod replay;
mod repository;
mod rescue;
mod result;
mod script;
mod secrets;
mod slot;
mod slots;
mod turnstile;
mod verify;
mod watched;

pub use attempt::{Attempt, Budget, Limits, OnOutputLimit, Start, StartsFrom, Submits, What};
pub(crate) use control::Inbox;
pub use control::{Answer, Control, End, Progress, Question, QuestionKind, Report, ReportBody, Spending};
pub(crate) use live::{most_printed, wait};
pub use outcome::{Failure, FailureReason, Outcome, Usage, Verdict};
pub use program::{Order, Programs};
pub use slots::{Error, Run, Settings, Slots};
