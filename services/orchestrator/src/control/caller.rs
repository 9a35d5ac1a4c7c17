//! Who asks, and what they may ask. Every call passes [`Caller::check`] before anything is done about it.

use std::sync::Arc;

use conductor_core::{Actor, Name};
use conductor_protocol::control::{ActorView, Call, Role};
use conductor_protocol::{Code, Problem};

use crate::view;

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// For the audit and for `created_by`.
    pub(super) actor: Arc<Actor>,
    role: Role,
    /// Whether nobody was named: the program at the other end of the socket asks for itself.
    is_owner: bool,
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
            return Ok(Self { actor: owner.clone(), role: Role::Admin, is_owner: true });
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
        Ok(Self { actor, role: view.role, is_owner: false })
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
        | Call::Files(_)
        | Call::File(_)
        | Call::Diff(_)
        | Call::Deliveries(_)
        | Call::Trends(_)
        | Call::Runners
        | Call::Metrics
        | Call::Stop(_) => Needs::Role(Role::Viewer),
        Call::Submit(_)
        | Call::Cancel(_)
        | Call::CancelMatching(_)
        | Call::Retry(_)
        | Call::RetryMatching(_)
        | Call::Message(_)
        | Call::Answer(_)
        | Call::Delete(_)
        | Call::AddSchedule(_)
        | Call::RemoveSchedule(_)
        | Call::CreateUpload(_)
        | Call::AppendUpload(_)
        | Call::Upload(_) => Needs::Role(Role::Operator),
        Call::DrainAgent(_)
        | Call::RevokeAgent(_)
        | Call::Pause(_)
        | Call::Audit(_)
        | Call::Gc(_)
        | Call::MakeLogin
        | Call::Tokens
        | Call::CreateToken(_)
        | Call::RevokeToken(_)
        | Call::Config => Needs::Role(Role::Admin),
    }
}

fn role_text(role: Role) -> &'static str {
    view::role_text(view::role_from_wire(role))
}
