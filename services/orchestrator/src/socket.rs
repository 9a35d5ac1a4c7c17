//! WebSocket over any stream, as both listeners speak it.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use conductor_protocol::limits::MAX_MESSAGE_BYTES;

/// How long a connection has for its handshake and its first message.
const OPENING_TIME: Duration = Duration::from_secs(10);
/// How long the other side has to take in why it is cut off.
const CLOSING_TIME: Duration = Duration::from_secs(1);
/// The longest reason that fits a close frame, in bytes.
const MAX_REASON: usize = 123;
/// Bytes of unsent messages that a connection may hold before writes wait.
const WRITE_BUFFER: usize = 128 << 10;
/// Bytes read at once. The buffer is cleared before every read, so that a large one costs more than the reads it saves.
const READ_BUFFER: usize = 8 << 10;

/// A stream that a connection can be made on.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// A WebSocket connection.
pub(crate) type Socket<S> = WebSocketStream<S>;

/// Why a connection ended before its time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The other side took too long.
    #[error("no opening within {} s", OPENING_TIME.as_secs())]
    Slow,
    /// The other side left.
    #[error("the connection was closed")]
    Closed,
    /// What came is not what the protocol says.
    #[error("not a message of the protocol: {0}")]
    Message(String),
    /// The connection failed.
    #[error("the connection failed")]
    Socket(#[from] Box<tungstenite::Error>),
}

impl From<tungstenite::Error> for Error {
    fn from(error: tungstenite::Error) -> Self {
        match error {
            tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => Self::Closed,
            other => Self::Socket(Box::new(other)),
        }
    }
}

/// Shakes hands and reads the first message.
pub(crate) async fn open<S: Stream, T: DeserializeOwned>(stream: S) -> Result<(Socket<S>, T), Error> {
    let opening = async {
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE_BYTES + (1 << 20)))
            .max_frame_size(Some(MAX_MESSAGE_BYTES + (1 << 20)))
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER);
        let mut socket = tokio_tungstenite::accept_async_with_config(stream, Some(config)).await?;
        let first = next_text(&mut socket).await?.ok_or(Error::Closed)?;
        match serde_json::from_str(&first) {
            Ok(first) => Ok((socket, first)),
            Err(error) => {
                let error = Error::Message(error.to_string());
                say_why(&mut socket, &error).await;
                Err(error)
            }
        }
    };
    tokio::time::timeout(OPENING_TIME, opening).await.map_err(|_| Error::Slow)?
}

/// Reads the next text message; none when the other side closed.
pub(crate) async fn next_text<S: Stream>(
    socket: &mut Socket<S>,
) -> Result<Option<tungstenite::Utf8Bytes>, Error> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Ok(Some(text)),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(_))) | None => return Ok(None),
            Some(Ok(Message::Binary(_))) => return Err(Error::Message("binary where text is due".into())),
            Some(Err(error)) => return Err(error.into()),
        }
    }
}

/// Writes a value as text, at once.
pub(crate) async fn send<S: Stream, T: Serialize>(socket: &mut Socket<S>, value: &T) -> Result<(), Error> {
    Ok(socket.send(text(value)).await?)
}

/// Tells the other side why its connection ends, when it is the one to blame.
pub(crate) async fn say_why<S: Stream>(socket: &mut Socket<S>, error: &Error) {
    let (code, reason) = match error {
        Error::Message(what) => (CloseCode::Protocol, what.clone()),
        Error::Slow => (CloseCode::Policy, error.to_string()),
        Error::Socket(inner) => match &**inner {
            tungstenite::Error::Utf8(_) => (CloseCode::Invalid, "text that is not UTF-8".to_owned()),
            tungstenite::Error::Capacity(_) => {
                (CloseCode::Size, format!("a message may have {MAX_MESSAGE_BYTES} bytes"))
            }
            _ => return,
        },
        Error::Closed => return,
    };
    let end =
        reason.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= MAX_REASON).last();
    let reason = reason[..end.unwrap_or_default()].into();
    // The other side may be gone; it is closed all the same.
    drop(tokio::time::timeout(CLOSING_TIME, socket.close(Some(CloseFrame { code, reason }))).await);
}

/// A value as a text message.
pub(crate) fn text<T: Serialize>(value: &T) -> Message {
    let json = serde_json::to_string(value).expect("a message of the protocol can be written");
    Message::text(json)
}
