//! Streams: pieces that follow a request, and the answer that ends them.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use conductor_protocol::control::OutputEnd;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

use crate::connection::Piece;
use crate::control::Shared;
use crate::error::Error;

/// The most items of a stream that wait to be read.
pub(crate) const MAX_ITEMS: usize = 1_024;
/// The most chunks of a stream that wait to be read; each has at most 64 KiB.
pub(crate) const MAX_CHUNKS: usize = 64;

/// A stream that is under way. Dropped, it is ended.
#[derive(Debug)]
pub(crate) struct Stream {
    id: u64,
    shared: Arc<Shared>,
    pieces: mpsc::Receiver<Piece>,
    end: oneshot::Receiver<Result<Box<RawValue>, Error>>,
    over: bool,
}

/// What a stream brings next.
enum Next {
    Piece(Piece),
    End(Box<RawValue>),
}

impl Stream {
    pub(crate) fn new(
        id: u64,
        shared: Arc<Shared>,
        pieces: mpsc::Receiver<Piece>,
        end: oneshot::Receiver<Result<Box<RawValue>, Error>>,
    ) -> Self {
        Self { id, shared, pieces, end, over: false }
    }

    /// Cancel safe: what was not returned is returned by the next call.
    async fn next(&mut self) -> Result<Next, Error> {
        if let Some(piece) = self.pieces.recv().await {
            return Ok(Next::Piece(piece));
        }
        if self.over {
            return Err(Error::malformed("the stream is over"));
        }
        let answer = (&mut self.end).await;
        self.over = true;
        match answer {
            Ok(answer) => answer.map(Next::End),
            Err(_) => Err(self.shared.why_lost().await),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.over {
            self.shared.stop(self.id);
        }
    }
}

/// A stream of items. Dropped, it is ended.
#[derive(Debug)]
pub struct Items<T> {
    stream: Stream,
    end: Option<Box<RawValue>>,
    items: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Items<T> {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, end: None, items: PhantomData }
    }

    /// Waits for the next item; nothing when the stream has come to its end. Cancel safe.
    ///
    /// # Errors
    /// When the orchestrator refuses, the connection ends, or the stream was read too slowly.
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        if self.stream.over {
            return Ok(None);
        }
        match self.stream.next().await? {
            Next::Piece(Piece::Item(item)) => {
                serde_json::from_str(item.get()).map(Some).map_err(Error::malformed)
            }
            Next::Piece(Piece::Bytes { .. }) => Err(Error::malformed("bytes in a stream of items")),
            Next::End(answer) => {
                self.end = Some(answer);
                Ok(None)
            }
        }
    }

    /// What the orchestrator said at the end, once the stream has come to it.
    ///
    /// # Errors
    /// When it is not of the kind.
    pub fn end<E: DeserializeOwned>(&self) -> Result<Option<E>, Error> {
        self.end.as_deref().map(|end| serde_json::from_str(end.get()).map_err(Error::malformed)).transpose()
    }
}

/// Bytes of a file, and where in it they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The offset of the first byte.
    pub offset: u64,
    /// The bytes.
    pub bytes: Bytes,
}

/// A stream of bytes. Dropped, it is ended.
#[derive(Debug)]
pub struct Chunks {
    stream: Stream,
    end: Option<OutputEnd>,
}

impl Chunks {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, end: None }
    }

    /// Waits for the next bytes; nothing when the stream has come to its end. Cancel safe.
    ///
    /// # Errors
    /// When the orchestrator refuses, the connection ends, or the stream was read too slowly.
    pub async fn next(&mut self) -> Result<Option<Chunk>, Error> {
        if self.stream.over {
            return Ok(None);
        }
        match self.stream.next().await? {
            Next::Piece(Piece::Bytes { offset, bytes }) => Ok(Some(Chunk { offset, bytes })),
            Next::Piece(Piece::Item(_)) => Err(Error::malformed("an item in a stream of bytes")),
            Next::End(answer) => {
                self.end = Some(serde_json::from_str(answer.get()).map_err(Error::malformed)?);
                Ok(None)
            }
        }
    }

    /// Where the stream ended, once it has come to its end.
    #[must_use]
    pub fn end(&self) -> Option<OutputEnd> {
        self.end
    }
}
