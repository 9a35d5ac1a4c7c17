//! `/live`: the WebSocket of a page. It brings what happens, and the output of the task that is looked at.
//!
//! The page says `{"follow":{"id":..,"attempt":..,"offset":..,"sgr":".."}}` to follow an output, once. The server says
//! `{"hello":{"log":..}}` at first, `{"event":{..}}` for every state change after the `since` of the address,
//! `{"out":[pieces],"next":offset}` for output, `{"over":attempt}` at its end, `{"run":1}` when the runner reported
//! something, `{"used":".."}` when the `task` of the address has used more, `{"costs":{"<task>":"$1.50"}}` of tasks that have
//! used more where the address has `costs`, and `{"resync":1}` when the page has to be loaded anew because what it missed
//! is not kept.
//! The page connects anew from the last event it saw whenever the connection ends, whoever ended it.

use std::collections::BTreeMap;

use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::{IntoResponse, Response};
use conductor_client::{Control, Error, Items};
use conductor_core::TaskId;
use conductor_protocol::Code;
use conductor_protocol::control::{Events, Output, UsageNews, UsedView};
use conductor_protocol::task::UsageView;
use conductor_web::Refusal;
use serde::{Deserialize, Serialize};

use crate::ansi::{Piece, Reader};
use crate::format::dollars;
use crate::pages::task::{id_of, used_mark};
use crate::visitor::Visitor;

/// The longest message of a page.
const MAX_MESSAGE_BYTES: usize = 4 << 10;
/// How long the page may take to read a message.
const WRITE_TIME: std::time::Duration = std::time::Duration::from_secs(20);
/// How often a page hears something, so that neither side waits for a connection that is gone.
const BEAT: std::time::Duration = std::time::Duration::from_secs(20);
/// The most bytes of output that are looked at together.
const MAX_TAKEN_BYTES: usize = 256 << 10;

/// What the address of a page's connection asks for.
#[derive(Debug, Clone, Copy)]
struct Asked {
    /// Whether what this task uses is told.
    task: Option<TaskId>,
    /// Whether what all tasks cost is told.
    costs: bool,
}

/// What a page says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Said {
    Follow(Follow),
}

/// A page follows an output.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Follow {
    id: String,
    attempt: u32,
    offset: u64,
    #[serde(default)]
    sgr: String,
    /// Whether it follows what the runner reports, and no output.
    #[serde(default)]
    run: bool,
}

/// Pieces of output.
#[derive(Debug, Serialize)]
struct Printed<'a> {
    out: &'a [Piece],
    next: u64,
    sgr: String,
}

/// `GET /live`
pub async fn upgrade(visitor: Visitor, socket: WebSocketUpgrade) -> Response {
    let prepared = async {
        let since = visitor.query().parsed("since")?;
        let asked = Asked {
            task: visitor.query().get("task").map(id_of).transpose()?,
            costs: visitor.query().has("costs"),
        };
        Ok::<_, Refusal>((visitor.control().await?, since, asked))
    };
    let (control, since, asked) = match prepared.await {
        Ok(prepared) => prepared,
        Err(refusal) => return refusal.into_response(),
    };
    socket.max_message_size(MAX_MESSAGE_BYTES).max_frame_size(MAX_MESSAGE_BYTES).on_upgrade(
        move |socket| async move {
            let mut page = Page { socket };
            tokio::select! {
                ended = serve(&mut page, control, since, asked) => {
                    if let Err(why) = ended {
                        tracing::debug!(?why, "a page's connection ended");
                    }
                }
                // Nobody any more, or the program ends.
                () = visitor.caller.alive(&visitor.guest.site) => {}
            }
        },
    )
}

/// Why a page's connection ends.
#[derive(Debug)]
enum End {
    /// The page went away, stands still, or says what is not understood.
    Page,
    /// The orchestrator went away or refused.
    Orchestrator,
}

impl From<Error> for End {
    fn from(_: Error) -> Self {
        Self::Orchestrator
    }
}

struct Page {
    socket: WebSocket,
}

impl Page {
    async fn tell(&mut self, what: &impl Serialize) -> Result<(), End> {
        let text = serde_json::to_string(what).map_err(|_| End::Page)?;
        self.send(Message::Text(Utf8Bytes::from(text))).await
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match tokio::time::timeout(WRITE_TIME, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Page),
        }
    }

    /// Waits for what the page says; pings and the like are passed over.
    async fn hear(&mut self) -> Result<Said, End> {
        loop {
            match self.socket.recv().await {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).map_err(|_| End::Page),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Binary(_) | Message::Close(_)) | Err(_)) | None => return Err(End::Page),
            }
        }
    }
}

/// What a page follows besides the events.
enum Followed {
    Nothing,
    Output { chunks: conductor_client::Chunks, reader: Box<Reader>, call: Output },
    Run { lines: Items<Box<serde_json::value::RawValue>> },
}

/// What a followed stream brought.
enum Brought {
    Bytes(u64, Vec<u8>),
    Lines,
    End,
    /// The page was slower than the output: it is taken up again where the page stands.
    Slow,
}

