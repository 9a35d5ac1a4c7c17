//! The task behind a connection: it alone reads and writes the socket.
//!
//! Reading and writing are polled together, so that neither ever waits for the other: a peer that writes before it reads
//! cannot bring this side to a stand. Requests that wait together are written together.

use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use conductor_protocol::control::{Call, Request, Response, ResponseBody, StopStream};
use conductor_protocol::frame::ChunkFrame;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::error::{SendError, TrySendError};
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::sync::oneshot;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::control::WhenFull;
use crate::error::Error;

/// The most requests under way on one connection; callers beyond wait.
const MAX_UNDER_WAY: usize = 4_096;
/// Requests of the connection itself have ids from here on; those of its callers count from 1.
const FIRST_STOP_ID: u64 = 1 << 62;
/// What precedes the bytes in a chunk: the request's id and the offset.
const CHUNK_HEAD_BYTES: usize = 16;

/// A request to write.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) id: u64,
    pub(crate) text: String,
    pub(crate) reply: Reply,
}

/// Who waits for what comes back.
#[derive(Debug)]
pub(crate) enum Reply {
    /// One answer.
    Answer(oneshot::Sender<Result<Box<RawValue>, Error>>),
    /// Pieces, and then an answer.
    Stream { pieces: mpsc::Sender<Piece>, end: oneshot::Sender<Result<Box<RawValue>, Error>> },
    /// Nobody.
    Nobody,
}

/// A part of a stream.
#[derive(Debug)]
pub(crate) enum Piece {
    /// An item, as JSON.
    Item(Box<RawValue>),
    /// Bytes of a file, and where in it they stand.
    Bytes { offset: u64, bytes: Bytes },
}

/// Room for a piece, or the news that nobody reads the stream any more.
type Room = Result<OwnedPermit<Piece>, SendError<()>>;

/// A piece whose stream is full, and the wait for room.
struct Held {
    id: u64,
    piece: Piece,
    room: Pin<Box<dyn Future<Output = Room> + Send>>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The socket and everything that waits on it.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    socket: WebSocketStream<S>,
    asks: mpsc::Receiver<Ask>,
    under_way: HashMap<u64, Reply>,
    when_full: WhenFull,
    held: Option<Held>,
    unflushed: bool,
    /// Streams to end because nobody reads them; asked for before anything else is written.
    stops: Vec<u64>,
    next_stop: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn new(socket: WebSocketStream<S>, asks: mpsc::Receiver<Ask>, when_full: WhenFull) -> Self {
        Self {
            socket,
            asks,
            under_way: HashMap::new(),
            when_full,
            held: None,
            unflushed: false,
            stops: Vec::new(),
            next_stop: FIRST_STOP_ID,
        }
    }

    /// Works until the connection ends, tells everyone who waits, and says why it ended.
    pub(crate) async fn run(mut self) -> Error {
        let error = poll_fn(|cx| self.poll(cx)).await;
        self.asks.close();
        for (_, reply) in self.under_way.drain() {
            finish(reply, Err(error.clone()));
        }
        while let Ok(ask) = self.asks.try_recv() {
            finish(ask.reply, Err(error.clone()));
        }
        error
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        loop {
            let wrote = match self.poll_write(cx) {
                Ok(wrote) => wrote,
                Err(error) => return Poll::Ready(error),
            };
            let read = match self.poll_read(cx) {
                Ok(read) => read,
                Err(error) => return Poll::Ready(error),
            };
            if !wrote && !read {
                return Poll::Pending;
            }
        }
    }

