//! Who asks, and what they may ask. Every call passes [`Caller::check`] before anything is done about it.

use std::sync::Arc;

use conductor_core::{Actor, Groups, Name, ScheduleId, TaskId};
use conductor_protocol::control::{self, ActorView, AttemptRef, Call, Id, Role};
use conductor_protocol::{Code, Problem};

use crate::view;

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// For the audit and for `created_by`.
    pub(super) actor: Arc<Actor>,
    role: Role,
    groups: Groups,
    /// Whether nobody was named: the program at the other end of the socket asks for itself.
    is_owner: bool,
    /// The running attempt that asks, which may do what [`super::attempt`] says and nothing else.
    pub(super) attempt: Option<AttemptRef>,
}

/// What a call reaches, as far as it decides who may make it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// What belongs to no group.
    Nothing,
    /// What belongs to groups; whatever answers it leaves out what its caller may not see.
    Filtered,
    /// A task; one that its caller may not see is not there.
    Task(TaskId),
    /// A schedule, likewise.
    Schedule(ScheduleId),
    /// All groups at once.
    Everything,
}

/// What a call asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// This role, or one above it.
    Role(Role),
    /// To be the owner of the socket.
    Owner,
}

impl Caller {
    /// Who a request says to ask.
    pub(super) fn new(view: Option<ActorView>, owner: &Arc<Actor>) -> Result<Self, Problem> {
        let Some(view) = view else {
            let (actor, role, groups) = (owner.clone(), Role::Admin, Groups::All);
            return Ok(Self { actor, role, groups, is_owner: true, attempt: None });
        };
        let name = |field: &str, text: &str| {
            Name::new(text).map_err(|error| Problem::at(format!("/actor/{field}"), error.to_string()))
        };
        let actor = Arc::new(Actor {
            name: name("name", &view.name)?,
            role: view::role_from_wire(view.role),
            via: name("via", &view.via)?,
            address: view.address.map(Into::into),
        });
        let groups = match &view.groups {
            control::Groups::All => Groups::All,
            control::Groups::Only(names) => {
                Groups::Only(names.iter().map(|group| name("groups", group)).collect::<Result<_, _>>()?)
            }
        };
        Ok(Self { actor, role: view.role, groups, is_owner: false, attempt: view.attempt })
    }

    /// Whether nothing is hidden from the caller.
    pub(super) fn sees_everything(&self) -> bool {
        matches!(self.groups, Groups::All)
    }

    /// Whether the caller may see what belongs to a group.
    pub(super) fn sees(&self, group: &Name) -> bool {
        self.groups.reach(group)
    }

    /// The groups that the caller may see; none for all, as History takes it.
    pub(super) fn visible(&self) -> Option<Vec<Name>> {
        match &self.groups {
            Groups::All => None,
            Groups::Only(groups) => Some(groups.to_vec()),
        }
    }

    /// The group of what the caller makes without naming one, when there is only one that it could be.
    pub(super) fn only_group(&self) -> Option<&Name> {
        match &self.groups {
            Groups::Only(groups) if groups.len() == 1 => groups.first(),
            Groups::Only(_) | Groups::All => None,
        }
    }

    /// The groups that the caller reaches, for people.
    pub(super) fn reached(&self) -> String {
        match &self.groups {
            Groups::All => "all groups".to_owned(),
            Groups::Only(groups) => {
                let names: Vec<_> = groups.iter().map(Name::as_str).collect();
                format!("the groups {}", names.join(", "))
            }
        }
    }

    /// Refuses what the caller would make in a group that it does not reach.
    pub(super) fn check_group(&self, group: &Name) -> Result<(), Problem> {
        match self.sees(group) {
            true => Ok(()),
            false => {
                let detail = format!("the token reaches {}, not {group}; name one of them", self.reached());
                Err(Problem::new(Code::Forbidden, detail))
            }
        }
    }

    /// The groups as the wire has them.
    pub(super) fn groups(&self) -> control::Groups {
        view::groups_on_wire(&self.groups)
    }

    /// Refuses a call that is above the caller's role.
    pub(super) fn check(&self, call: &Call) -> Result<(), Problem> {
        match needs(call) {
            _ if self.is_owner => Ok(()),
            Needs::Role(role) if self.role >= role => Ok(()),
            Needs::Role(role) => {
                let (role, own) = (role_text(role), role_text(self.role));
                Err(Problem::new(Code::Forbidden, format!("this takes the role {role}; the token has {own}")))
            }
            Needs::Owner => Err(Problem::new(Code::Forbidden, "only the owner of the socket may ask this")),
        }
    }
}

