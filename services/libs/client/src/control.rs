//! A connection to an orchestrator, as its callers hold it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use conductor_protocol::control::{ActorView, Call, Opened, Opening, StatusView, VERSION};
use conductor_protocol::limits::MAX_MESSAGE_BYTES;
use conductor_protocol::{Code, Problem};
use futures_util::{SinkExt, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message, protocol::WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::connection::{Ask, Connection, Reply, stop_text};
use crate::error::Error;
use crate::remote::refused;
use crate::stream::Stream;

/// The most requests that wait to be written on one connection; callers beyond wait.
const MAX_QUEUED: usize = 1_024;
/// What an answer may have beyond the longest message: its envelope.
const ENVELOPE_BYTES: usize = 64 << 10;

/// How a connection behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program and its version, for the orchestrator's logs.
    pub client: String,
    /// On whose behalf requests are made; the owner of the socket when none is given.
    pub actor: Option<ActorView>,
    /// What happens to a stream that is not read as fast as it comes.
    pub when_full: WhenFull,
}

/// What happens to a stream that is not read as fast as it comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// It ends with [`Error::Slow`]; nothing else on the connection is held up. It can be asked for again from where it
    /// ended. For connections that many share.
    #[default]
    End,
    /// The whole connection waits until it is read. For a connection with one stream, whose pace then reaches back to
    /// the orchestrator.
    Wait,
}

impl Options {
    /// The options of a program that acts for the owner of the socket.
    pub fn new(client: impl Into<String>) -> Self {
        Self { client: client.into(), actor: None, when_full: WhenFull::End }
    }

    /// The same, on behalf of `actor`.
    #[must_use]
    pub fn on_behalf_of(mut self, actor: ActorView) -> Self {
        self.actor = Some(actor);
        self
    }

    /// The same, with another way with slow readers.
    #[must_use]
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }
}

/// A request as [`conductor_protocol::control::Request`] reads it.
#[derive(Serialize)]
struct Request<'a> {
    id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a ActorView>,
    call: &'a Call,
}

/// A connection to an orchestrator. Clones share it; it ends when the last of them and the last stream are dropped.
#[derive(Debug, Clone)]
pub struct Control {
    shared: Arc<Shared>,
    actor: Option<ActorView>,
}

/// What all clones and streams of one connection share.
#[derive(Debug)]
pub(crate) struct Shared {
    asks: mpsc::Sender<Ask>,
    next_id: AtomicU64,
    /// Why the connection ended, once it has.
    ended: watch::Receiver<Option<Error>>,
    welcome: StatusView,
    task: AbortHandle,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Control {
    /// Opens a connection over anything that carries bytes both ways. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the orchestrator refuses or does not speak the protocol.
    pub async fn over<S>(stream: S, key: &str, options: Options) -> Result<Self, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Self::with_request("ws://conductor/control", stream, key, options).await
    }

