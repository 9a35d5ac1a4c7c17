//! State changes as server-sent events.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use conductor_protocol::Problem;
use conductor_web::{Caller, Refusal};
use futures_util::{Stream, StreamExt as _, stream};

use super::output::failed;
use super::subscriptions::next_uses;
use crate::http::{Params, Piece, events};
use crate::live::{Batch, Story, UsesFeed};
use crate::measure::CountedClient;
use crate::server::App;

/// Names the log that the numbers are of.
const LOG: HeaderName = HeaderName::from_static("x-conductor-log");
/// The largest number of an event that JSON carries everywhere.
const MAX_SEQ: u64 = (1 << 53) - 1;

/// One event of a stream.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "it describes what is written piece by piece")]
pub(super) struct ServerSentEvent {
    /// Where to go on from.
    id: Option<String>,
    /// What it is; nothing for the usual one.
    event: Option<String>,
    /// JSON.
    data: String,
}

/// Follows every state change: none is missed, and none comes twice.
#[utoipa::path(
    get, path = "/v1/events", tag = "live", operation_id = "follow_events",
    params(
        ("since" = Option<u64>, Query, minimum = 0, maximum = 9007199254740991_u64,
            description = "The last event seen; 0 for all that are kept, new ones only when it is not given."),
        ("usage" = Option<bool>, Query,
            description = "Whether to tell what tasks that run use as well: events named `usage`, without an id."),
        ("Last-Event-ID" = Option<String>, Header, description = "The same; it goes before `since`."),
    ),
    responses((status = 200, description = "Events without a name are state changes, with their `seq` as id. `hello` begins \
        the stream with `{log, seq}`; `resync` says that the log was replaced, `{log, from}`: read the lists anew. \
        `usage` tells what a task that runs has used so far, `{id, group, attempt, usage}`, where that was asked for.",
        content((ServerSentEvent = "text/event-stream")))),
    extensions(("x-problems" = json!([410]))),
)]
pub(crate) async fn follow(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let params = Params::read(query.as_deref(), &["since", "usage"])?;
    let mut since = params.number("since", 0..=MAX_SEQ)?;
    if let Some(last) = headers.get("last-event-id") {
        let number = last.to_str().ok().and_then(|text| text.parse().ok());
        since = Some(number.ok_or_else(|| Problem::at("/Last-Event-ID", "not the number of an event"))?);
    }
    caller.check_is_no_task()?;
    let uses = params.flag("usage")?.then(|| app.uses.feed(caller.identity.groups.clone()));
    let story = Story::begin(&app, &caller, since).await?;
    let (log, seq) = story.log();
    let hello = serde_json::json!({"log": log, "seq": seq}).to_string();
    let name = HeaderValue::try_from(log).ok();
    let counted = CountedClient::begin(&app);
    let begun = stream::once(async move { Piece::one(Some("hello"), None, &hello) });
    let mut response = events(begun.chain(told(Followed { story, uses }, caller, app, counted)));
    if let Some(name) = name {
        response.headers_mut().insert(LOG, name);
    }
    Ok(response)
}

/// What a client follows.
struct Followed {
    story: Story,
    uses: Option<UsesFeed>,
}

fn told(
    followed: Followed,
    caller: Caller,
    app: App,
    counted: CountedClient,
) -> impl Stream<Item = Piece> + Send + 'static {
    let alive = Box::pin(async move { caller.alive(&app.site).await });
    stream::unfold(Some((followed, alive, counted)), async |state| {
        let (mut followed, mut alive, counted) = state?;
        loop {
            let next = tokio::select! {
                next = followed.story.next() => next,
                events = next_uses(&mut followed.uses) => {
                    let mut piece = Piece::default();
                    for event in &events {
                        piece.event(Some("usage"), None, event);
                    }
                    return Some((piece, Some((followed, alive, counted))));
                }
                () = &mut alive => return None,
            };
            let piece = match next {
                Ok(Some(Batch::Entries(entries))) => {
                    let mut piece = Piece::default();
                    for entry in &entries {
                        piece.event(None, Some(&entry.seq), entry.event());
                    }
                    piece
                }
                // Slower than what is kept at hand: the log has it.
                Ok(Some(Batch::Missed { after, from: _ })) => match followed.story.look_back(after).await {
                    Ok(()) => continue,
                    Err(refusal) => return Some((failed(&refusal), None)),
                },
                Ok(Some(Batch::Replaced { log, from })) => {
                    let data = serde_json::json!({"log": &*log, "from": from}).to_string();
                    Piece::one(Some("resync"), None, &data)
                }
                Ok(None) => return None,
                Err(refusal) => return Some((failed(&refusal), None)),
            };
            return Some((piece, Some((followed, alive, counted))));
        }
    })
}
