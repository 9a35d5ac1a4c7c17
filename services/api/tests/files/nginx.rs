//! An nginx of a test's own, before an API of a test's own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use conductor_protocol::control::{Groups, Role};
use conductor_testkit::world::eventually;
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::place::{Answer, Place, ask};

pub const LIMIT: Duration = Duration::from_secs(20);
/// Where browsers are sent to log in.
pub const DASHBOARD: &str = "http://localhost:8080";
/// How long an nginx has to end when it is asked to.
const END: Duration = Duration::from_secs(5);
/// How often another port is tried, when somebody took the one that was free just before.
const TRIES: usize = 5;

/// An orchestrator, an API and an nginx.
pub struct Site {
    pub place: Place,
    pub address: SocketAddr,
    folder: tempfile::TempDir,
    child: Child,
}

impl Site {
    /// Starts all three; nothing where nginx is not installed.
    pub async fn new() -> Option<Self> {
        Self::with(&[]).await
    }

    /// The same, with keys of the configuration.
    pub async fn with(keys: &[(&str, &str)]) -> Option<Self> {
        if Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_err() {
            eprintln!("skipped: nginx is not installed");
            return None;
        }
        let place = Place::with(keys).await;
        for _ in 0..TRIES {
            let folder = tempfile::tempdir().unwrap();
            let (address, health) = (free(), free());
            let mut child = start(&place, folder.path(), address, health);
            let is_up = eventually(LIMIT, "nginx serves or ends", async || {
                if child.try_wait().unwrap().is_some() {
                    return Some(false);
                }
                ask(health, "GET", "/healthz", None, &[], "").await.map(|answer| answer.status == 204)
            });
            if is_up.await {
                return Some(Self { place, address, folder, child });
            }
            eprintln!("{}", said(folder.path()));
        }
        panic!("nginx does not start");
    }

    pub async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        self.ask("GET", path, token, &[]).await
    }

    pub async fn ask(&self, method: &str, path: &str, token: Option<&str>, headers: &[&str]) -> Answer {
        ask(self.address, method, path, token, headers, "").await.expect("nginx listens")
    }

    /// The same under another name.
    pub async fn ask_host(&self, host: &str, path: &str, token: &str) -> Answer {
        let own = self.address.to_string();
        let answer = crate::place::ask_as(self.address, host, "GET", path, Some(token), &[], "").await;
        answer.unwrap_or_else(|| panic!("nginx at {own} listens"))
    }

    /// Asks for a file and reads no more than the first line of the answer, for as long as the stream is kept.
    pub async fn begin(&self, path: &str, token: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        assert!(line.starts_with("HTTP/1.1 200 "), "{line}");
        stream
    }

    /// A task of a group with an empty work folder; answers its id and the folder.
    pub async fn run(&self, group: &str) -> (String, PathBuf) {
        let id = self.place.submit(group).await;
        let work = self.place.home.tasks().join(&id).join("work");
        fs::create_dir_all(&work).unwrap();
        (id, work)
    }

    pub async fn viewer(&self, group: &str) -> String {
        self.place.token(group, Role::Viewer, Groups::Only(vec![group.to_owned()])).await
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // An nginx that is killed leaves its workers, so it is asked first.
        let _ = rustix::process::kill_process(Pid::from_child(&self.child), Signal::TERM);
        let end = Instant::now() + END;
        while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", said(self.folder.path()));
        }
    }
}

fn said(folder: &Path) -> String {
    fs::read_to_string(folder.join("said")).unwrap_or_default()
}

fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// Starts nginx as its container does.
fn start(place: &Place, folder: &Path, address: SocketAddr, health: SocketAddr) -> Child {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../nginx");
    let said = fs::File::create(folder.join("said")).unwrap();
    Command::new("sh")
        .arg(shipped.join("start.sh"))
        .env("CONDUCTOR_NGINX_TEMPLATE", shipped.join("nginx.conf.template"))
        .env("CONDUCTOR_NGINX_RUN", folder)
        .env("CONDUCTOR_NGINX_WORKERS", "1")
        .env("CONDUCTOR_FILES_LISTEN", address.to_string())
        .env("CONDUCTOR_FILES_HEALTH_LISTEN", health.to_string())
        .env("CONDUCTOR_API", place.address.to_string())
        .env("CONDUCTOR_RESOLVER", "127.0.0.1")
        .env("CONDUCTOR_DASHBOARD_URL", DASHBOARD)
        .env("CONDUCTOR_WORKSPACE", &place.home.workspace)
        .env("CONDUCTOR_LOGS", &place.home.logs)
        .stdin(Stdio::null())
        .stdout(said.try_clone().unwrap())
        .stderr(said)
        .spawn()
        .unwrap()
}
