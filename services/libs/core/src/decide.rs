//! Decisions. Each is a function of the step under way; what may be refused is checked before anything is emitted.

mod access;
mod agent;
mod assign;
mod attempt;
pub(crate) mod budget;
mod cancel;
mod deadline;
mod lane;
pub(crate) mod notify;
mod owner;
mod schedule;
pub(crate) mod servable;
mod submit;
mod wiring;

use crate::command::{Command, Rejection, Reply};
use crate::context::Context;
use crate::event::EventKind;

pub(crate) use agent::arm_all as arm_agents;
pub use assign::ASSIGNMENTS_A_STEP;
pub use deadline::TIMEOUTS_A_STEP;
pub(crate) use deadline::timeouts;
pub use owner::{MAX_PINS, MAX_TOLD};
pub use servable::{LOOK_PAST, Obstacle};
pub(crate) use wiring::settle;

/// Decides a command; also answers whether it is to be given again because the step's limit was reached.
pub(crate) fn command(step: &mut Context<'_>, command: Command) -> Result<(Reply, bool), Rejection> {
    let reply = match command {
        Command::Begin { incarnation } => {
            step.emit(EventKind::Began { incarnation });
            Ok(Reply::Done)
        }
        Command::Submit(submit) => submit::submit(step, submit),
        Command::SubmitBelow { parent, lease, submit } => submit::submit_below(step, parent, lease, submit),
        Command::Cancel { task, reason, by } => cancel::cancel(step, task, reason, by),
        Command::Answer { task, request_id, answer_json, by } => {
            owner::answer(step, task, request_id, answer_json, by)
        }
        Command::Tell { task, message, by } => owner::tell(step, task, message, by),
        Command::Delete { tasks, by } => owner::delete(step, tasks, by),
        Command::Pin { task, pinned, by } => owner::pin(step, task, pinned, by),
        Command::Pause { paused, by } => Ok(owner::pause(step, paused, by)),
        Command::Agent { agent, session, say } => agent::hear(step, agent, session, say),
        Command::DrainAgent { name, draining, by } => owner::drain(step, &name, draining, by),
        Command::RevokeAgent { name, by } => owner::revoke(step, &name, by),
        Command::AddSchedule { schedule, by } => schedule::add(step, schedule, by),
        Command::RemoveSchedule { schedule, by } => schedule::remove(step, schedule, by),
        Command::FireSchedule { schedule, due_at, next_at, missed, task, webhook, secrets, budget, by } => {
            let occurrence = schedule::Occurrence {
                schedule,
                due_at,
                next_at,
                missed,
                task,
                webhook,
                secrets,
                budget,
                by,
            };
            schedule::fire(step, occurrence)
        }
        Command::PassSchedule { schedule, due_at, next_at, why } => {
            schedule::pass(step, schedule, due_at, next_at, why.as_deref())
        }
        Command::Notify { notice, task, detail } => notify::notify(step, notice, task, &detail),
        Command::DeliveryTried { delivery, delivered, hopeless, answer } => {
            Ok(notify::tried(step, delivery, delivered, hopeless, answer))
        }
        Command::OpenLane { lane, by } => lane::open(step, lane, by),
        Command::CreateToken { token, by } => access::create_token(step, token, by),
        Command::RevokeToken { name, by } => access::revoke_token(step, name, by),
        Command::OpenSession { session, by } => access::open_session(step, session, by),
        Command::CloseSession { session, by } => Ok(access::close_session(step, session, by)),
        Command::Assign => return Ok((Reply::Done, assign::assign(step))),
        Command::Room { lacking } => {
            step.live().lacking = lacking;
            Ok(Reply::Done)
        }
    };
    reply.map(|reply| (reply, false))
}
