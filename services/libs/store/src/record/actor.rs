//! Records of actors.

use std::sync::Arc;

use conductor_core::{Actor, Name, Role};

use super::context::{Context, Invalid};
use super::mirror::{Mirror, mirror_names};

mirror_names!(Role => RoleV1 { Viewer, Operator, Admin, Agent });

#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct ActorV1<'a> {
    name: &'a str,
    role: RoleV1,
    via: &'a str,
    address: Option<&'a str>,
}

impl<'a> Mirror<'a> for Arc<Actor> {
    type Record = ActorV1<'a>;

    fn to_record(&'a self) -> Self::Record {
        let Actor { name, role, via, address } = &**self;
        ActorV1 {
            name: name.as_str(),
            role: role.to_record(),
            via: via.as_str(),
            address: address.as_deref(),
        }
    }

    fn from_record(record: Self::Record, context: &mut Context) -> Result<Self, Invalid> {
        let ActorV1 { name, role, via, address } = record;
        let role = Role::from_record(role, context)?;
        context.actor(
            |actor| {
                actor.name.as_str() == name
                    && actor.role == role
                    && actor.via.as_str() == via
                    && actor.address.as_deref() == address
            },
            |context| {
                Ok(Actor {
                    name: Name::from_record(name, context)?,
                    role,
                    via: Name::from_record(via, context)?,
                    address: address.map(Into::into),
                })
            },
        )
    }
}
