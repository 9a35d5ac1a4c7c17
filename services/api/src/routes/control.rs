//! The control protocol for programs elsewhere, on behalf of who shows a token.
//!
//! Messages are passed on as they come, over a connection to the orchestrator of its own, so that a slow reader holds up nobody
//! else. Only who asks is set here, in every request; what that one may do is for the orchestrator to say, as always.

use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use conductor_client::{Options, RawMessage, RawReader, RawWriter};
use conductor_protocol::control::{ActorView, Opened, Opening, Request, StatusView, VERSION};
use conductor_protocol::limits::MAX_MESSAGE_BYTES;
use conductor_protocol::{Code, Problem};
use conductor_web::{Caller, Refusal};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};

use crate::http::{self, Params};
use crate::measure::CountedClient;
use crate::server::App;

/// What a message may have beyond the longest request: its envelope.
const ENVELOPE_BYTES: usize = 64 << 10;
/// How long a client has to say what it speaks.
const OPENING_TIME: Duration = Duration::from_secs(10);
/// A client is asked this often whether it is there.
const PING: Duration = Duration::from_secs(15);
/// A client that reads nothing for so long is let go.
const STALLED: Duration = Duration::from_secs(120);

/// Speaks the control protocol with a program elsewhere.
#[utoipa::path(
    get, path = "/v1/control", tag = "live", operation_id = "control_websocket",
    responses((status = 101, description = "The protocol of the `conductor` command, over a WebSocket. It changes with releases; \
        programs of others use the other routes.")),
    extensions(("x-problems" = json!([503]))),
)]
pub(crate) async fn connect(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    asked: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    let upgrade = http::upgrade(asked)?;
    if caller.csrf().is_some() {
        return Err(Refusal::new(Code::Forbidden, "this takes a token; a browser's session is not enough"));
    }
    let status = caller.control(&app.site).await?.status().await?;
    let client = concat!("conductor-api ", env!("CARGO_PKG_VERSION"));
    let link = app.site.another_link(Options::new(client)).await;
    let (raw, _owner_view) = link.target().connect_raw(client).await?;
    let counted = CountedClient::begin(&app);
    let longest = MAX_MESSAGE_BYTES + ENVELOPE_BYTES;
    Ok(upgrade.max_message_size(longest).max_frame_size(longest).on_upgrade(async move |mut socket| {
        let (actor, alive) = (caller.actor(), caller.clone());
        let serve = async {
            if opened(&mut socket, status).await.is_none() {
                return;
            }
            let (to_client, from_client) = socket.split();
            let (to_orchestrator, from_orchestrator) = raw.split();
            // Whichever ends, the other has nothing left to do.
            tokio::select! {
                () = up(from_client, to_orchestrator, &actor) => {}
                () = down(from_orchestrator, to_client) => {}
            }
        };
        tokio::select! {
            () = serve => {}
            () = alive.alive(&app.site) => {}
        }
        drop(counted);
    }))
}

/// Hears what the client speaks and lets it in.
async fn opened(socket: &mut WebSocket, status: StatusView) -> Option<()> {
    let text = loop {
        match tokio::time::timeout(OPENING_TIME, socket.recv()).await.ok()??.ok()? {
            Message::Text(text) => break text,
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Binary(_) | Message::Close(_) => return None,
        }
    };
    let said: Option<Opening> = serde_json::from_str(&text).ok();
    let answer = match said {
        Some(opening) if opening.protocol == VERSION => Opened::Welcome(Box::new(status)),
        Some(opening) => {
            let detail = format!("this server speaks version {VERSION}, not {}", opening.protocol);
            Opened::Refused(Problem::new(Code::InvalidRequest, detail))
        }
        None => Opened::Refused(Problem::new(Code::InvalidRequest, "the opening was not understood")),
    };
    let is_welcome = matches!(answer, Opened::Welcome(_));
    let text = serde_json::to_string(&answer).ok()?;
    socket.send(Message::text(text)).await.ok()?;
    is_welcome.then_some(())
}

/// Passes on what the client asks, in its own name whatever it says.
async fn up(mut client: SplitStream<WebSocket>, mut orchestrator: RawWriter, actor: &ActorView) {
    while let Some(Ok(message)) = client.next().await {
        let text = match message {
            Message::Text(text) => text,
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Binary(_) | Message::Close(_) => return,
        };
        let Ok(mut request) = serde_json::from_str::<Request>(&text) else { return };
        request.actor = Some(actor.clone());
        let Ok(text) = serde_json::to_string(&request) else { return };
        if orchestrator.send(text).await.is_err() {
            return;
        }
    }
}

/// Passes on what the orchestrator answers, at the pace of the client.
async fn down(mut orchestrator: RawReader, mut client: SplitSink<WebSocket, Message>) {
    let mut ping = tokio::time::interval(PING);
    ping.reset();
    loop {
        let message = tokio::select! {
            message = orchestrator.next() => match message {
                Some(RawMessage::Text(text)) => Message::text(text),
                Some(RawMessage::Bytes(bytes)) => Message::Binary(bytes),
                None => return,
            },
            _ = ping.tick() => Message::Ping(bytes::Bytes::new()),
        };
        match tokio::time::timeout(STALLED, client.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}
