//! One connection of a run to its gateway.

pub(super) mod refusal;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Full, Limited, combinators::UnsyncBoxBody};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{self, HeaderName};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, server};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::cut::{Broken, Passing};
use super::meter::Meter;
use super::upstream::{Outgoing, Upstream};
use super::{ModelOrder, Wire, auth, paths};
use conductor_runtime::credentials::Secret;

/// The most bytes of a request; no model takes more.
const MAX_REQUEST_BYTES: usize = 64 << 20;
/// Bytes of a request's head.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// How long a request's head may take to come, and how long a connection may stand idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a model may take to begin its answer; one that is not streamed takes long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(900);

/// What concerns one connection alone, and must not go on to another.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

type Answer = Response<UnsyncBoxBody<Bytes, Broken>>;

#[derive(Clone)]
pub(super) struct Service {
    shared: Arc<Shared>,
}

struct Shared {
    wire: Wire,
    token: Secret,
    key: Secret,
    upstream: Upstream,
    meter: Arc<Meter>,
}

/// What one connection has towards the model: a connection that can be used again, and what keeps it going.
#[derive(Default)]
struct Line {
    sender: Option<SendRequest<Outgoing>>,
    tasks: JoinSet<()>,
}

impl Service {
    pub fn new(order: ModelOrder, meter: Arc<Meter>) -> Self {
        let ModelOrder { wire, upstream, key, token, proxy, authorities, .. } = order;
        let upstream = Upstream::new(upstream, proxy, authorities);
        Self { shared: Arc::new(Shared { wire, token, key, upstream, meter }) }
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(stream: TcpStream, service: Service) {
    let line = Arc::new(Mutex::new(Line::default()));
    let answer = |request| {
        let (shared, line) = (Arc::clone(&service.shared), Arc::clone(&line));
        async move { Ok::<_, Infallible>(shared.answer(request, &line).await) }
    };
    // Words come one by one. A socket that cannot be set so is a slower one.
    let _ = stream.set_nodelay(true);
    let served = server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to a model ended early");
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>, line: &Mutex<Line>) -> Answer {
        let is_root = request.uri().path() == "/";
        if is_root && (request.method() == Method::HEAD || request.method() == Method::GET) {
            // Claude Code looks whether anybody is there.
            return Response::new(empty());
        }
        match self.pass(request, line).await {
            Ok(answer) => answer,
            Err(refused) => {
                let (status, body) = refused.whole(self.wire);
                let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
                let mut answer = Response::new(body);
                *answer.status_mut() = status;
                answer
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
                answer
            }
        }
    }

    async fn pass(&self, request: Request<Incoming>, line: &Mutex<Line>) -> Result<Answer, refusal::Refused> {
        let (mut parts, body) = request.into_parts();
        let mut query = parts.uri.query().map(ToOwned::to_owned);
        if !auth::exchange(&mut parts.headers, &mut query, &self.token, &self.key) {
            return Err(refusal::Refused::Token);
        }
        let path = parts.uri.path();
        if !paths::is_to_a_model(self.wire, &parts.method, path) {
            return Err(refusal::Refused::Path(format!("{} {path}", parts.method)));
        }
        if parts.method == Method::POST
            && let Some(exceeded) = self.meter.exceeded()
        {
            return Err(refusal::Refused::Limit(exceeded));
        }
        if body.size_hint().lower() > MAX_REQUEST_BYTES as u64 {
            return Err(refusal::Refused::TooLarge);
        }
        let target = self.upstream.target(path, query.as_deref());
        let mut onward = Request::builder().method(parts.method).uri(target);
        if let Some(headers) = onward.headers_mut() {
            *headers = onward_headers(parts.headers);
            headers.extend(self.upstream.host().map(|host| (header::HOST, host)));
        }
        let body = Limited::new(body, MAX_REQUEST_BYTES);
        let onward = onward.body(body).map_err(|error| refusal::Refused::Upstream(error.to_string()))?;
        let answer =
            self.send(onward, line).await.map_err(|error| refusal::Refused::Upstream(chain(&error)))?;
        self.meter.asked();
        let (mut parts, body) = answer.into_parts();
        remove_hop_by_hop(&mut parts.headers);
        let kind =
            parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_stream = kind.starts_with("text/event-stream");
        if is_stream {
            parts.headers.remove(header::CONTENT_LENGTH);
        }
        let body = Passing::new(body, self.wire, is_stream, Arc::clone(&self.meter)).boxed_unsync();
        Ok(Response::from_parts(parts, body))
    }

    /// Sends a request on the connection that is there, or on a new one.
    async fn send(
        &self,
        request: Request<Limited<Incoming>>,
        line: &Mutex<Line>,
    ) -> io::Result<Response<Incoming>> {
        // One request at a time comes on a connection, so nobody waits here.
        let mut line = line.lock().await;
        let line = &mut *line;
        let mut sender = match line.sender.take().filter(SendRequest::is_ready) {
            Some(sender) => sender,
            None => self.upstream.connect(&mut line.tasks).await?,
        };
        let request = request.map(|body| body.map_err(io::Error::other).boxed_unsync());
        let answered = tokio::time::timeout(ANSWER_TIMEOUT, sender.send_request(request)).await;
        let answer = answered
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "it does not answer"))?
            .map_err(io::Error::other)?;
        line.sender = Some(sender);
        Ok(answer)
    }
}

/// What of a request's headers goes on. Answers are not to be compressed, because they are read as they pass.
fn onward_headers(mut headers: HeaderMap) -> HeaderMap {
    remove_hop_by_hop(&mut headers);
    for name in [header::HOST, header::ACCEPT_ENCODING, header::COOKIE, header::EXPECT] {
        headers.remove(name);
    }
    headers
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

fn empty() -> UnsyncBoxBody<Bytes, Broken> {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_one_connection_does_not_go_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, x-mine"),
            ("x-mine", "1"),
            ("host", "127.0.0.1"),
            ("accept-encoding", "gzip"),
            ("anthropic-version", "2023-06-01"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        let onward = onward_headers(headers);
        assert_eq!(onward.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["anthropic-version"]);
    }
}
