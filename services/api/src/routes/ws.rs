//! State changes and output over a WebSocket.

use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use conductor_web::{Caller, Refusal};
use futures_util::SinkExt as _;

use super::subscriptions::{News, Subscriptions};
use crate::http::{self, Params};
use crate::measure::CountedClient;
use crate::server::App;

/// The longest message of a client.
const MAX_MESSAGE_BYTES: usize = 64 << 10;
/// What is gathered before it is written.
const WRITE_BYTES: usize = 16 << 10;
/// What may wait to be written; a message that does not fit waits for the client to read.
const MAX_WAITING_BYTES: usize = 1 << 20;
/// What is read at a time.
const READ_BYTES: usize = 4 << 10;
/// A client is asked this often whether it is there.
const PING: Duration = Duration::from_secs(15);
/// A client that reads nothing for so long is let go.
const STALLED: Duration = Duration::from_secs(120);
/// The close code for who may not listen any more.
const POLICY: u16 = 1008;
/// The close code of a program that ends.
const AWAY: u16 = 1001;

/// Follows state changes and output over a WebSocket.
#[utoipa::path(
    get, path = "/v1/ws", tag = "live", operation_id = "follow_websocket",
    responses((status = 101, description = "JSON texts. The client sends `{\"subscribe\":{\"topics\":[\"tasks\",\"agents\",\
        \"queue\",\"schedules\",\"usage\",\"output:<task id>\"],\"since\":42}}`; the server begins with `{\"hello\":{\"log\":..,\"seq\":..}}` \
        and sends `{\"seq\":43,\"topic\":\"tasks\",\"event\":{..}}`, and `{\"resync\":{\"topic\":..,\"from\":..}}` to a client \
        that was too slow: it reads the lists anew, and what comes after `from` follows. `usage` and `output:` are not of the log: \
        their `seq` is the last that was told. An event of `usage` is what a task that runs has used so far, \
        `{id, group, attempt, usage}`: of all that run at first, then of those that have used more, once a second at most.")),
)]
pub(crate) async fn connect(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    asked: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    let upgrade = http::upgrade(asked)?;
    caller.check_is_no_task()?;
    let following = app.hub.join().await?;
    let (log, seq) = app.hub.log()?;
    let hello = serde_json::json!({"hello": {"log": &*log, "seq": seq}}).to_string();
    let counted = CountedClient::begin(&app);
    Ok(upgrade
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(WRITE_BYTES)
        .max_write_buffer_size(MAX_WAITING_BYTES)
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        .on_upgrade(async move |mut socket| {
            let alive = caller.clone();
            let code = tokio::select! {
                () = serve(&mut socket, &app, caller, hello) => None,
                () = alive.alive(&app.site) => Some(if app.site.shutdown().is_draining() { AWAY } else { POLICY }),
            };
            if let Some(code) = code {
                let reason = Utf8Bytes::from_static("whoever listens may not listen any more, or the API ends");
                let close = Message::Close(Some(CloseFrame { code, reason }));
                // The other side may be gone, or not read; it is let go all the same.
                drop(tokio::time::timeout(Duration::from_millis(500), socket.send(close)).await);
            }
            drop((counted, following));
        }))
}

/// Serves a client until it leaves.
async fn serve(socket: &mut WebSocket, app: &App, caller: Caller, hello: String) {
    if send(socket, vec![hello.into()]).await.is_err() {
        return;
    }
    let mut subscriptions = Subscriptions::new(app.clone(), caller);
    let mut ping = tokio::time::interval(PING);
    ping.reset();
    loop {
        let frames = tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => subscriptions.take(&text).await,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => Vec::new(),
                Some(Ok(Message::Binary(_))) => vec![super::subscriptions::refused("send JSON as text")],
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
            news = subscriptions.next() => match news {
                News::Frames(frames) => frames,
                News::End => return,
            },
            _ = ping.tick() => {
                let sent = tokio::time::timeout(STALLED, socket.send(Message::Ping(bytes::Bytes::new()))).await;
                if !matches!(sent, Ok(Ok(()))) {
                    return;
                }
                Vec::new()
            }
        };
        if send(socket, frames).await.is_err() {
            return;
        }
    }
}

/// Writes texts together.
async fn send(socket: &mut WebSocket, frames: Vec<Utf8Bytes>) -> Result<(), ()> {
    if frames.is_empty() {
        return Ok(());
    }
    let write = async {
        for frame in frames {
            socket.feed(Message::Text(frame)).await?;
        }
        socket.flush().await
    };
    match tokio::time::timeout(STALLED, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(()),
    }
}
