//! An orchestrator and a dashboard of a test's own, in this process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use conductor_client::{Control, Link, Options, Patience, Target};
use conductor_orchestrator::Running;
use conductor_protocol::control::{CreateToken, Groups, Role, Submit};
use conductor_runtime::clock::Clock;
use conductor_runtime::config::{Sources, load};
use conductor_runtime::lifecycle::Shutdown;
use conductor_testkit::agent;
use conductor_testkit::world::within;
use serde_json::Value;
use serde_json::value::to_raw_value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub const LIMIT: Duration = Duration::from_secs(20);

pub struct Place {
    _folder: tempfile::TempDir,
    _running: Running,
    address: SocketAddr,
    pub url: String,
    /// The orchestrator's owner.
    pub control: Control,
    pub admin: String,
    agent_socket: PathBuf,
    shutdown: Shutdown,
}

impl Place {
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// The same, with keys of the configuration.
    pub async fn with(keys: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().display().to_string();
        let env = [("CONDUCTOR_HOME", home.as_str()), ("CONDUCTOR__DASHBOARD__LISTEN", "127.0.0.1:0")];
        let env =
            env.iter().chain(keys).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let loaded = load(&Sources { env, ..Sources::default() }).unwrap();
        let shutdown = Shutdown::new();
        let mut config = conductor_orchestrator::Config::new(&loaded.config, loaded.home.clone()).unwrap();
        (config.reserve_bytes, config.free_floor_bytes) = (1 << 20, 1 << 20);
        let running = conductor_orchestrator::start(config, Clock::System, &shutdown).await.unwrap();
        let options = || Options::new("test");
        let control =
            Control::over(running.connect().unwrap(), running.control_key(), options()).await.unwrap();
        let link = Link::over(Target::of_home(&loaded.home), options(), Patience::None, control.clone());
        let config = conductor_dashboard::Config::new(&loaded.config);
        let dashboard = conductor_dashboard::start(config, Clock::System, &shutdown, link).await.unwrap();
        let admin = std::fs::read_to_string(loaded.home.token_file()).unwrap().trim().to_owned();
        let agent_socket = loaded.home.agent_socket();
        let (address, url) = (dashboard.address, dashboard.url);
        Self { _folder: folder, _running: running, address, url, control, admin, agent_socket, shutdown }
    }

    pub async fn token(&self, name: &str, role: Role, groups: Groups) -> String {
        let token = CreateToken { name: name.to_owned(), role, groups, expires_in_seconds: None };
        self.control.create_token(token).await.unwrap().secret
    }

    /// An agent that only says what it is.
    pub fn agent(&self, name: &str) -> agent::Options {
        agent::Options::new(&self.agent_socket, name)
    }

    pub async fn submit(&self, task: Value) -> String {
        let submit = Submit { tasks: vec![to_raw_value(&task).unwrap()], key: None };
        self.control.submit(submit).await.unwrap().ids[0].to_string()
    }

    /// Logs in with a token, as a browser does.
    pub async fn log_in(&self, token: &str) -> Browser<'_> {
        let mut browser = Browser { place: self, cookie: None };
        let answer = browser.post("/login", &[("token", token), ("next", "/tasks")]).await.with(303);
        assert_eq!(answer.header("location"), Some("/tasks"));
        let cookie = answer.header("set-cookie").unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        browser.cookie = cookie.split(';').next().map(str::to_owned);
        browser
    }

    pub fn nobody(&self) -> Browser<'_> {
        Browser { place: self, cookie: None }
    }

    async fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            self.address,
            body.len()
        );
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut bytes = Vec::new();
        within(LIMIT, path, stream.read_to_end(&mut bytes)).await.unwrap();
        Answer::read(&String::from_utf8_lossy(&bytes))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shutdown.kill();
    }
}

/// Somebody's browser.
pub struct Browser<'a> {
    place: &'a Place,
    pub cookie: Option<String>,
}

impl Browser<'_> {
    fn headers(&self) -> String {
        self.cookie.as_ref().map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.place.ask("GET", path, &self.headers(), b"").await
    }

    pub async fn get_in(&self, path: &str, language: &str) -> Answer {
        let headers = format!("{}Accept-Language: {language}\r\n", self.headers());
        self.place.ask("GET", path, &headers, b"").await
    }

    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers = format!("{}Content-Type: application/x-www-form-urlencoded\r\n", self.headers());
        self.place.ask("POST", path, &headers, body.as_bytes()).await
    }

    /// Sends a form with files: those whose name is `files` are files called as the second text says.
    pub async fn post_files(&self, path: &str, fields: &[(&str, &str)], files: &[(&str, &[u8])]) -> Answer {
        let mut body = Vec::new();
        for (name, value) in fields {
            let part = format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            body.extend_from_slice(part.as_bytes());
        }
        for (name, bytes) in files {
            let disposition = format!("form-data; name=\"files\"; filename=\"{name}\"");
            body.extend_from_slice(format!("--B\r\nContent-Disposition: {disposition}\r\n\r\n").as_bytes());
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--B--\r\n");
        let headers = format!("{}Content-Type: multipart/form-data; boundary=B\r\n", self.headers());
        self.place.ask("POST", path, &headers, &body).await
    }

    /// The token of the session's forms.
    pub async fn csrf(&self) -> String {
        let page = self.get("/queue").await.with(200);
        page.body.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answer {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let pairs = lines.filter_map(|line| line.split_once(": "));
        let headers = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Self { status, headers, body: body.to_owned() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub fn with(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}