impl Followed {
    /// Waits for what it brings. Never ends when nothing is followed.
    async fn next(&mut self) -> Result<Brought, Error> {
        match self {
            Self::Nothing => std::future::pending().await,
            Self::Output { chunks, .. } => match chunks.next().await {
                Ok(Some(chunk)) => {
                    let (offset, mut bytes) = (chunk.offset, chunk.bytes.to_vec());
                    bytes.truncate(MAX_TAKEN_BYTES);
                    Ok(Brought::Bytes(offset, bytes))
                }
                Ok(None) => Ok(Brought::End),
                Err(Error::Slow) => Ok(Brought::Slow),
                Err(error) => Err(error),
            },
            Self::Run { lines } => match lines.next().await {
                Ok(Some(_)) => Ok(Brought::Lines),
                Ok(None) => Ok(Brought::End),
                Err(Error::Slow) => Ok(Brought::Lines),
                Err(error) => Err(error),
            },
        }
    }
}

/// Whose use a page is told of.
enum Used {
    Nobodys,
    OfTask(Items<UsageView>),
    OfAll(Items<UsageNews>),
}

/// What a page says of a use.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum More {
    Used(String),
    Costs(BTreeMap<String, String>),
}

impl Used {
    async fn begin(control: &Control, asked: Asked) -> Result<Self, Error> {
        Ok(match asked {
            Asked { task: Some(task), .. } => Self::OfTask(control.usage(task).await?),
            Asked { task: None, costs: true } => Self::OfAll(control.usage_of_all().await?),
            Asked { task: None, costs: false } => Self::Nobodys,
        })
    }

    /// Waits until more was used. Never ends where nobody's use is followed, or when nothing more is used.
    async fn more(&mut self) -> Result<More, Error> {
        let next = match self {
            Self::Nobodys => std::future::pending().await,
            Self::OfTask(items) => {
                items.next().await.map(|next| next.map(|usage| More::Used(used_mark(&usage))))
            }
            Self::OfAll(items) => items.next().await.map(|next| next.map(|news| More::Costs(costs(&news)))),
        };
        match next {
            Ok(Some(more)) => return Ok(more),
            // It is over, gone, or was never to be seen.
            Ok(None) | Err(Error::Refused(_)) => *self = Self::Nobodys,
            Err(error) => return Err(error),
        }
        std::future::pending().await
    }
}

/// What tasks have cost so far, for people.
fn costs(news: &UsageNews) -> BTreeMap<String, String> {
    let cost = |used: &UsedView| Some((used.id.to_string(), dollars(used.usage.cost_usd?)));
    news.used.iter().filter_map(cost).collect()
}

async fn serve(page: &mut Page, control: Control, since: Option<u64>, asked: Asked) -> Result<(), End> {
    let hello = serde_json::json!({ "hello": { "log": control.welcome().log.id } });
    page.tell(&hello).await?;
    let mut last = since;
    let mut events = control.events(Events { since: last, follow: true }).await?;
    let mut followed = Followed::Nothing;
    let mut used = Used::begin(&control, asked).await?;
    let mut beat = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Ok(Some(event)) => {
                    last = Some(event.seq);
                    page.tell(&serde_json::json!({ "event": event })).await?;
                }
                Ok(None) => return Err(End::Orchestrator),
                Err(Error::Slow) => events = control.events(Events { since: last, follow: true }).await?,
                Err(Error::Refused(problem)) if problem.code == Code::Gone => {
                    page.tell(&serde_json::json!({ "resync": 1 })).await?;
                    last = None;
                    events = control.events(Events { since: last, follow: true }).await?;
                }
                Err(error) => return Err(error.into()),
            },
            said = page.hear() => match said? {
                Said::Follow(follow) => followed = begin(&control, follow).await?,
            },
            brought = followed.next() => pass_on(page, &control, &mut followed, brought?).await?,
            more = used.more() => page.tell(&more?).await?,
            _ = beat.tick() => page.send(Message::Ping(Default::default())).await?,
        }
    }
}

async fn begin(control: &Control, follow: Follow) -> Result<Followed, End> {
    let id: TaskId = follow.id.parse().map_err(|_| End::Page)?;
    let call = Output { id, attempt: Some(follow.attempt), offset: follow.offset, follow: true, limit: None };
    if follow.run {
        return Ok(Followed::Run { lines: control.run_events(call).await? });
    }
    let reader = Box::new(Reader::resumed(&follow.sgr));
    Ok(Followed::Output { chunks: control.output(call).await?, reader, call })
}

async fn pass_on(
    page: &mut Page,
    control: &Control,
    followed: &mut Followed,
    brought: Brought,
) -> Result<(), End> {
    match (followed, brought) {
        (Followed::Output { reader, call, .. }, Brought::Bytes(offset, bytes)) => {
            let out = reader.feed(&bytes);
            call.offset = offset + bytes.len() as u64;
            // The page takes up again before what it has not been given yet.
            let next = call.offset - reader.pending() as u64;
            page.tell(&Printed { out: &out, next, sgr: reader.style().parameters() }).await
        }
        (Followed::Output { chunks, call, .. }, Brought::Slow) => {
            *chunks = control.output(*call).await?;
            Ok(())
        }
        (Followed::Run { .. }, Brought::Lines) => page.tell(&serde_json::json!({ "run": 1 })).await,
        (followed, Brought::End) => {
            *followed = Followed::Nothing;
            page.tell(&serde_json::json!({ "over": 1 })).await
        }
        // Nothing else comes from there.
        (Followed::Nothing | Followed::Output { .. } | Followed::Run { .. }, _) => Ok(()),
    }
}
