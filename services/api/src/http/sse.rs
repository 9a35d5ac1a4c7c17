//! Server-sent events.

use std::convert::Infallible;
use std::fmt::Display;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

/// A stream says at least this often that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Whether a client would rather have server-sent events.
pub(crate) fn wants(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accept.flat_map(|text| text.split(',')).any(|kind| kind.trim().starts_with("text/event-stream"))
}

/// Server-sent events as they are written.
#[derive(Debug, Default)]
pub(crate) struct Piece(String);

impl Piece {
    /// Adds an event; its data has no line breaks, as JSON on one line has none.
    pub(crate) fn event(&mut self, kind: Option<&str>, id: Option<&dyn Display>, data: &str) {
        use std::fmt::Write as _;
        // Writing to a String does not fail.
        if let Some(kind) = kind {
            let _ = writeln!(self.0, "event: {kind}");
        }
        if let Some(id) = id {
            let _ = writeln!(self.0, "id: {id}");
        }
        let _ = write!(self.0, "data: {data}\n\n");
    }

    /// One event alone.
    pub(crate) fn one(kind: Option<&str>, id: Option<&dyn Display>, data: &str) -> Self {
        let mut piece = Self::default();
        piece.event(kind, id, data);
        piece
    }
}

/// Answers with server-sent events, and with a comment while there are none.
pub(crate) fn events(pieces: impl Stream<Item = Piece> + Send + 'static) -> Response {
    let stream = futures_util::stream::unfold(Box::pin(pieces), |mut pieces| async {
        match tokio::time::timeout(KEEP_ALIVE, pieces.next()).await {
            Ok(Some(piece)) => Some((Ok::<_, Infallible>(Bytes::from(piece.0)), pieces)),
            Ok(None) => None,
            Err(_) => Some((Ok(Bytes::from_static(b": still here\n\n")), pieces)),
        }
    });
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A proxy in between is not to gather them.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
