//! The control listener: the API, the dashboard and the command line ask here.

mod attempt;
mod caller;
mod calls;
mod groups;
mod session;

use std::path::PathBuf;
use std::sync::Arc;

use conductor_core::{Actor, TaskId, Wall};
use conductor_protocol::control::{Opened, Opening, StatusView};
use conductor_protocol::task::TaskView;
use conductor_protocol::{Code, Problem};
use conductor_runtime::clock::Clock;
use conductor_runtime::credentials::StartKey;
use conductor_runtime::lifecycle::Shutdown;
use conductor_runtime::listen::UnixListener;
use conductor_runtime::telemetry::LokiDropped;
use conductor_store::log::EventLog;
use jiff::tz::TimeZone;
use serde_json::value::RawValue;

use crate::access::Access;
use crate::agents::Offers;
use crate::engine::Handle;
use crate::follower::Follower;
use crate::hub::Hub;
use crate::notify::Keys;
use crate::retention::Retention;
use crate::socket::{self, Stream};
use crate::submit::Defaults;
use crate::uploads::Uploads;

/// The most clients connected at once.
const MAX_CONNECTIONS: usize = 1_024;

/// What a session needs.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) engine: Handle,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) follower: Follower,
    pub(crate) key: StartKey,
    pub(crate) access: Arc<Access>,
    pub(crate) hub: Hub,
    pub(crate) offers: Offers,
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) clock: Clock,
    pub(crate) defaults: Defaults,
    pub(crate) retention: Retention,
    /// The keys that tasks name for their webhooks.
    pub(crate) keys: Keys,
    pub(crate) workspace: PathBuf,
    pub(crate) state_dir: PathBuf,
    pub(crate) logs: PathBuf,
    pub(crate) started_at: Wall,
    pub(crate) embedded: bool,
    pub(crate) loki_dropped: Option<LokiDropped>,
    /// Where the days of people begin and end.
    pub(crate) time_zone: TimeZone,
    /// The effective configuration, without secrets.
    pub(crate) effective: Box<RawValue>,
    /// Who asks when nobody is named: the owner of the socket.
    pub(crate) owner: Arc<Actor>,
}

/// Lets clients in until the end.
pub(crate) async fn listen(listener: UnixListener, context: Arc<Context>, shutdown: Shutdown) {
    crate::accept::run(&listener, MAX_CONNECTIONS, &shutdown, "control session", |stream| {
        serve(stream, context.clone(), shutdown.clone())
    })
    .await;
}

/// Bytes of a connection in process that may wait to be read.
const PIPE_BYTES: usize = 256 << 10;

/// Opens a connection without a socket.
pub(crate) fn connect(context: &Arc<Context>, shutdown: &Shutdown) -> tokio::io::DuplexStream {
    let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
    shutdown.spawn("control session", serve(ours, context.clone(), shutdown.clone()));
    theirs
}

/// One task as people read it.
pub(crate) async fn task(context: &Context, task: TaskId) -> Result<TaskView, Problem> {
    calls::task(context, task).await
}

/// Serves one connection of a client.
async fn serve<S: Stream>(stream: S, context: Arc<Context>, shutdown: Shutdown) {
    let (mut socket, opening) = match socket::open::<S, Opening>(stream).await {
        Ok(opened) => opened,
        Err(error) => return tracing::debug!(%error, "a client's connection did not open"),
    };
    if let Err(problem) = check(&opening, &context) {
        tracing::warn!(%problem, client = %opening.client, "a client was refused");
        // The other side may be gone; it is refused all the same.
        drop(socket::send(&mut socket, &Opened::Refused(problem)).await);
        return;
    }
    let welcome =
        Opened::Welcome(Box::new(calls::status(&context).await.unwrap_or_else(|_| StatusView::default())));
    let result = match socket::send(&mut socket, &welcome).await {
        Ok(()) => session::serve(&mut socket, context, &shutdown).await,
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        socket::say_why(&mut socket, &error).await;
        tracing::debug!(error = &error as &dyn std::error::Error, "a client's connection ended");
    }
}

fn check(opening: &Opening, context: &Context) -> Result<(), Problem> {
    if !context.key.matches(&opening.key) {
        return Err(Problem::new(
            Code::Unauthorized,
            "the key is not the one of this start; read it from the key file",
        ));
    }
    if opening.protocol != conductor_protocol::control::VERSION {
        let known = conductor_protocol::control::VERSION;
        let detail =
            format!("control protocol {} is not known; this orchestrator speaks {known}", opening.protocol);
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    Ok(())
}
