//! Output that crosses the wire: for an agent whose run folders the orchestrator does not see.
//!
//! A connection of its own carries `output.log` of every run as it grows, a part at a time in turn, never more than the
//! orchestrator has granted. What was granted back was taken; what was not is sent again on the next connection. A
//! result is reported after its output was taken, because afterwards its lease is gone and its output would be refused.

mod tails;

use std::path::PathBuf;
use std::time::Duration;

use conductor_core::{AgentId, InstanceId, Lease};
use conductor_protocol::agent::{Answer, Opening, OutputHello, ToAgent, VERSION};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::runner::Progress;
use crate::session::{Backoff, Error, Target, wire};
use tails::Tails;

/// How often outputs are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long the orchestrator may take to say that it has taken the last of an output.
const PATIENCE: Duration = Duration::from_secs(5);

/// An output to send.
#[derive(Debug)]
pub struct Source {
    /// Under which lease it is written.
    pub lease: Lease,
    /// In which attempt.
    pub attempt: u32,
    /// Where it is.
    pub path: PathBuf,
    /// How long it is by now.
    pub progress: watch::Receiver<Progress>,
}

/// What the worker asks for.
#[derive(Debug)]
pub enum Order {
    /// Send an output as it grows.
    Follow(Source),
    /// The output has its whole length; say when all of it was taken.
    Finish {
        /// Its lease.
        lease: Lease,
        /// Its length.
        bytes: u64,
    },
    /// Nobody wants the output any more.
    Forget(Lease),
}

/// Who sends.
#[derive(Debug, Clone)]
pub struct Sender {
    /// Where to.
    pub target: Target,
    /// The agent.
    pub agent_id: AgentId,
    /// Its worker.
    pub instance: InstanceId,
}

type Socket = WebSocketStream<UnixStream>;

/// Sends outputs until nobody gives orders; says which were taken whole. No more orders wait than three for each slot.
pub async fn run(sender: Sender, mut orders: mpsc::UnboundedReceiver<Order>, taken: mpsc::Sender<Lease>) {
    let mut tails = Tails::default();
    let mut backoff = Backoff::new();
    loop {
        while tails.is_empty() {
            match orders.recv().await {
                Some(order) => tails.order(order),
                None => return,
            }
        }
        let error = match connect(&sender).await {
            Ok((socket, grant)) => {
                backoff.reset();
                tails.begin(grant);
                match send(socket, &mut tails, &mut orders, &taken).await {
                    Ok(()) => return,
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        tracing::debug!(error = error.chain(), "no output connection; trying again");
        let until = Instant::now() + backoff.next();
        // Nothing is lost by waiting: the output is on disk.
        while let Ok(order) = tokio::time::timeout_at(until, orders.recv()).await {
            match order {
                Some(order) => tails.order(order),
                None => return,
            }
        }
    }
}

async fn connect(sender: &Sender) -> Result<(Socket, u64), Error> {
    let stream = sender.target.connect().await.map_err(Error::Connect)?;
    let mut socket = wire::upgrade(stream).await?;
    let hello = OutputHello {
        protocol: VERSION,
        key: sender.target.key()?,
        agent_id: sender.agent_id,
        instance: sender.instance,
    };
    match wire::open(&mut socket, &Opening::Output(hello)).await? {
        Answer::OutputReady { grant } => Ok((socket, grant)),
        Answer::Refused(problem) => Err(Error::Refused(problem)),
        Answer::Welcome(_) => Err(Error::Closed),
    }
}

/// Sends on one connection until it breaks, or until nobody gives orders.
async fn send(
    mut socket: Socket,
    tails: &mut Tails,
    orders: &mut mpsc::UnboundedReceiver<Order>,
    taken: &mpsc::Sender<Lease>,
) -> Result<(), Error> {
    loop {
        while let Some(frame) = tails.next_frame() {
            socket.feed(Message::binary(frame)).await?;
        }
        socket.flush().await?;
        for lease in tails.finished(Instant::now(), PATIENCE) {
            if taken.send(lease).await.is_err() {
                return Ok(());
            }
        }
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => tails.order(order),
                None => return Ok(()),
            },
            message = socket.next() => {
                let message = message.ok_or(Error::Closed)??;
                if let Some(ToAgent { grant: Some(bytes), .. }) = wire::read(&message)? {
                    tails.grant(bytes);
                }
            }
            () = tokio::time::sleep(LOOK), if !tails.is_empty() => {}
        }
    }
}
