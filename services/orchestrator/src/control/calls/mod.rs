//! What can be asked, one function a call.

mod audit;
mod browse;
mod change;
mod events;
mod list;
mod numbers;
mod one;
mod read;
mod schedule;
mod stream;
mod submit;
mod tell;
mod told;
mod usage;

use conductor_protocol::Problem;
use conductor_protocol::control::{Call, Done};
use serde_json::value::RawValue;

use super::Context;
use super::caller::{Caller, about};
use super::session::{Items, raw};
use super::{attempt, groups};

pub(super) use one::behind;
pub(crate) use one::get as task;
pub(super) use read::status;

/// Answers a request.
pub(super) async fn answer(
    context: &Context,
    caller: &Caller,
    call: Call,
    items: Items,
) -> Result<Box<RawValue>, Problem> {
    caller.check(&call)?;
    let call = match caller.attempt {
        None => {
            groups::check(context, caller, about(&call)).await?;
            call
        }
        Some(attempt) => attempt::admit(context, attempt, call).await?,
    };
    let actor = caller.actor.clone();
    let done = |()| raw(&Done {});
    match call {
        Call::Submit(call) => Ok(raw(&submit::submit(context, caller, call).await?)),
        Call::SubmitEach(calls) => Ok(raw(&submit::submit_each(context, caller, calls).await?)),
        Call::Retry(call) => Ok(raw(&submit::retry(context, caller, call.id).await?)),
        Call::Message(call) => Ok(raw(&submit::message(context, caller, call).await?)),
        Call::Get(call) => Ok(raw(&one::get(context, call.id).await?)),
        Call::Wait(call) => Ok(raw(&one::wait(context, call).await?)),
        Call::List(call) => Ok(raw(&list::list(context, caller, *call).await?)),
        Call::Questions => Ok(raw(&one::questions(context, caller).await?)),
        Call::Agents => Ok(raw(&read::agents(context, caller).await?)),
        Call::Queue => Ok(raw(&read::queue(context, caller).await?)),
        Call::Stats => Ok(raw(&list::stats(context, caller.visible()).await?)),
        Call::Trends(call) => Ok(raw(&numbers::trends(context, caller.visible(), call).await?)),
        Call::Metrics => Ok(raw(&numbers::metrics(context).await?)),
        Call::Status => {
            let status = read::status(context).await?;
            Ok(raw(&if caller.attempt.is_some() { attempt::little(status) } else { status }))
        }
        Call::Audit(call) => Ok(raw(&audit::list(context, call).await?)),
        Call::VerifyAudit(call) => Ok(raw(&audit::verify(context, call).await?)),
        Call::Cancel(call) => Ok(raw(&change::cancel(context, actor, call).await?)),
        Call::CancelMatching(filter) => Ok(raw(&change::cancel_matching(context, caller, *filter).await?)),
        Call::Answer(call) => change::answer(context, actor, call).await.map(done),
        Call::Delete(call) => change::delete(context, actor, call.id).await.map(done),
        Call::Pin(call) => change::pin(context, actor, call).await.map(done),
        Call::DrainAgent(call) => change::drain_agent(context, actor, call).await.map(done),
        Call::RevokeAgent(call) => change::revoke_agent(context, actor, call).await.map(done),
        Call::Pause(call) => change::pause(context, actor, call.paused).await.map(done),
        Call::OpenLane(call) => change::open_lane(context, actor, &call.name).await.map(done),
        Call::Gc(call) => Ok(raw(&change::gc(context, call).await?)),
        Call::AddSchedule(call) => Ok(raw(&schedule::add(context, caller, *call).await?)),
        Call::Schedules => Ok(raw(&schedule::list(context, caller).await?)),
        Call::RemoveSchedule(call) => schedule::remove(context, actor, call.id).await.map(done),
        Call::Events(call) => events::events(context, caller, call, items).await.map(done),
        Call::Output(call) => Ok(raw(&stream::output(context, call, items).await?)),
        Call::RunEvents(call) => Ok(raw(&stream::run_events(context, call, items).await?)),
        Call::Usage(call) => usage::follow(context, call.id, items).await.map(done),
        Call::UsageOfAll(call) => usage::follow_all(context, caller, call, items).await.map(done),
        Call::Diff(call) => Ok(raw(&stream::diff(context, call, items).await?)),
        Call::Files(call) => Ok(raw(&read::files(context, call.id).await?)),
        Call::Browse(call) => Ok(raw(&browse::browse(context, call).await?)),
        Call::File(call) => Ok(raw(&stream::file(context, call, items).await?)),
        Call::Authenticate(call) => Ok(raw(&context.access.authenticate(&call).await?)),
        Call::OpenSession(call) => Ok(raw(&context.access.open_session(&call).await?)),
        Call::CloseSession(call) => context.access.close_session(&call).await.map(done),
        Call::MakeLogin => Ok(raw(&context.access.make_login()?)),
        Call::Tokens => Ok(raw(&context.access.tokens().await?)),
        Call::CreateToken(call) => Ok(raw(&context.access.create_token(actor, call).await?)),
        Call::RevokeToken(call) => context.access.revoke_token(actor, &call.name).await.map(done),
        Call::RetryMatching(filter) => Ok(raw(&change::retry_matching(context, caller, *filter).await?)),
        Call::Deliveries(call) => Ok(raw(&told::deliveries(context, call.id).await?)),
        Call::CreateUpload(call) => Ok(raw(&context.uploads.create(actor.name.as_str(), call).await?)),
        Call::AppendUpload(call) => Ok(raw(&context.uploads.append(actor.name.as_str(), call).await?)),
        Call::Upload(call) => Ok(raw(&context.uploads.view(actor.name.as_str(), call.id).await?)),
        Call::Runners => Ok(raw(&read::runners(context).await?)),
        Call::TaskTypes => Ok(raw(&context.defaults.types.views())),
        Call::Config => Ok(context.effective.clone()),
        // The session ends streams itself.
        Call::Stop(_) => Ok(raw(&Done {})),
    }
}