/// What a call asks of its caller. There is no other way to a call's answer, and a new call does not compile without a
/// place here.
pub(super) fn needs(call: &Call) -> Needs {
    match call {
        Call::Browse(call) if call.id.is_none() => Needs::Role(Role::Admin),
        Call::Browse(_) => Needs::Role(Role::Viewer),
        Call::Authenticate(_) | Call::OpenSession(_) | Call::CloseSession(_) => Needs::Owner,
        Call::Get(_)
        | Call::Wait(_)
        | Call::List(_)
        | Call::Questions
        | Call::Agents
        | Call::Queue
        | Call::Stats
        | Call::Status
        | Call::Schedules
        | Call::Events(_)
        | Call::Output(_)
        | Call::RunEvents(_)
        | Call::Usage(_)
        | Call::UsageOfAll(_)
        | Call::Files(_)
        | Call::File(_)
        | Call::Diff(_)
        | Call::Deliveries(_)
        | Call::Trends(_)
        | Call::Runners
        | Call::TaskTypes
        | Call::Metrics
        | Call::Stop(_) => Needs::Role(Role::Viewer),
        Call::Submit(_)
        | Call::SubmitEach(_)
        | Call::Cancel(_)
        | Call::CancelMatching(_)
        | Call::Retry(_)
        | Call::RetryMatching(_)
        | Call::Message(_)
        | Call::Answer(_)
        | Call::Delete(_)
        | Call::Pin(_)
        | Call::AddSchedule(_)
        | Call::RemoveSchedule(_)
        | Call::CreateUpload(_)
        | Call::AppendUpload(_)
        | Call::Upload(_) => Needs::Role(Role::Operator),
        Call::DrainAgent(_)
        | Call::RevokeAgent(_)
        | Call::Pause(_)
        | Call::OpenLane(_)
        | Call::Audit(_)
        | Call::VerifyAudit(_)
        | Call::Gc(_)
        | Call::MakeLogin
        | Call::Tokens
        | Call::CreateToken(_)
        | Call::RevokeToken(_)
        | Call::Config => Needs::Role(Role::Admin),
    }
}

/// What a call reaches. A new call does not compile without a place here either.
pub(super) fn about(call: &Call) -> About {
    match call {
        Call::Get(Id { id }) | Call::Retry(Id { id }) | Call::Delete(Id { id }) => About::Task(*id),
        Call::Files(Id { id }) | Call::Usage(Id { id }) | Call::Deliveries(Id { id }) => About::Task(*id),
        Call::Wait(call) => About::Task(call.id),
        Call::Cancel(call) => About::Task(call.id),
        Call::Message(call) => About::Task(call.id),
        Call::Answer(call) => About::Task(call.id),
        Call::Output(call) | Call::RunEvents(call) | Call::Diff(call) => About::Task(call.id),
        Call::File(call) => About::Task(call.id),
        Call::Pin(call) => About::Task(call.id),
        Call::Browse(call) => call.id.map_or(About::Everything, About::Task),
        Call::RemoveSchedule(call) => About::Schedule(call.id),
        Call::Submit(_)
        | Call::SubmitEach(_)
        | Call::List(_)
        | Call::CancelMatching(_)
        | Call::RetryMatching(_)
        | Call::Questions
        | Call::Agents
        | Call::Queue
        | Call::Stats
        | Call::Trends(_)
        | Call::AddSchedule(_)
        | Call::Schedules
        | Call::UsageOfAll(_)
        | Call::Events(_) => About::Filtered,
        Call::Status
        | Call::Runners
        | Call::TaskTypes
        | Call::CreateUpload(_)
        | Call::AppendUpload(_)
        | Call::Upload(_)
        | Call::Authenticate(_)
        | Call::OpenSession(_)
        | Call::CloseSession(_)
        | Call::Stop(_) => About::Nothing,
        Call::DrainAgent(_)
        | Call::RevokeAgent(_)
        | Call::Pause(_)
        | Call::OpenLane(_)
        | Call::Audit(_)
        | Call::VerifyAudit(_)
        | Call::Gc(_)
        | Call::Metrics
        | Call::MakeLogin
        | Call::Tokens
        | Call::CreateToken(_)
        | Call::RevokeToken(_)
        | Call::Config => About::Everything,
    }
}

fn role_text(role: Role) -> &'static str {
    view::role_text(view::role_from_wire(role))
}
