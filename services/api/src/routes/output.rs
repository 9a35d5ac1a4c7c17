//! What a run printed, and what its runner reported.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use conductor_core::TaskId;
use conductor_protocol::control::{Call, Id};
use conductor_protocol::task::TaskView;
use conductor_protocol::{Problem, limits};
use conductor_web::{Caller, Refusal};
use futures_util::{Stream, StreamExt as _, stream};

use super::served::{Kind, served};
use crate::http::{Params, Piece, Task, events, wants};
use crate::live::{Place, Reading, Reported, Reports, Source, Text, body};
use crate::server::App;

/// The attempt whose bytes are of the answer.
pub(super) const ATTEMPT: &str = "x-conductor-attempt";
/// Where the answer's bytes begin in the whole.
pub(super) const OFFSET: &str = "x-conductor-offset";
/// Where a client of server-sent events goes on.
const LAST_EVENT_ID: &str = "last-event-id";

/// Reads `attempt`.
pub(super) fn attempt(params: &Params) -> Result<Option<u32>, Problem> {
    params.number("attempt", 1..=u32::from(limits::MAX_ATTEMPTS))
}

/// The attempt that is asked for, or the latest: who follows goes on with one, whatever begins meanwhile.
pub(crate) async fn latest(
    app: &App,
    caller: &Caller,
    id: TaskId,
    asked: Option<u32>,
) -> Result<u32, Refusal> {
    let task: TaskView = caller.control(&app.site).await?.ask(Call::Get(Id { id })).await?;
    Ok(asked.unwrap_or_else(|| task.attempt.max(1)))
}

/// Reads or follows what an attempt printed.
#[utoipa::path(
    get, path = "/v1/tasks/{id}/output", tag = "runs", operation_id = "get_output",
    params(
        ("id" = String, Path, format = Uuid),
        ("attempt" = Option<u32>, Query, minimum = 1, maximum = 100, description = "The latest when none is given."),
        ("offset" = Option<u64>, Query, minimum = 0, maximum = 9007199254740991_u64, description = "Where to begin, in bytes."),
        ("follow" = Option<bool>, Query, description = "Whether to go on until the attempt is over."),
        ("Range" = Option<String>, Header, description = "A range of bytes, of what is not followed."),
        ("Last-Event-ID" = Option<String>, Header, description = "The offset to go on from, as server-sent events tell it."),
    ),
    responses(
        (status = 200, description = "The bytes as they were printed; with `Accept: text/event-stream`, events \
            `{offset, next_offset, text}` cut between characters, and `end` with the attempt and the offset.",
            content((String = "text/plain"), (super::events::ServerSentEvent = "text/event-stream"))),
        (status = 206, description = "The range.", content((String = "text/plain"))),
        (status = 416, description = "Nothing of the range is there.", content((conductor_web::Shown = "application/problem+json"))),
    ),
)]
pub(crate) async fn output(
    caller: Caller,
    State(app): State<App>,
    Task(id): Task,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let params = Params::read(query.as_deref(), &["attempt", "offset", "follow"])?;
    let asked = attempt(&params)?;
    let offset = params.number("offset", 0..=(1 << 53) - 1)?;
    let follow = params.flag("follow")?;
    if wants(&headers) {
        let offset = match headers.get(LAST_EVENT_ID) {
            Some(value) => value.to_str().ok().and_then(|text| text.parse().ok()).or(offset),
            None => offset,
        };
        let number = latest(&app, &caller, id, asked).await?;
        let source = Source::Output { id, attempt: Some(number), follow };
        let text = Text::new(source, &app.lines, &caller, offset.unwrap_or_default());
        return Ok(events(told(text, number, caller, app)));
    }
    if follow {
        let number = latest(&app, &caller, id, asked).await?;
        let source = Source::Output { id, attempt: Some(number), follow };
        let from = offset.unwrap_or_default();
        let reading = Reading::new(source, &app.lines, &caller, from, u64::MAX);
        let mut response = body(reading).into_response();
        let answered = response.headers_mut();
        answered.insert(ATTEMPT, number.into());
        answered.insert(OFFSET, from.into());
        super::served::guard(answered, &Kind::text());
        return Ok(response);
    }
    let source = Source::Output { id, attempt: asked, follow };
    served(&app, &caller, source, &headers, offset.unwrap_or_default(), Kind::text()).await
}