    /// Writes what waits to be written. Says whether it may have more to do at once.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        let mut progress = false;
        let mut open = true;
        while open && self.under_way.len() < MAX_UNDER_WAY {
            match self.socket.poll_ready_unpin(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Err(Error::lost(error.to_string())),
                Poll::Pending => break,
            }
            if let Some(stream) = self.stops.pop() {
                self.next_stop += 1;
                let text = stop_text(self.next_stop, stream)?;
                self.write(Ask { id: self.next_stop, text, reply: Reply::Nobody })?;
                continue;
            }
            match self.asks.poll_recv(cx) {
                Poll::Ready(Some(ask)) => {
                    self.write(ask)?;
                    progress = true;
                }
                // The last handle is gone: its drop ends this task.
                Poll::Ready(None) => open = false,
                Poll::Pending => break,
            }
        }
        if self.unflushed {
            match self.socket.poll_flush_unpin(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Err(Error::lost(error.to_string())),
                Poll::Pending => {}
            }
        }
        if open { Ok(progress) } else { Err(Error::lost("it was closed here")) }
    }

    fn write(&mut self, ask: Ask) -> Result<(), Error> {
        match ask.reply {
            reply @ (Reply::Answer(_) | Reply::Stream { .. }) => {
                self.under_way.insert(ask.id, reply);
            }
            Reply::Nobody => {}
        }
        self.socket
            .start_send_unpin(Message::text(ask.text))
            .map_err(|error| Error::lost(error.to_string()))?;
        self.unflushed = true;
        Ok(())
    }

    /// Reads one message. Says whether there may be more.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        if self.poll_held(cx).is_pending() {
            return Ok(false);
        }
        match self.socket.poll_next_unpin(cx) {
            Poll::Pending => Ok(false),
            Poll::Ready(Some(Ok(message))) => self.take(message).map(|()| true),
            Poll::Ready(Some(Err(error))) => Err(Error::lost(error.to_string())),
            Poll::Ready(None) => Err(Error::lost("the orchestrator closed it")),
        }
    }

    /// Hands over the piece that waited for room, when there is some now.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(held) = &mut self.held else { return Poll::Ready(()) };
        let room = ready!(held.room.as_mut().poll(cx));
        let Some(held) = self.held.take() else { return Poll::Ready(()) };
        match room {
            Ok(permit) => {
                permit.send(held.piece);
            }
            // Who read it is gone, and has asked for its end.
            Err(_) => drop(self.under_way.remove(&held.id)),
        }
        Poll::Ready(())
    }

    fn take(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Text(text) => {
                let response: Response = serde_json::from_str(&text).map_err(Error::malformed)?;
                match response.body {
                    ResponseBody::Ok(answer) => self.end(response.id, Ok(answer)),
                    ResponseBody::Error(problem) => self.end(response.id, Err(Error::Refused(problem))),
                    ResponseBody::Item(item) => self.deliver(response.id, Piece::Item(item)),
                }
            }
            Message::Binary(frame) => {
                let chunk = ChunkFrame::decode(&frame).map_err(Error::malformed)?;
                let (id, offset) = (chunk.id, chunk.offset);
                self.deliver(id, Piece::Bytes { offset, bytes: frame.slice(CHUNK_HEAD_BYTES..) });
            }
            // Its answer is written by the next flush.
            Message::Ping(_) => self.unflushed = true,
            Message::Pong(_) | Message::Frame(_) => {}
            Message::Close(frame) => {
                let reason = frame.map(|frame| frame.reason.to_string()).filter(|reason| !reason.is_empty());
                return Err(Error::lost(reason.as_deref().unwrap_or("the orchestrator closed it")));
            }
        }
        Ok(())
    }

    fn end(&mut self, id: u64, answer: Result<Box<RawValue>, Error>) {
        if let Some(reply) = self.under_way.remove(&id) {
            finish(reply, answer);
        }
    }

    fn deliver(&mut self, id: u64, piece: Piece) {
        // A piece of a stream that was stopped may still be on its way.
        let Some(Reply::Stream { pieces, .. }) = self.under_way.get(&id) else { return };
        match pieces.try_send(piece) {
            Ok(()) => {}
            Err(TrySendError::Full(piece)) => match self.when_full {
                WhenFull::Wait => {
                    let room = Box::pin(pieces.clone().reserve_owned());
                    self.held = Some(Held { id, piece, room });
                }
                WhenFull::End => {
                    self.end(id, Err(Error::Slow));
                    self.stops.push(id);
                }
            },
            Err(TrySendError::Closed(_)) => {
                drop(self.under_way.remove(&id));
                self.stops.push(id);
            }
        }
    }
}

/// A request that ends a stream.
pub(crate) fn stop_text(id: u64, stream: u64) -> Result<String, Error> {
    let request = Request { id, actor: None, call: Call::Stop(StopStream { request: stream }) };
    serde_json::to_string(&request).map_err(Error::malformed)
}

/// Gives the last word to who waits for it.
fn finish(reply: Reply, answer: Result<Box<RawValue>, Error>) {
    match reply {
        // Who has gone away needs no answer.
        Reply::Answer(waits) | Reply::Stream { end: waits, .. } => drop(waits.send(answer)),
        Reply::Nobody => {}
    }
}
