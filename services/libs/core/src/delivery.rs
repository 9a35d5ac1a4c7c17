//! What somebody is to be told, and how often that was tried.

use crate::id::{Seq, TaskId};
use crate::name::Name;
use crate::time::Wall;

/// How long a delivery rests after each try that failed; after the last of these it is given up.
pub const REST_AFTER_TRY_MS: [u64; 7] =
    [5_000, 30_000, 120_000, 600_000, 3_600_000, 4 * 3_600_000, 12 * 3_600_000];

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Notice {
    /// A task is over, however it ended.
    Finished,
    /// A task is over and failed.
    Failed,
    /// A task waits for a person.
    Waiting,
    /// Nothing that is connected can run a task that waits.
    Unservable,
    /// The state volume has less free space than it must.
    DiskFloor,
    /// A schedule stopped, because who made it may not submit there any more.
    ScheduleStopped,
    /// A credential was refused again and again, and nothing runs under it any more.
    LaneClosed,
    /// Most of a day's budget is spent.
    BudgetNear,
}

/// By which way it is told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// The webhook that the task names.
    Webhook,
    /// A rule of the configuration, by its name.
    Rule(Name),
}

/// A rule by which somebody is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyRule {
    /// Its name, which follows from where it leads.
    pub name: Name,
    /// What is told.
    pub on: Box<[Notice]>,
    /// Only of tasks in this group.
    pub group: Option<Name>,
}

impl NotifyRule {
    /// Whether it tells of this. What is about no task is about no group.
    pub(crate) fn tells(&self, notice: Notice, group: Option<&Name>) -> bool {
        let of_group = self.group.as_ref().is_none_or(|wanted| group == Some(wanted));
        // Who asks for every end is told of a failure by the notice that fits it best, once.
        let wanted = match notice {
            Notice::Failed => self.on.contains(&Notice::Failed) || self.on.contains(&Notice::Finished),
            Notice::Finished
            | Notice::Waiting
            | Notice::Unservable
            | Notice::DiskFloor
            | Notice::ScheduleStopped
            | Notice::LaneClosed
            | Notice::BudgetNear => self.on.contains(&notice),
        };
        of_group && wanted
    }
}

/// Something that is to be told and was not taken yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The event that made it due; its name.
    pub seq: Seq,
    /// When that was.
    pub made_at: Wall,
    /// The task it is about.
    pub task: Option<TaskId>,
    /// By which way.
    pub route: Route,
    /// What.
    pub notice: Notice,
    /// What there is to say besides, for people.
    pub detail: Box<str>,
    /// How often it was tried.
    pub tries: u16,
    /// When it is due.
    pub next_at: Wall,
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// It was taken.
    Delivered,
    /// It was not; it is tried again.
    Again {
        /// Not before this instant.
        next_at: Wall,
    },
    /// It was not, and is not tried again.
    GivenUp,
}

/// What the receiver said, or why it could not be reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// Where it was sent, without what is secret in it.
    pub to: Box<str>,
    /// The HTTP status, or the status of another protocol.
    pub status: Option<u16>,
    /// Why it was not taken.
    pub error: Option<Box<str>>,
}

/// When a delivery is tried again after so many tries; none when it is given up.
pub(crate) fn next_try(now: Wall, tries: u16) -> Option<Wall> {
    let place = usize::from(tries).checked_sub(1)?;
    REST_AFTER_TRY_MS.get(place).map(|rest| now.after(*rest))
}
