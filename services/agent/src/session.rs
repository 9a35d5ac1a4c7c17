//! The session with the orchestrator: connecting, opening, talking, and all of it again when the connection breaks.
//!
//! The session knows nothing of tasks. The worker tells it what to say in a hello and gets what the orchestrator says
//! as [`Event`]s; every connection has a channel of its own for what the worker says, so nothing that was meant for
//! one connection is said on the next.

mod backoff;
mod talk;
mod target;
pub(crate) mod wire;

use std::time::Duration;

use conductor_protocol::Problem;
use conductor_protocol::agent::{Answer, FromAgent, Hello, Opening, ToAgent, Welcome};
use conductor_runtime::credentials;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite;

pub(crate) use backoff::Backoff;
pub use target::{ParseError, Target};

/// How many messages may wait for the socket; the worker gathers what it has to say until one can go.
const MAX_WAITING: usize = 2;
/// How often a waiting session looks whether another orchestrator has come.
const LOOK: Duration = Duration::from_millis(50);

/// What a session tells the worker.
#[derive(Debug)]
pub enum Event {
    /// A connection is there: what does the agent say of itself? Whatever was granted before is void.
    Opening(oneshot::Sender<Box<Hello>>),
    /// The orchestrator let the agent in. It listens until this sender is dropped.
    Welcomed(Box<Welcome>, mpsc::Sender<FromAgent>),
    /// The orchestrator says something.
    Said(Box<ToAgent>),
    /// The orchestrator does not let the agent in.
    Refused(Problem),
    /// The connection is gone.
    Lost,
}

/// Why a connection could not be had or did not last.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("nothing listens there")]
    Connect(#[source] std::io::Error),
    #[error(transparent)]
    Key(#[from] credentials::Error),
    #[error("the connection broke")]
    Socket(#[from] tungstenite::Error),
    #[error("the orchestrator closed the connection")]
    Closed,
    #[error("the orchestrator did not answer within {0:?}")]
    NoAnswer(Duration),
    #[error("the orchestrator was not heard for {0:?}")]
    Silent(Duration),
    #[error("the orchestrator sent what this release does not understand")]
    NotUnderstood(#[source] serde_json::Error),
    #[error("the orchestrator sent bytes where only text may be")]
    Binary,
    #[error("the orchestrator refused: {0}")]
    Refused(Problem),
    #[error("the worker hung up")]
    HungUp,
}

/// Keeps a session with `target` for as long as somebody takes its events.
pub async fn run(target: Target, events: mpsc::Sender<Event>) {
    let mut backoff = Backoff::new();
    let mut absent = false;
    while !events.is_closed() {
        let stamp = target.stamp();
        let error = match connect(&target, &events).await {
            Ok((socket, welcome, outgoing)) => {
                backoff.reset();
                absent = false;
                tracing::info!(socket = %target, orchestrator = welcome.version, "connected");
                let heartbeat = Duration::from_secs(welcome.heartbeat_seconds.max(1));
                let (sender, receiver) = outgoing;
                if events.send(Event::Welcomed(welcome, sender)).await.is_err() {
                    return;
                }
                let error = talk::talk(socket, heartbeat, receiver, &events).await;
                if events.send(Event::Lost).await.is_err() {
                    return;
                }
                error
            }
            Err(error) => error,
        };
        if let Error::Refused(problem) = &error
            && events.send(Event::Refused(problem.clone())).await.is_err()
        {
            return;
        }
        if !absent {
            tracing::warn!(socket = %target, error = error.chain(), "no session with the orchestrator; trying again");
        } else {
            tracing::debug!(socket = %target, error = error.chain(), "still no session");
        }
        absent = true;
        wait(&target, stamp, backoff.next(), &events).await;
    }
}

type Connection = (
    tokio_tungstenite::WebSocketStream<tokio::net::UnixStream>,
    Box<Welcome>,
    (mpsc::Sender<FromAgent>, mpsc::Receiver<FromAgent>),
);

async fn connect(target: &Target, events: &mpsc::Sender<Event>) -> Result<Connection, Error> {
    let stream = target.connect().await.map_err(Error::Connect)?;
    let mut socket = wire::upgrade(stream).await?;
    let key = target.key()?;
    let (reply, hello) = oneshot::channel();
    events.send(Event::Opening(reply)).await.map_err(|_| Error::HungUp)?;
    let mut hello = hello.await.map_err(|_| Error::HungUp)?;
    hello.key = key;
    match wire::open(&mut socket, &Opening::Hello(hello)).await? {
        Answer::Welcome(welcome) => Ok((socket, Box::new(welcome), mpsc::channel(MAX_WAITING))),
        Answer::Refused(problem) => Err(Error::Refused(problem)),
        Answer::OutputReady { .. } => Err(Error::Closed),
    }
}

/// Waits before the next try, shorter when another orchestrator appears at the address.
async fn wait(target: &Target, stamp: target::Stamp, time: Duration, events: &mpsc::Sender<Event>) {
    let until = Instant::now() + time;
    while Instant::now() < until && target.stamp() == stamp {
        tokio::select! {
            () = events.closed() => return,
            () = tokio::time::sleep_until(until.min(Instant::now() + LOOK)) => {}
        }
    }
}

impl Error {
    /// The error with its sources in one line.
    pub(crate) fn chain(&self) -> String {
        use std::error::Error as _;
        let sources = std::iter::successors(self.source(), |&error| error.source());
        sources.fold(self.to_string(), |text, source| format!("{text}: {source}"))
    }
}
