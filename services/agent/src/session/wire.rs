//! Messages over a WebSocket: JSON text, one after the other.

use std::time::Duration;

use conductor_protocol::agent::{Answer, Opening};
use conductor_protocol::limits::MAX_AGENT_MESSAGE_BYTES;
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::Error;

/// How long the orchestrator may take to answer an opening.
const OPENING_TIMEOUT: Duration = Duration::from_secs(10);
const BUFFER_BYTES: usize = 32 << 10;

/// Makes a WebSocket of a byte stream.
pub(crate) async fn upgrade<S>(stream: S) -> Result<WebSocketStream<S>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limits = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(2 * MAX_AGENT_MESSAGE_BYTES)
        .max_message_size(Some(MAX_AGENT_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_AGENT_MESSAGE_BYTES));
    let upgrade = tokio_tungstenite::client_async_with_config("ws://conductor/agent", stream, Some(limits));
    let (socket, _) = in_time(upgrade).await??;
    Ok(socket)
}

/// Says what the connection is for and waits for the answer.
pub(crate) async fn open<S>(socket: &mut WebSocketStream<S>, opening: &Opening) -> Result<Answer, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    in_time(async {
        socket.send(text(opening)).await?;
        loop {
            let message = socket.next().await.ok_or(Error::Closed)??;
            if let Some(answer) = read(&message)? {
                return Ok(answer);
            }
        }
    })
    .await?
}

async fn in_time<T>(future: impl Future<Output = T>) -> Result<T, Error> {
    tokio::time::timeout(OPENING_TIMEOUT, future).await.map_err(|_| Error::NoAnswer(OPENING_TIMEOUT))
}

/// Writes a message.
pub(crate) fn text<T: Serialize>(message: &T) -> Message {
    Message::text(serde_json::to_string(message).expect("wire types have string keys alone"))
}

/// Reads a message; none when it is not for us but for the WebSocket.
pub(crate) fn read<T: DeserializeOwned>(message: &Message) -> Result<Option<T>, Error> {
    match message {
        Message::Text(text) => serde_json::from_str(text).map(Some).map_err(Error::NotUnderstood),
        Message::Close(_) => Err(Error::Closed),
        Message::Binary(_) => Err(Error::Binary),
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(None),
    }
}
