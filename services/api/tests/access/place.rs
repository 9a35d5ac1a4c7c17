//! An orchestrator and an API of a test's own.

use std::net::SocketAddr;
use std::time::Duration;

use conductor_client::{Control, Link, Options, Patience, Target};
use conductor_orchestrator::Running;
use conductor_protocol::control::{CreateToken, Groups, Role};
use conductor_runtime::clock::Clock;
use conductor_runtime::config::{Loaded, Sources, load};
use conductor_runtime::lifecycle::Shutdown;
use conductor_runtime::paths::Home;
use conductor_testkit::world::within;
use serde_json::Value;
use serde_json::value::to_raw_value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub const LIMIT: Duration = Duration::from_secs(20);

/// An orchestrator and an API of a test's own.
pub struct Place {
    _folder: tempfile::TempDir,
    _running: Running,
    pub address: SocketAddr,
    /// The orchestrator's owner.
    pub control: Control,
    pub admin: String,
    pub home: Home,
    /// Ends the API, and all that is below it.
    pub shutdown: Shutdown,
}

/// A home of a test's own, and its configuration.
pub fn home(keys: &[(&str, &str)]) -> (tempfile::TempDir, Loaded) {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().display().to_string();
    let own = [("CONDUCTOR_HOME", home.as_str()), ("CONDUCTOR__API__LISTEN", "127.0.0.1:0")];
    let env = own.iter().chain(keys).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let loaded = load(&Sources { env, ..Sources::default() }).unwrap();
    (folder, loaded)
}

/// Starts an orchestrator in this process.
pub async fn orchestrate(loaded: &Loaded, shutdown: &Shutdown) -> Running {
    let mut config = conductor_orchestrator::Config::new(&loaded.config, loaded.home.clone()).unwrap();
    (config.reserve_bytes, config.free_floor_bytes) = (1 << 20, 1 << 20);
    conductor_orchestrator::start(config, Clock::System, shutdown).await.unwrap()
}

impl Place {
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// The same, with keys of the configuration.
    pub async fn with(keys: &[(&str, &str)]) -> Self {
        let (folder, loaded) = home(keys);
        let shutdown = Shutdown::new();
        let running = orchestrate(&loaded, &shutdown).await;
        let options = || Options::new("test");
        let control =
            Control::over(running.connect().unwrap(), running.control_key(), options()).await.unwrap();
        let link = Link::over(Target::of_home(&loaded.home), options(), Patience::None, control.clone());
        let config = conductor_api::Config::new(&loaded.config);
        let api = conductor_api::start(config, Clock::System, &shutdown, link).await.unwrap();
        let admin = std::fs::read_to_string(loaded.home.token_file()).unwrap().trim().to_owned();
        let home = loaded.home;
        Self { _folder: folder, _running: running, address: api.address, control, admin, home, shutdown }
    }

    /// Makes a token.
    pub async fn token(&self, name: &str, role: Role, groups: Groups) -> String {
        let token = CreateToken { name: name.to_owned(), role, groups, expires_in_seconds: None };
        self.control.create_token(token).await.unwrap().secret
    }

    /// Submits a task of a group.
    pub async fn submit(&self, group: &str) -> String {
        let task = serde_json::json!({"prompt": "print a", "group": group});
        let tasks = vec![to_raw_value(&task).unwrap()];
        let submit = conductor_protocol::control::Submit { tasks, key: None };
        self.control.submit(submit).await.unwrap().ids[0].to_string()
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.ask("GET", path, Some(token), &[], "").await
    }

    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        headers: &[&str],
        body: &str,
    ) -> Answer {
        ask(self.address, method, path, token, headers, body).await.expect("the API listens")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shutdown.kill();
    }
}

/// Asks and reads the whole answer; nothing when nobody listens.
pub async fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    headers: &[&str],
    body: &str,
) -> Option<Answer> {
    ask_as(address, &address.to_string(), method, path, token, headers, body).await
}

/// The same, with a name of its own for the host.
pub async fn ask_as(
    address: SocketAddr,
    host: &str,
    method: &str,
    path: &str,
    token: Option<&str>,
    headers: &[&str],
    body: &str,
) -> Option<Answer> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for header in headers {
        head.push_str(&format!("{header}\r\n"));
    }
    if let Some(token) = token {
        head.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    if !body.is_empty() {
        head.push_str("Content-Type: application/json\r\n");
    }
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut text = Vec::new();
    within(LIMIT, path, stream.read_to_end(&mut text)).await.ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The same, when it has this status.
    pub fn with(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}
