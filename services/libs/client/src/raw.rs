//! A connection whose messages are passed on and not read.

use bytes::Bytes;
use conductor_protocol::control::StatusView;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::UnixStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::control::shake;
use crate::error::Error;

/// A connection whose messages are passed on.
#[derive(Debug)]
pub struct Raw(WebSocketStream<UnixStream>);

/// The half of it that is written to.
#[derive(Debug)]
pub struct RawWriter(SplitSink<WebSocketStream<UnixStream>, Message>);

/// The half of it that is read.
#[derive(Debug)]
pub struct RawReader(SplitStream<WebSocketStream<UnixStream>>);

/// A message of the control protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawMessage {
    /// JSON.
    Text(String),
    /// Bytes of a file.
    Bytes(Bytes),
}

impl Raw {
    pub(crate) async fn over(
        stream: UnixStream,
        key: &str,
        client: &str,
    ) -> Result<(Self, StatusView), Error> {
        let (socket, welcome) = shake("ws://conductor/control", stream, key, client).await?;
        Ok((Self(socket), welcome))
    }

    /// Parts it, so that neither direction waits for the other.
    #[must_use]
    pub fn split(self) -> (RawWriter, RawReader) {
        let (sink, stream) = self.0.split();
        (RawWriter(sink), RawReader(stream))
    }
}

impl RawWriter {
    /// Sends a message, and waits until there is room for it.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn send(&mut self, text: String) -> Result<(), Error> {
        self.0.send(Message::text(text)).await.map_err(|error| Error::lost(error.to_string()))
    }
}

impl RawReader {
    /// Waits for the next message; nothing when the connection has ended.
    pub async fn next(&mut self) -> Option<RawMessage> {
        loop {
            match self.0.next().await?.ok()? {
                Message::Text(text) => return Some(RawMessage::Text(text.to_string())),
                Message::Binary(bytes) => return Some(RawMessage::Bytes(bytes)),
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Close(_) | Message::Frame(_) => return None,
            }
        }
    }
}
