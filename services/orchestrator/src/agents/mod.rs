//! The agent listener: agents connect, say what they are, get tasks and report.

mod convert;
mod offers;
mod output;
mod session;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use conductor_protocol::agent::{Answer, Opening};
use conductor_protocol::{Code, Problem};
use conductor_runtime::credentials::StartKey;
use conductor_runtime::lifecycle::Shutdown;
use conductor_runtime::listen::UnixListener;
use conductor_store::copy::Restored;
use conductor_store::log::EventLog;

use crate::access::AttemptTokens;
use crate::engine::Handle;
use crate::hub::Hub;
use crate::socket::{self, Stream};
use crate::uploads::Uploads;

pub(crate) use offers::Offers;

/// The most agents connected at once, with their output connections.
const MAX_CONNECTIONS: usize = 4_096;

/// What sessions share.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) engine: Handle,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) key: StartKey,
    pub(crate) hub: Hub,
    pub(crate) offers: Offers,
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) workspace: PathBuf,
    pub(crate) heartbeat_seconds: u64,
    pub(crate) lease_seconds: u64,
    /// The log that this one was restored from.
    pub(crate) restored: Option<Restored>,
    /// Makes the tokens of tasks that may submit.
    pub(crate) attempts: Arc<AttemptTokens>,
}

/// What a session needs.
#[derive(Debug)]
pub(crate) struct Context {
    parts: Parts,
    /// Numbers the sessions, so that an older one is told from a newer one.
    sessions: AtomicU64,
}

impl Context {
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts, sessions: AtomicU64::new(0) }
    }
}

impl std::ops::Deref for Context {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// Lets agents in until the end.
pub(crate) async fn listen(listener: UnixListener, context: Arc<Context>, shutdown: Shutdown) {
    crate::accept::run(&listener, MAX_CONNECTIONS, &shutdown, "agent session", |stream| {
        serve(stream, context.clone(), shutdown.clone())
    })
    .await;
}

/// Serves one connection of an agent.
async fn serve<S: Stream>(stream: S, context: Arc<Context>, shutdown: Shutdown) {
    let (mut socket, opening) = match socket::open::<S, Opening>(stream).await {
        Ok(opened) => opened,
        Err(error) => return tracing::debug!(%error, "an agent's connection did not open"),
    };
    let (protocol, key) = match &opening {
        Opening::Hello(hello) => (hello.protocol, &hello.key),
        Opening::Output(output) => (output.protocol, &output.key),
    };
    if let Err(problem) = check(protocol, key, &context.key) {
        tracing::warn!(%problem, "an agent was refused");
        // The other side may be gone; it is refused all the same.
        drop(socket::send(&mut socket, &Answer::Refused(problem)).await);
        return;
    }
    let result = match opening {
        Opening::Hello(hello) => {
            let session = context.sessions.fetch_add(1, Ordering::Relaxed) + 1;
            session::serve(&mut socket, *hello, session, &context, &shutdown).await
        }
        Opening::Output(output) => output::serve(&mut socket, output, &context, &shutdown).await,
    };
    if let Err(error) = result {
        socket::say_why(&mut socket, &error).await;
        tracing::debug!(error = &error as &dyn std::error::Error, "an agent's connection ended");
    }
}

fn check(protocol: u32, key: &str, expected: &StartKey) -> Result<(), Problem> {
    if !expected.matches(key) {
        return Err(Problem::new(
            Code::Unauthorized,
            "the key is not the one of this start; read it from the key file",
        ));
    }
    if protocol != conductor_protocol::agent::VERSION {
        let known = conductor_protocol::agent::VERSION;
        return Err(Problem::new(
            Code::InvalidRequest,
            format!("protocol {protocol} is not known; this is {known}"),
        ));
    }
    Ok(())
}
