//! A listener of a test's own, and clients that write bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRef, FromRequest as _, State};
use axum::response::Response;
use axum::routing::{get, post};
use conductor_client::{Link, Options as ControlOptions, Patience, Target};
use conductor_protocol::control::{ActorView, Call};
use conductor_runtime::clock::{Clock, ManualClock, Reading};
use conductor_runtime::config::{self, Sources, Tls};
use conductor_runtime::lifecycle::Shutdown;
use conductor_web::{
    Caller, Client, Listener, Options, Refusal, Site, Streamed, Whole, method_not_allowed, not_found, serve,
};
use futures_util::stream;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::orchestrator::People;

/// How long any step may take.
pub const LIMIT: Duration = Duration::from_secs(20);

/// A listener of a test's own.
pub struct Place {
    pub site: Site,
    pub address: SocketAddr,
    pub people: People,
    pub clock: ManualClock,
    pub shutdown: Shutdown,
    begun: Arc<Notify>,
}

#[derive(Clone)]
struct App {
    site: Site,
    begun: Arc<Notify>,
}

impl FromRef<App> for Site {
    fn from_ref(app: &App) -> Self {
        app.site.clone()
    }
}

impl Place {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// One with other options.
    pub async fn with(change: impl FnOnce(&mut Options)) -> Self {
        Self::on("127.0.0.1:0", &Tls::default(), change).await
    }

    /// One that listens elsewhere, or with a certificate.
    pub async fn on(address: &str, tls: &Tls, change: impl FnOnce(&mut Options)) -> Self {
        let sources =
            Sources { env: vec![("CONDUCTOR_HOME".into(), "/nowhere".into())], ..Sources::default() };
        let mut options = Options::new(&config::load(&sources).unwrap().config, "http");
        change(&mut options);
        let clock = ManualClock::new(Reading { mono_ms: 1_000_000, wall_ms: 0 });
        let (shutdown, people) = (Shutdown::new(), People::default());
        let control = people.connect(ControlOptions::new("test")).await;
        let target = Target::of_socket("/nowhere/control.sock".as_ref());
        let link = Link::over(target, ControlOptions::new("test"), Patience::None, control);
        let site = Site::start(options, link, Clock::Manual(clock.clone()), &shutdown);
        let listener = Listener::bind(address, tls).await.unwrap();
        let address = listener.address();
        let begun = Arc::new(Notify::new());
        let served = serve(listener, site.clone(), router(site.clone(), begun.clone()), shutdown.clone());
        shutdown.spawn("listener", served);
        Self { site, address, people, clock, shutdown, begun }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Waits until a request's body is being read.
    pub async fn until_under_way(&self) {
        let under_way = self.begun.notified();
        tokio::time::timeout(LIMIT, under_way).await.expect("the request is read");
    }

    /// Writes a request and reads all that comes back.
    pub async fn send(&self, request: &str) -> Answer {
        converse(self.connect().await, request).await
    }

    /// Asks for a path with some headers.
    pub async fn ask(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        let host = format!("Host: {}", self.address);
        let host: &[&str] = if headers.iter().any(|it| it.starts_with("Host:")) { &[] } else { &[&host] };
        let headers = [host, headers, &["Content-Length: 0", "Connection: close"]].concat();
        self.send(&format!("{method} {path} HTTP/1.1\r\n{}\r\n\r\n", headers.join("\r\n"))).await
    }

    /// Asks for a path with a bearer token.
    pub async fn with_token(&self, path: &str, token: &str) -> Answer {
        self.ask("GET", path, &[&format!("Authorization: Bearer {token}")]).await
    }
}

/// Writes a request and reads all that comes back.
pub async fn converse<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: &str) -> Answer {
    // It may be refused before it was read to its end.
    let _refused = stream.write_all(request.as_bytes()).await;
    read(&mut stream).await
}

