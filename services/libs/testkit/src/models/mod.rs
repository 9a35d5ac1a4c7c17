//! Model servers on loopback that say what a test scripts, in the three dialects that coding agents speak.
//!
//! A script is found by its marker, a text that the test puts into a prompt: of the markers in a request the last counts, so
//! that a later prompt of the same session has a script of its own. Each request takes the next turn; the last one repeats.

mod anthropic;
mod gemini;
mod openai;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// The most bytes of a request.
const MAX_REQUEST_BYTES: usize = 64 << 20;
/// What each turn that is answered is said to have used.
pub const INPUT_TOKENS: u64 = 100;
/// Of which so many were cached.
pub const CACHED_TOKENS: u64 = 20;
/// What it is said to have written.
pub const OUTPUT_TOKENS: u64 = 30;

/// Whose dialect a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `POST /v1/messages`.
    Anthropic,
    /// `POST /v1/responses`.
    OpenAi,
    /// `POST /v1beta/models/MODEL:streamGenerateContent`.
    Gemini,
}

/// What a server does with one request.
#[derive(Debug, Clone)]
pub enum Turn {
    /// Says a text, which ends the agent's turn.
    Say(String),
    /// Has the agent run a shell command.
    Run(String),
    /// Has the agent use a tool of an MCP server, with an input made of the text of the request.
    Use(&'static str, fn(&str) -> Value),
    /// Answers with a status, a body and headers.
    Refuse(u16, Value, Vec<(&'static str, String)>),
    /// Never answers.
    Hang,
    /// Says a text and cuts the connection in its middle.
    Cut(String),
    /// Says a text and then nothing more, with the connection open.
    Trail(String),
}

impl Turn {
    /// Says a text.
    pub fn say(text: impl Into<String>) -> Self {
        Self::Say(text.into())
    }

    /// Has a command run.
    pub fn run(command: impl Into<String>) -> Self {
        Self::Run(command.into())
    }
}

/// A server and what it was asked.
#[derive(Debug)]
pub struct ModelServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    dialect: Dialect,
    scripts: Mutex<Vec<(String, VecDeque<Turn>)>>,
    requests: Mutex<Vec<Value>>,
    keys: Mutex<Vec<String>>,
}

impl ModelServer {
    /// Starts a server on a free port.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start(dialect: Dialect) -> Self {
        let shared = Arc::new(Shared {
            dialect,
            scripts: Mutex::default(),
            requests: Mutex::default(),
            keys: Mutex::default(),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("a server on loopback serves");
        });
        Self { address, shared, serving }
    }

    /// Answers requests with this marker by these turns.
    #[must_use]
    pub fn script(self, marker: &str, turns: impl IntoIterator<Item = Turn>) -> Self {
        self.add(marker, turns);
        self
    }

    /// The same for a server that runs already.
    pub fn add(&self, marker: &str, turns: impl IntoIterator<Item = Turn>) {
        let mut scripts = self.shared.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        scripts.retain(|(known, _)| known != marker);
        scripts.push((marker.to_owned(), turns.into_iter().collect()));
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The bodies of the requests that took a turn.
    #[must_use]
    pub fn requests(&self) -> Vec<Value> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The keys that were shown, in any of the places for them.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.shared.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Shared {
    /// The next turn of the script whose marker comes last in the request.
    fn take(&self, body: &str) -> Option<Turn> {
        let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, turns) = scripts
            .iter_mut()
            .filter_map(|(marker, turns)| Some((body.rfind(marker.as_str())?, turns)))
            .max_by_key(|(at, _)| *at)?;
        if turns.len() > 1 { turns.pop_front() } else { turns.front().cloned() }
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (path, method) = (request.uri().path().to_owned(), request.method().clone());
    let shown = ["x-api-key", "authorization", "x-goog-api-key"].into_iter().filter_map(|name| {
        request.headers().get(name)?.to_str().ok().map(|value| value.trim_start_matches("Bearer ").to_owned())
    });
    shared.keys.lock().unwrap_or_else(PoisonError::into_inner).extend(shown);
    if method != Method::POST {
        return axum::Json(json!({"data": [], "models": []})).into_response();
    }
    let Ok(bytes) = axum::body::to_bytes(request.into_body(), MAX_REQUEST_BYTES).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let dialect = shared.dialect;
    if let Some(aside) = match dialect {
        Dialect::Anthropic => anthropic::aside(&path),
        Dialect::OpenAi => openai::aside(&path),
        Dialect::Gemini => gemini::aside(&path),
    } {
        return axum::Json(aside).into_response();
    }
    let text = String::from_utf8_lossy(&bytes);
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let model = body.get("model").and_then(Value::as_str).unwrap_or("model").to_owned();
    if let Some(turn) = openai::aside_of(&text).filter(|_| dialect == Dialect::OpenAi) {
        return sse(openai::events(&turn, &text), End::Whole);
    }
    let turn = shared.take(&text);
    shared.requests.lock().unwrap_or_else(PoisonError::into_inner).push(body);
    match turn {
        None => (StatusCode::BAD_REQUEST, "no script has a marker that is in this request").into_response(),
        Some(Turn::Hang) => std::future::pending().await,
        Some(Turn::Refuse(status, body, headers)) => {
            let status = StatusCode::from_u16(status).expect("a test refuses with a status");
            let mut response = (status, axum::Json(body)).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().expect("a test sends headers"));
            }
            response
        }
        Some(turn) => {
            let end = match &turn {
                Turn::Cut(_) => End::Cut,
                Turn::Trail(_) => End::Never,
                _ => End::Whole,
            };
            let events = match dialect {
                Dialect::Anthropic => anthropic::events(&turn, &model, &text),
                Dialect::OpenAi => openai::events(&turn, &text),
                Dialect::Gemini => gemini::events(&turn, &text),
            };
            sse(events, end)
        }
    }
}

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    Cut,
    Never,
}

/// Events as they are streamed; one that is cut ends with an error of the connection.
fn sse(events: Vec<Value>, end: End) -> Response {
    let chunk = |event: Value| {
        let name = event["type"].as_str().map(|name| format!("event: {name}\n")).unwrap_or_default();
        Ok::<_, std::io::Error>(Bytes::from(format!("{name}data: {event}\n\n")))
    };
    let said = stream::iter(events).map(chunk);
    let body = match end {
        End::Whole => Body::from_stream(said),
        End::Cut => {
            let cut = Err(std::io::Error::other("the test cuts it"));
            Body::from_stream(said.chain(stream::iter([cut])))
        }
        End::Never => Body::from_stream(said.chain(stream::pending())),
    };
    ([("content-type", "text/event-stream")], body).into_response()
}

/// A name for a message, a response or a call that no other has.
fn fresh(prefix: &str) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{prefix}_{:08}", NEXT.fetch_add(1, Ordering::Relaxed))
}
