//! `upgrade finalize`: lets a release write its own formats, from when on the one before cannot read the state any more.

use conductor_protocol::{Code, Problem};
use conductor_store::format::{self, Format};
use conductor_store::state_dir::{LockError, StateDir};

use crate::context::Context;
use crate::exit::{Exit, Failure, chain};
use crate::server;

/// `upgrade finalize`
pub fn finalize(context: &mut Context<'_>) -> Result<Exit, Failure> {
    server::refuse_far()?;
    let state = context.loaded.home.state.clone();
    let failed = |error: format::Error| Failure::Failed(chain(&error));
    let Some(found) = format::read(&state).map_err(failed)? else {
        return Err(Failure::Failed(format!("nothing was ever started in {}", state.display())));
    };
    let finalized = found.number < format::CURRENT;
    let now = match finalized {
        true => {
            // An orchestrator that runs would go on writing what it began with.
            let _lock = StateDir::lock(&state).map_err(|error| match error {
                LockError::Held { .. } => {
                    Failure::Refused(Problem::new(Code::Conflict, format!("{}; end it first", chain(&error))))
                }
                LockError::Io { .. } => Failure::Failed(chain(&error)),
            })?;
            format::finalize(&state).map_err(failed)?
        }
        false => found,
    };
    let Format { number, since, .. } = &now;
    if context.screen.is_json() {
        context.screen.json(
            &serde_json::json!({ "finalized": finalized, "format": number, "readable_since": since }),
        )?;
    } else if finalized {
        context
            .screen
            .line(format!("the state has format {number} now; releases before {since} cannot read it"))?;
    } else {
        context.screen.line(format!(
            "there is nothing to finalize: the state has format {number}, the newest of this release; releases since \
             {since} read it"
        ))?;
    }
    Ok(Exit::Succeeded)
}