/// Reads all that comes until the other end closes.
pub async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Answer {
    let mut bytes = Vec::new();
    let reading = async {
        let mut buffer = [0; 4_096];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            bytes.extend_from_slice(&buffer[..count]);
        }
    };
    tokio::time::timeout(LIMIT, reading).await.expect("the connection is closed in time");
    Answer { text: String::from_utf8_lossy(&bytes).into_owned() }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub text: String,
}

impl Answer {
    pub fn status(&self) -> u16 {
        let word = self.text.split(' ').nth(1).unwrap_or_default();
        word.parse().unwrap_or_else(|_| panic!("no answer: {self:?}"))
    }

    pub fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let head = self.text.split("\r\n\r\n").next()?;
        let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    /// The same, when it is a problem of this kind.
    pub fn problem(self, status: u16, code: &str) -> Self {
        assert_eq!(self.status(), status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem: serde_json::Value = serde_json::from_str(self.body()).unwrap();
        assert_eq!((&problem["status"], &problem["code"]), (&status.into(), &code.into()), "{self:?}");
        self
    }

    /// The body, when it was a success.
    pub fn ok(&self) -> &str {
        assert_eq!(self.status(), 200, "{self:?}");
        self.body()
    }
}

fn router(site: Site, begun: Arc<Notify>) -> Router {
    Router::new()
        .route("/open", get(async || "open"))
        .route("/me", get(me))
        .route("/actor", get(actor))
        .route("/change", post(me))
        .route("/form", post(form))
        .route("/whole", post(whole))
        .route("/upload", post(upload))
        .route("/where", get(seen))
        .route("/stream", get(streamed))
        .route("/large", get(async || Body::from(vec![b'x'; 64 << 20])))
        .route("/panic", get(panic_now))
        .route("/panic-later", get(panic_later))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(App { site, begun })
}

async fn whole(State(app): State<App>, request: axum::extract::Request) -> Result<String, Refusal> {
    app.begun.notify_one();
    let Whole(bytes) = Whole::from_request(request, &app).await?;
    Ok(bytes.len().to_string())
}

async fn me(caller: Caller) -> String {
    format!("{} from {}", caller.identity.name, caller.address)
}

async fn actor(State(site): State<Site>, caller: Caller) -> Result<String, Refusal> {
    let actor: ActorView = caller.control(&site).await?.ask(Call::Questions).await?;
    Ok(format!("{} by {} from {}", actor.name, actor.via, actor.address.unwrap_or_default()))
}

async fn form(caller: Caller, offered: String) -> Result<String, Refusal> {
    caller.check_csrf(&offered).map(|()| "done".to_owned())
}

async fn upload(mut body: Streamed) -> Result<String, Refusal> {
    let mut total = 0;
    while let Some(piece) = body.next().await? {
        total += piece.len();
    }
    Ok(total.to_string())
}

async fn seen(State(site): State<Site>, request: axum::extract::Request) -> String {
    let client: &Client = request.extensions().get().unwrap();
    let (address, https) = (client.address, client.https);
    format!("{} {} {address} {https}", request.uri().path(), site.path("/next"))
}

/// Says hello, and ends when its reader is nobody any more.
async fn streamed(State(site): State<Site>, caller: Caller) -> Response {
    let first = stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"hello\n")) });
    let last = stream::once(async move {
        caller.alive(&site).await;
        Ok(Bytes::from_static(b"bye\n"))
    });
    Response::new(Body::from_stream(futures_util::StreamExt::chain(first, last)))
}

async fn panic_now() -> &'static str {
    assert!(Arc::new(1) == Arc::new(2), "a handler's bug");
    ""
}

async fn panic_later() -> Response {
    let pieces = [Ok::<_, std::io::Error>(Bytes::from_static(b"hello\n"))];
    let bug = stream::once(async { panic!("a stream's bug") });
    Response::new(Body::from_stream(futures_util::StreamExt::chain(stream::iter(pieces), bug)))
}
