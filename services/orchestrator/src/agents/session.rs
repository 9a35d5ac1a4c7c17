//! One agent's session.

use std::time::Duration;

use conductor_core::{AgentId, AgentSay, Lease, Reply};
use conductor_protocol::agent::{
    Answer, Answered, Assign, EndRun, FromAgent, Hello, LogPosition, RunLimit, Tell, ToAgent, Told, Welcome,
};
use conductor_protocol::limits;
use conductor_protocol::submit::{SubmitTask, Workspace};
use conductor_runtime::lifecycle::Shutdown;
use conductor_store::log::PayloadKey;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::{Context, convert};
use crate::engine::Outgoing;
use crate::socket::{self, Error, Socket, Stream};

/// Batches of effects put into one message at most.
const MAX_TOGETHER: usize = 64;

/// Serves an agent until it leaves, a newer connection takes over, or the end.
pub(super) async fn serve<S: Stream>(
    socket: &mut Socket<S>,
    hello: Hello,
    session: u64,
    context: &Context,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let agent = hello.agent_id;
    let name = hello.name.clone();
    let seen = hello.seen.clone();
    let joined = match convert::profile(&hello) {
        Ok(profile) => {
            context.offers.joined(agent, session, &hello.runners);
            context.engine.join(session, profile, hello.held, hello.credits).await
        }
        Err(problem) => Err(problem),
    };
    let joined = match joined {
        Ok(joined) => joined,
        Err(problem) => {
            tracing::warn!(agent = %name, %problem, "an agent was refused");
            context.offers.left(agent, session);
            return socket::send(socket, &Answer::Refused(problem)).await;
        }
    };
    if let Some(seen) = &seen {
        warn_if_behind(seen, &name, context);
    }
    let (stale, draining) = match joined.applied.reply {
        Reply::Welcome { stale, draining, replaced } => {
            tracing::info!(agent = %name, session, replaced = replaced.is_some(), "an agent connected");
            (stale, draining)
        }
        _ => (Vec::new(), false),
    };
    let welcome = welcome(context, stale, draining);
    let result = match socket::send(socket, &Answer::Welcome(welcome)).await {
        Ok(()) => converse(socket, agent, session, joined.outgoing, context, shutdown).await,
        Err(error) => Err(error),
    };
    tracing::info!(agent = %name, session, "an agent's connection ended");
    context.offers.left(agent, session);
    // When the engine is gone there is nobody to tell.
    drop(context.engine.agent(agent, session, vec![AgentSay::Gone]).await);
    result
}

/// Says so when an agent saw more of this log than there is: it was replaced by an older one.
fn warn_if_behind(seen: &LogPosition, agent: &str, context: &Context) {
    let status = context.log.status();
    if let Some(restored) = context.restored.as_ref().filter(|restored| restored.log == seen.id)
        && seen.seq > restored.seq
    {
        tracing::error!(
            agent,
            seen = seen.seq,
            restored = restored.seq,
            "an agent saw more of the event log than the backup held that this one was restored from: what came after it \
             is lost"
        );
    }
    if seen.id == crate::log_id_text(status.log) && seen.seq > status.last.0 {
        tracing::error!(
            agent,
            seen = seen.seq,
            last = %status.last,
            "the event log is behind what an agent saw: it was replaced by an older one, and what it lacks is lost"
        );
    }
}

fn welcome(context: &Context, stale: Vec<Lease>, draining: bool) -> Welcome {
    let status = context.log.status();
    Welcome {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        heartbeat_seconds: context.heartbeat_seconds,
        lease_seconds: context.lease_seconds,
        stale,
        draining,
        workspace: context.workspace.display().to_string(),
        log: LogPosition { id: crate::log_id_text(status.log), seq: status.last.0 },
    }
}

/// Reads and writes side by side, so that neither side can hold up the other.
async fn converse<S: Stream>(
    socket: &mut Socket<S>,
    agent: AgentId,
    session: u64,
    outgoing: mpsc::Receiver<Vec<Outgoing>>,
    context: &Context,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let (sink, stream) = socket.split();
    tokio::select! {
        result = listen(stream, agent, session, context) => result,
        result = speak(sink, outgoing, context) => result,
        () = shutdown.draining() => Ok(()),
    }
}

