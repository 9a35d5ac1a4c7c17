//! All programs of a test's own, and a client that reads what they say over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use conductor_protocol::control::{CreateToken, Groups, Role};
use conductor_testkit::world::{Spawned, World, eventually, within};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

pub const LIMIT: Duration = Duration::from_secs(30);

/// All programs of a test's own.
pub struct Place {
    pub world: World,
    pub up: Spawned,
    pub address: SocketAddr,
    pub admin: String,
}

impl Place {
    pub async fn new() -> Self {
        Self::with(|world| world).await
    }

    /// One with other settings.
    pub async fn with(settings: impl FnOnce(World) -> World) -> Self {
        Self::at(settings(World::new())).await
    }

    /// Starts all programs in a world, which may have had others.
    pub async fn at(world: World) -> Self {
        let up = world.up().await;
        let address = eventually(LIMIT, "the API says where it listens", async || {
            let said = up.said();
            let line = said.lines().find(|line| line.trim_start().starts_with("API "))?;
            line.rsplit_once("//")?.1.trim().parse().ok()
        })
        .await;
        let admin = std::fs::read_to_string(world.home().token_file()).unwrap().trim().to_owned();
        Self { world, up, address, admin }
    }

    /// Makes a token.
    pub async fn token(&self, name: &str, role: Role, groups: &[&str]) -> String {
        let groups = match groups {
            [] => Groups::All,
            some => Groups::Only(some.iter().map(|group| (*group).to_owned()).collect()),
        };
        let token = CreateToken { name: name.to_owned(), role, groups, expires_in_seconds: None };
        self.world.connect().await.create_token(token).await.unwrap().secret
    }

    pub fn ask(&self, method: &str, path: &str) -> Request<'_> {
        Request {
            place: self,
            method: method.into(),
            path: path.into(),
            head: String::new(),
            body: Vec::new(),
        }
        .token(&self.admin)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path).send().await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask("POST", path).json(&body).send().await
    }

    /// Submits a task, and answers its id.
    pub async fn submit(&self, task: Value) -> String {
        self.post("/v1/tasks", task).await.with(201).json()["id"].as_str().unwrap().to_owned()
    }

    /// Submits a prompt, and waits until its task is over.
    pub async fn run(&self, prompt: &str) -> String {
        let id = self.submit(json!({"prompt": prompt})).await;
        self.over(&id).await;
        id
    }

    /// Waits until a task is over.
    pub async fn over(&self, id: &str) -> Value {
        let task = self.get(&format!("/v1/tasks/{id}?wait_seconds=30")).await.with(200).json();
        let state = task["state"].as_str().unwrap();
        assert!(["succeeded", "failed", "cancelled"].contains(&state), "{task}");
        task
    }
}

/// A request that is being put together.
pub struct Request<'a> {
    place: &'a Place,
    method: String,
    path: String,
    head: String,
    body: Vec<u8>,
}

impl Request<'_> {
    pub fn header(mut self, line: &str) -> Self {
        self.head.push_str(&format!("{line}\r\n"));
        self
    }

    pub fn token(mut self, token: &str) -> Self {
        let others = self.head.lines().filter(|line| !line.starts_with("Authorization"));
        self.head = others.map(|line| format!("{line}\r\n")).collect();
        self.header(&format!("Authorization: Bearer {token}"))
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("Content-Type: application/json").body(body.to_string())
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    async fn begin(self) -> BufReader<TcpStream> {
        let (address, length) = (self.place.address, self.body.len());
        // HTTP/1.0: the answer ends with the connection and is not chunked.
        let head = format!("{} {} HTTP/1.0\r\nHost: {address}\r\n", self.method, self.path);
        let head = format!("{head}{}Content-Length: {length}\r\n\r\n", self.head);
        let mut stream = TcpStream::connect(address).await.expect("the API listens");
        stream.write_all(head.as_bytes()).await.unwrap();
        // Who is refused early may find the connection closed.
        let _ = stream.write_all(&self.body).await;
        BufReader::new(stream)
    }

    pub async fn send(self) -> Answer {
        let path = self.path.clone();
        within(LIMIT, &path, async {
            let mut open = Open::begin(self.begin().await).await;
            let mut body = Vec::new();
            open.stream.read_to_end(&mut body).await.unwrap();
            Answer { status: open.status, head: open.head, body }
        })
        .await
    }

    /// Begins to read an answer that goes on.
    pub async fn open(self) -> Open {
        let path = self.path.clone();
        within(LIMIT, &path, async { Open::begin(self.begin().await).await }).await
    }
}

/// An answer that goes on.
pub struct Open {
    pub status: u16,
    pub head: String,
    pub stream: BufReader<TcpStream>,
}

/// A server-sent event.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Sse {
    pub kind: String,
    pub id: Option<String>,
    pub data: String,
}

impl Sse {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Open {
    async fn begin(mut stream: BufReader<TcpStream>) -> Self {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).await.unwrap() > 0, "the answer broke off: {head:?}");
        }
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("a status");
        Self { status, head, stream }
    }

    /// The next line; nothing at the end.
    pub async fn line(&mut self) -> Option<String> {
        within(LIMIT, "a line", async {
            let mut line = String::new();
            let read = self.stream.read_line(&mut line).await.unwrap_or_default();
            (read > 0).then(|| line.trim_end_matches('\n').to_owned())
        })
        .await
    }

    /// The next event; nothing at the end.
    pub async fn event(&mut self) -> Option<Sse> {
        let mut event = Sse::default();
        loop {
            let line = self.line().await?;
            match line.split_once(": ") {
                Some(("event", kind)) => event.kind = kind.to_owned(),
                Some(("id", id)) => event.id = Some(id.to_owned()),
                Some(("data", data)) => event.data = data.to_owned(),
                _ if line.is_empty() && !event.data.is_empty() => return Some(event),
                _ => {}
            }
        }
    }

    /// The next event that fits.
    pub async fn until(&mut self, fits: impl Fn(&Sse) -> bool) -> Sse {
        loop {
            let event = self.event().await.expect("the stream goes on");
            if fits(&event) {
                return event;
            }
        }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The same, when it has this status.
    #[track_caller]
    pub fn with(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.text());
        self
    }

    /// Its problem, when it is one with this code.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Value {
        let problem = self.with(status);
        assert_eq!(problem.header("content-type"), Some("application/problem+json"), "{}", problem.head);
        let problem = problem.json();
        assert_eq!((problem["code"].as_str(), problem["status"].as_u64()), (Some(code), Some(status.into())));
        problem
    }
}

/// The pointers of a problem's faults.
pub fn pointers(problem: &Value) -> Vec<&str> {
    let faults = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    faults.iter().filter_map(|fault| fault["pointer"].as_str()).collect()
}
