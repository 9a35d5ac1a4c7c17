//! One client's session: many requests under way at once, each answered by its id.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use conductor_protocol::control::{Call, Done, Request, Response, ResponseBody};
use conductor_protocol::{Code, Problem};
use conductor_runtime::lifecycle::Shutdown;
use futures_util::future::{AbortHandle, Abortable, BoxFuture, FutureExt as _};
use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::caller::Caller;
use super::{Context, calls};
use crate::socket::{self, Error, Socket, Stream};

/// The most requests of one client under way at once; more wait to be read.
const MAX_UNDER_WAY: usize = 1_024;
/// When the end begins, requests under way have this long to be answered; then clients are cut off and come back.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// Items of streams that may wait for the connection.
const STREAM_QUEUE: usize = 64;

/// Where a streaming request puts its items.
#[derive(Debug, Clone)]
pub(super) struct Items {
    id: u64,
    sender: mpsc::Sender<Message>,
}

impl Items {
    /// Sends an item, when there is room for it.
    ///
    /// # Errors
    /// When the client is gone.
    pub(super) async fn item<T: Serialize>(&self, value: &T) -> Result<(), Problem> {
        let body = ResponseBody::Item(raw(value));
        self.send(socket::text(&Response { id: self.id, body })).await
    }

    /// Sends bytes that stand at an offset.
    ///
    /// # Errors
    /// When the client is gone.
    pub(super) async fn bytes(&self, offset: u64, bytes: &[u8]) -> Result<(), Problem> {
        let frame = conductor_protocol::frame::ChunkFrame { id: self.id, offset, bytes };
        self.send(Message::binary(frame.encode())).await
    }

    async fn send(&self, message: Message) -> Result<(), Problem> {
        self.sender.send(message).await.map_err(|_| Problem::new(Code::Unavailable, "the client is gone"))
    }
}

/// A value as JSON.
pub(super) fn raw<T: Serialize>(value: &T) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("an answer of the protocol can be written")
}

type UnderWay = FuturesUnordered<BoxFuture<'static, (u64, Option<Message>)>>;

/// Serves a client until it leaves or the end.
pub(super) async fn serve<S: Stream>(
    socket: &mut Socket<S>,
    context: Arc<Context>,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let (sender, mut items) = mpsc::channel(STREAM_QUEUE);
    let mut under_way = UnderWay::new();
    let mut streams: HashMap<u64, AbortHandle> = HashMap::new();
    let ending = async {
        shutdown.draining().await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::pin!(ending);
    loop {
        let answer = tokio::select! {
            biased;
            Some((id, answer)) = under_way.next() => {
                streams.remove(&id);
                answer
            }
            Some(item) = items.recv() => {
                socket.feed(item).await?;
                None
            }
            incoming = socket::next_text(socket), if under_way.len() < MAX_UNDER_WAY => {
                let Some(text) = incoming? else { return Ok(()) };
                take(&text, &context, &sender, &under_way, &mut streams)
            }
            () = &mut ending => return Ok(()),
        };
        // What a stream put there before its end goes out before its end.
        while let Ok(item) = items.try_recv() {
            socket.feed(item).await?;
        }
        if let Some(answer) = answer {
            socket.feed(answer).await?;
        }
        socket.flush().await?;
    }
}

/// Begins a request, or answers at once that it cannot be read.
fn take(
    text: &str,
    context: &Arc<Context>,
    sender: &mpsc::Sender<Message>,
    under_way: &UnderWay,
    streams: &mut HashMap<u64, AbortHandle>,
) -> Option<Message> {
    let request: Request = match conductor_protocol::json::read(text, "") {
        Ok(request) => request,
        Err(problem) => {
            let id = id_of(text);
            return Some(socket::text(&Response { id, body: ResponseBody::Error(problem) }));
        }
    };
    let id = request.id;
    if let Call::Stop(stop) = request.call {
        if let Some(stream) = streams.remove(&stop.request) {
            stream.abort();
        }
        return Some(socket::text(&Response { id, body: ResponseBody::Ok(raw(&Done {})) }));
    }
    let caller = match Caller::new(request.actor, &context.owner) {
        Ok(caller) => caller,
        Err(problem) => return Some(socket::text(&Response { id, body: ResponseBody::Error(problem) })),
    };
    let items = Items { id, sender: sender.clone() };
    let context = context.clone();
    let work = async move {
        let body = match calls::answer(&context, &caller, request.call, items).await {
            Ok(answer) => ResponseBody::Ok(answer),
            Err(problem) => ResponseBody::Error(problem),
        };
        socket::text(&Response { id, body })
    };
    let (abort, registration) = AbortHandle::new_pair();
    streams.insert(id, abort);
    under_way.push(Abortable::new(work, registration).map(move |done| (id, done.ok())).boxed());
    None
}

/// The id of a request that cannot be read whole, so that its client learns of it.
fn id_of(text: &str) -> u64 {
    let value: Option<serde_json::Value> = serde_json::from_str(text).ok();
    value.and_then(|value| value.get("id")?.as_u64()).unwrap_or_default()
}