async fn listen<S: Stream>(
    mut stream: SplitStream<&mut Socket<S>>,
    agent: AgentId,
    session: u64,
    context: &Context,
) -> Result<(), Error> {
    let silence = Duration::from_secs(context.lease_seconds);
    loop {
        let Ok(message) = tokio::time::timeout(silence, stream.next()).await else {
            return Err(Error::Message(format!("silent for {} s", silence.as_secs())));
        };
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            Some(Ok(Message::Binary(_))) => return Err(Error::Message("binary on a session".into())),
            Some(Ok(Message::Close(_))) | None => return Ok(()),
            Some(Err(error)) => return Err(error.into()),
        };
        let said: FromAgent =
            serde_json::from_str(&text).map_err(|error| Error::Message(error.to_string()))?;
        let says = says(said, context)?;
        if context.engine.agent(agent, session, says).await.is_err() {
            return Ok(());
        }
    }
}

/// What an agent's message says, in the order in which it must be taken: what is over before what can be taken on.
fn says(said: FromAgent, context: &Context) -> Result<Vec<AgentSay>, Error> {
    let longest = said
        .started
        .len()
        .max(said.finished.len())
        .max(said.asked.len())
        .max(said.withdrawn.len())
        .max(said.output.len())
        .max(said.spent.len());
    if longest > limits::MAX_AGENT_LIST {
        return Err(Error::Message("a list is too long".into()));
    }
    for output in said.output {
        context.hub.grew(output.lease, output.bytes);
    }
    let mut says = Vec::with_capacity(3 + said.started.len() + said.finished.len() + said.asked.len());
    // First, so that what it gives back does not come to it again.
    if said.draining {
        says.push(AgentSay::Draining);
    }
    says.extend(said.disk_full.map(AgentSay::DiskFull));
    says.extend(said.started.iter().map(|started| AgentSay::Started(started.lease)));
    says.extend(said.spent.iter().map(convert::spent));
    // Before what is asked next.
    says.extend(said.withdrawn.iter().map(convert::withdrawn));
    says.extend(said.asked.iter().map(convert::asked));
    says.extend(said.finished.iter().filter_map(convert::took));
    says.extend(said.finished.into_iter().map(convert::finished));
    if !said.runners.is_empty() {
        let (offers, lanes) = convert::offers(&said.runners, "/runners")
            .map_err(|problem| Error::Message(problem.to_string()))?;
        says.extend([AgentSay::Offers(offers), AgentSay::Lanes(lanes)]);
    }
    if said.credits > 0 {
        says.push(AgentSay::Credits(said.credits));
    }
    if says.is_empty() {
        says.push(AgentSay::Heartbeat);
    }
    Ok(says)
}

async fn speak<S: Stream>(
    mut sink: SplitSink<&mut Socket<S>, Message>,
    mut outgoing: mpsc::Receiver<Vec<Outgoing>>,
    context: &Context,
) -> Result<(), Error> {
    let mut together = Vec::new();
    loop {
        if outgoing.recv_many(&mut together, MAX_TOGETHER).await == 0 {
            // The other side may be gone already.
            let _ = sink.send(Message::Close(None)).await;
            return Ok(());
        }
        let effects: Vec<Outgoing> = together.drain(..).flatten().collect();
        let message = message(effects, context).await?;
        sink.send(socket::text(&message)).await?;
        if message.revoked {
            return Ok(());
        }
    }
}

