//! What was told of a task, and to whom.

use conductor_core::{Route, TaskId};
use conductor_protocol::control::DeliveryView;
use conductor_protocol::{Code, Problem};
use conductor_store::history::{DeliveryRecord, DeliveryState};

use super::super::Context;
use super::one;
use crate::notify;

/// What was told of a task, the newest first.
pub(super) async fn deliveries(context: &Context, task: TaskId) -> Result<Vec<DeliveryView>, Problem> {
    let seq = context.engine.look(|machine, _| machine.state().seq()).await?;
    let reached = context.follower.reach(seq).await;
    let (known, records) = context
        .follower
        .read(move |history| {
            let known = history.tasks(&[task])?.into_iter().flatten().next().is_some();
            Ok((known, history.deliveries(task)?))
        })
        .await?;
    match (known, reached) {
        (true, _) => Ok(records.into_iter().map(view).collect()),
        (false, true) => Err(Problem::new(Code::NotFound, format!("there is no task {task}"))),
        (false, false) => Err(one::behind()),
    }
}

fn view(record: DeliveryRecord) -> DeliveryView {
    let (state, next_at) = match record.state {
        DeliveryState::Pending { next_at } => ("pending", Some(next_at)),
        DeliveryState::Delivered => ("delivered", None),
        DeliveryState::GivenUp => ("given_up", None),
    };
    let channel = match &record.route {
        Route::Webhook => "webhook",
        Route::Rule(name) => notify::channel(name),
    };
    DeliveryView {
        task: record.task,
        channel: channel.to_owned(),
        to: record.to.map(Into::into).unwrap_or_default(),
        event: notify::kind(record.notice).to_owned(),
        tries: record.tries.into(),
        state: state.to_owned(),
        status: record.status,
        error: record.error.map(Into::into),
        last_at: record.last_at,
        next_at,
    }
}