/// Text as server-sent events, until it ends or the caller is nobody any more.
fn told(text: Text, attempt: u32, caller: Caller, app: App) -> impl Stream<Item = Piece> + Send + 'static {
    let alive = Box::pin(async move { caller.alive(&app.site).await });
    stream::unfold(Some((text, alive)), move |state| async move {
        let (mut text, mut alive) = state?;
        let next = tokio::select! {
            next = text.next() => next,
            () = &mut alive => return None,
        };
        Some(match next {
            Ok(Some(told)) => {
                let data = serde_json::json!({
                    "offset": told.offset, "next_offset": told.next_offset, "text": told.text,
                });
                (Piece::one(None, Some(&told.next_offset), &data.to_string()), Some((text, alive)))
            }
            Ok(None) => {
                let data = serde_json::json!({"attempt": attempt, "offset": text.offset()});
                (Piece::one(Some("end"), None, &data.to_string()), None)
            }
            Err(refusal) => (failed(&refusal), None),
        })
    })
}

/// A failure in the midst of server-sent events.
pub(super) fn failed(refusal: &Refusal) -> Piece {
    let problem = serde_json::to_string(&refusal.0).expect("a problem is texts and numbers");
    Piece::one(Some("error"), None, &problem)
}

/// Reads or follows what the runner of an attempt reported, one JSON object a line.
#[utoipa::path(
    get, path = "/v1/tasks/{id}/events", tag = "runs", operation_id = "get_run_events",
    params(
        ("id" = String, Path, format = Uuid),
        ("attempt" = Option<u32>, Query, minimum = 1, maximum = 100, description = "The latest when none is given."),
        ("follow" = Option<bool>, Query, description = "Whether to go on until the attempt is over."),
        ("Last-Event-ID" = Option<String>, Header, description = "Where to go on, as server-sent events tell it."),
    ),
    responses((status = 200, description = "The reports; as server-sent events with `Accept: text/event-stream`.",
        content((String = "application/x-ndjson"), (super::events::ServerSentEvent = "text/event-stream")))),
)]
pub(crate) async fn run_events(
    caller: Caller,
    State(app): State<App>,
    Task(id): Task,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let params = Params::read(query.as_deref(), &["attempt", "follow"])?;
    let number = latest(&app, &caller, id, attempt(&params)?).await?;
    let follow = params.flag("follow")?;
    let is_sse = wants(&headers);
    let last = headers.get(LAST_EVENT_ID).filter(|_| is_sse).and_then(|value| value.to_str().ok());
    let from: Place = last.and_then(|text| text.parse().ok()).unwrap_or_default();
    let mut reports = Reports::new(id, number, follow, from, &app.lines, &caller);
    // The first ones are read before the answer begins, so that a refusal is one.
    let first = if follow { None } else { reports.next().await? };
    let reports = reported(reports, first, caller, app);
    if is_sse {
        return Ok(events(reports.map(|found| match found {
            Ok((place, lines)) => {
                let mut piece = Piece::default();
                for (index, line) in lines.iter().enumerate() {
                    let place: Option<&dyn std::fmt::Display> = Some(&place);
                    piece.event(None, place.filter(|_| index + 1 == lines.len()), line.get());
                }
                piece
            }
            Err(refusal) => failed(&refusal),
        })));
    }
    let lines = reports.map(|found| match found {
        Ok((_, lines)) => {
            let mut text = String::new();
            for line in lines {
                text.push_str(line.get());
                text.push('\n');
            }
            Ok(Bytes::from(text))
        }
        Err(refusal) => Err(std::io::Error::other(refusal.0)),
    });
    let mut response = Body::from_stream(lines).into_response();
    let answered = response.headers_mut();
    answered.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    answered.insert(ATTEMPT, number.into());
    Ok(response)
}

fn reported(
    reports: Reports,
    first: Option<Reported>,
    caller: Caller,
    app: App,
) -> impl Stream<Item = Result<Reported, Refusal>> + Send + 'static {
    let alive = Box::pin(async move { caller.alive(&app.site).await });
    stream::unfold(Some((reports, first, alive)), async |state| {
        let (mut reports, mut first, mut alive) = state?;
        if let Some(first) = first.take() {
            return Some((Ok(first), Some((reports, None, alive))));
        }
        let next = tokio::select! {
            next = reports.next() => next,
            () = &mut alive => return None,
        };
        match next {
            Ok(Some(found)) => Some((Ok(found), Some((reports, None, alive)))),
            Ok(None) => None,
            Err(refusal) => Some((Err(refusal), None)),
        }
    })
}