/// Puts effects into one message. Bodies that are not at hand are read from the log.
async fn message(effects: Vec<Outgoing>, context: &Context) -> Result<ToAgent, Error> {
    let missing: Vec<PayloadKey> = effects
        .iter()
        .filter_map(|effect| match effect {
            Outgoing::Assign { task, body: None, .. } => Some(PayloadKey::from(*task)),
            _ => None,
        })
        .collect();
    let mut read = read_bodies(missing, context).await?.into_iter();
    let mut message = ToAgent::default();
    for effect in effects {
        match effect {
            Outgoing::Assign { task, lease, attempt, runner, group, timeout_ms, after, limit, body } => {
                let body = match &body {
                    Some(body) => raw(body.bytes()),
                    None => raw(read.next().flatten().as_deref().unwrap_or(b"{}")),
                };
                let body = body.map_err(|error| Error::Message(format!("the body of {task}: {error}")))?;
                let starts_from = starts_from(&body);
                let uploads = match uploads_of(&body) {
                    ids if ids.is_empty() => Vec::new(),
                    ids => context.uploads.assigned(ids).await,
                };
                let token = may_submit(&body).then(|| context.attempts.token(task, lease));
                message.assign.push(Assign {
                    task,
                    lease,
                    attempt,
                    runner: runner.to_string(),
                    group: group.to_string(),
                    timeout_ms,
                    after: after.map(convert::after),
                    starts_from,
                    uploads,
                    token,
                    limit: convert::limit(limit),
                    body,
                });
                context.hub.assigned(lease, task, attempt);
            }
            Outgoing::Acknowledge(lease) => message.acknowledged.push(lease),
            Outgoing::EndRun { lease, revoked } => message.end.push(EndRun { lease, revoked }),
            Outgoing::Answer { lease, request_id, answer_json } => match serde_json::from_str(&answer_json) {
                Ok(answer) => message.answers.push(Answered { lease, request_id, answer }),
                Err(error) => tracing::error!(%lease, %error, "a stored answer cannot be read"),
            },
            Outgoing::Tell { lease, message: told } => {
                let told = Told { id: told.id, text: told.text.into() };
                message.tell.push(Tell { lease, message: told });
            }
            Outgoing::Below(below) => message.below.push(below),
            Outgoing::SetLimit { lease, limit } => {
                message.limits.push(RunLimit { lease, limit: convert::limit(limit) });
            }
            Outgoing::Drain(draining) => message.drain = Some(draining),
            Outgoing::Revoked => message.revoked = true,
        }
    }
    Ok(message)
}

async fn read_bodies(keys: Vec<PayloadKey>, context: &Context) -> Result<Vec<Option<Vec<u8>>>, Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let log = context.log.clone();
    let read = tokio::task::spawn_blocking(move || log.payloads(&keys)).await;
    match read {
        Ok(Ok(bodies)) => Ok(bodies),
        Ok(Err(error)) => {
            tracing::error!(error = &error as &dyn std::error::Error, "failed to read the bodies of tasks");
            Err(Error::Message("the bodies of tasks cannot be read".into()))
        }
        Err(_) => Err(Error::Message("the reading of bodies panicked".into())),
    }
}

fn raw(bytes: &[u8]) -> Result<Box<RawValue>, serde_json::Error> {
    serde_json::from_slice(bytes)
}

/// The task whose work a body starts from. Most bodies do not, and are not read for it.
fn starts_from(body: &RawValue) -> Option<conductor_core::TaskId> {
    if !body.get().contains("\"continue\"") && !body.get().contains("\"push\"") {
        return None;
    }
    match SubmitTask::parse(body.get(), "").ok()?.workspace? {
        Workspace::Continue(id) | Workspace::Push(id) => id.parse().ok(),
        Workspace::Git(_) | Workspace::Copy(_) => None,
    }
}

/// Whether a body lets its task submit. Most bodies do not, and are not read for it.
fn may_submit(body: &RawValue) -> bool {
    body.get().contains("\"may_submit\"")
        && SubmitTask::parse(body.get(), "").is_ok_and(|task| task.may_submit)
}

/// The uploads that a body's files name. Most bodies name none, and are not read for it.
fn uploads_of(body: &RawValue) -> Vec<uuid::Uuid> {
    if !body.get().contains("\"upload\"") {
        return Vec::new();
    }
    let Ok(task) = SubmitTask::parse(body.get(), "") else { return Vec::new() };
    task.files.iter().filter_map(|file| file.upload.as_ref()?.parse().ok()).collect()
}
