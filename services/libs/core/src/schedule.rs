//! Schedules. The engine computes when a cron expression comes due; the machine decides what happens then.

use crate::id::{ScheduleId, TaskId};
use crate::name::Name;
use crate::time::Wall;

/// What happens when a schedule comes due while its last task still lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// The occurrence is passed over.
    Skip,
    /// The new task waits beside the old one.
    Queue,
    /// The old task is cancelled.
    Cancel,
}

/// What happens to occurrences that passed while nothing ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatchUp {
    /// They are passed over.
    None,
    /// One task stands for all of them.
    One,
}

/// A schedule. Its expression, time zone and task are its payload, kept outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Made by the caller.
    pub id: ScheduleId,
    /// What it is called, for people.
    pub name: Option<Box<str>>,
    /// Whose tasks it makes.
    pub group: Name,
    /// What happens when its last task still lives.
    pub overlap: Overlap,
    /// What happens to missed occurrences.
    pub catch_up: CatchUp,
    /// When it comes due next.
    pub next_at: Wall,
    /// The last task it made that may still live.
    pub last_task: Option<TaskId>,
}