    /// The same with a request of the caller's.
    pub(crate) async fn with_request<S>(
        request: impl IntoClientRequest + Unpin,
        stream: S,
        key: &str,
        options: Options,
    ) -> Result<Self, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (socket, welcome) = shake(request, stream, key, &options.client).await?;
        let (asks, queue) = mpsc::channel(MAX_QUEUED);
        let (ended, has_ended) = watch::channel(None);
        let connection = Connection::new(socket, queue, options.when_full);
        // The handles own the task: it is aborted with the last of them.
        let task = tokio::spawn(async move {
            ended.send_replace(Some(connection.run().await));
        });
        let shared =
            Shared { asks, next_id: AtomicU64::new(1), ended: has_ended, welcome, task: task.abort_handle() };
        Ok(Self { shared: Arc::new(shared), actor: options.actor })
    }

    /// The same connection, on behalf of another.
    #[must_use]
    pub fn on_behalf_of(&self, actor: ActorView) -> Self {
        Self { shared: Arc::clone(&self.shared), actor: Some(actor) }
    }

    /// What the orchestrator said of itself when the connection was opened.
    #[must_use]
    pub fn welcome(&self) -> &StatusView {
        &self.shared.welcome
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.shared.ended.borrow().is_some()
    }

    /// Waits for the connection to end and says why it did.
    pub async fn lost(&self) -> Error {
        self.shared.why_lost().await
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// When the orchestrator refuses or the connection ends first.
    pub async fn call(&self, call: Call) -> Result<Box<RawValue>, Error> {
        self.send(&call).await
    }

    async fn send(&self, call: &Call) -> Result<Box<RawValue>, Error> {
        let id = self.shared.next_id();
        let text = self.encode(id, call)?;
        let (reply, answer) = oneshot::channel();
        self.shared.ask(Ask { id, text, reply: Reply::Answer(reply) }).await?;
        match answer.await {
            Ok(answer) => answer,
            Err(_) => Err(self.shared.why_lost().await),
        }
    }

    /// Asks and reads the answer.
    ///
    /// # Errors
    /// As [`Control::call`], and when the answer is not of the kind.
    pub async fn ask<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        self.ask_by(&call).await
    }

    /// Asks for something that is still needed afterwards, and reads the answer.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn ask_by<T: DeserializeOwned>(&self, call: &Call) -> Result<T, Error> {
        let answer = self.send(call).await?;
        serde_json::from_str(answer.get()).map_err(Error::malformed)
    }

    /// Asks for a stream that holds up to `room` pieces that were not read yet.
    pub(crate) async fn stream(&self, call: Call, room: usize) -> Result<Stream, Error> {
        let id = self.shared.next_id();
        let text = self.encode(id, &call)?;
        let (pieces, read) = mpsc::channel(room);
        let (end, ended) = oneshot::channel();
        self.shared.ask(Ask { id, text, reply: Reply::Stream { pieces, end } }).await?;
        Ok(Stream::new(id, Arc::clone(&self.shared), read, ended))
    }

    fn encode(&self, id: u64, call: &Call) -> Result<String, Error> {
        let request = Request { id, actor: self.actor.as_ref(), call };
        let text = serde_json::to_string(&request).map_err(Error::malformed)?;
        if text.len() > MAX_MESSAGE_BYTES {
            let detail = format!("the request has {} bytes, at most {MAX_MESSAGE_BYTES}", text.len());
            return Err(Error::Refused(Problem::new(Code::PayloadTooLarge, detail)));
        }
        Ok(text)
    }
}

impl Shared {
    fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    async fn ask(&self, ask: Ask) -> Result<(), Error> {
        match self.asks.send(ask).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.why_lost().await),
        }
    }

    /// Ends a stream that nobody reads any more. A full queue leaves that to the stream's next piece.
    pub(crate) fn stop(&self, stream: u64) {
        let id = self.next_id();
        if let Ok(text) = stop_text(id, stream) {
            let _full_or_lost = self.asks.try_send(Ask { id, text, reply: Reply::Nobody });
        }
    }

    pub(crate) async fn why_lost(&self) -> Error {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(error) => error.clone().unwrap_or_else(|| Error::lost("it ended")),
            Err(_) => Error::lost("it was closed here"),
        }
    }
}

/// Opens a WebSocket over a stream and the protocol in it.
pub(crate) async fn shake<S>(
    request: impl IntoClientRequest + Unpin,
    stream: S,
    key: &str,
    client: &str,
) -> Result<(WebSocketStream<S>, StatusView), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let longest = Some(MAX_MESSAGE_BYTES + ENVELOPE_BYTES);
    let config = WebSocketConfig::default().max_message_size(longest).max_frame_size(longest);
    let shaken = client_async_with_config(request, stream, Some(config)).await;
    let (mut socket, _) = shaken.map_err(|error| match error {
        tungstenite::Error::Http(answer) => {
            refused(answer.status(), answer.body().as_deref().unwrap_or_default())
        }
        other => Error::lost(format!("no WebSocket: {other}")),
    })?;
    let welcome = open(&mut socket, key, client).await?;
    Ok((socket, welcome))
}

/// Says the key and hears whether it opens.
async fn open<S>(socket: &mut WebSocketStream<S>, key: &str, client: &str) -> Result<StatusView, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let opening = Opening { protocol: VERSION, key: key.to_owned(), client: client.to_owned() };
    let text = serde_json::to_string(&opening).map_err(Error::malformed)?;
    socket.send(Message::text(text)).await.map_err(|error| Error::lost(error.to_string()))?;
    loop {
        let message = match socket.next().await {
            Some(message) => message.map_err(|error| Error::lost(error.to_string()))?,
            None => return Err(Error::lost("it ended before the orchestrator answered")),
        };
        match message {
            Message::Text(text) => {
                return match serde_json::from_str(&text).map_err(Error::malformed)? {
                    Opened::Welcome(status) => Ok(*status),
                    Opened::Refused(problem) => Err(Error::Refused(problem)),
                };
            }
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Binary(_) | Message::Close(_) | Message::Frame(_) => {
                return Err(Error::lost("the orchestrator closed it before it answered"));
            }
        }
    }
}
