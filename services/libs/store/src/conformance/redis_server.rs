//! A Redis of a test's own, on a port of the loopback that nobody uses.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The program; of the Debian package of the same name.
const PROGRAM: &str = "redis-server";
/// The variable that names another in its place, such as Valkey's.
const PROGRAM_VARIABLE: &str = "CONDUCTOR_TEST_REDIS";

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(10);

/// Ports that are tried: another program may take one before the server does.
const TRIES: usize = 5;

/// A server that appends to a file and waits for the disk before it acknowledges, unless it is told otherwise. It ends
/// with this value.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    port: u16,
    dir: PathBuf,
    settings: Vec<(String, String)>,
}

impl RedisServer {
    /// Starts one that keeps its files in `dir`; none where the program is not installed, and says so.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(dir: &Path, settings: &[(&str, &str)]) -> Option<Self> {
        if Command::new(program()).arg("--version").stdout(Stdio::null()).status().is_err() {
            eprintln!("skipped: {} is not installed", program());
            return None;
        }
        let mut all = vec![
            ("appendonly".to_owned(), "yes".to_owned()),
            ("appendfsync".to_owned(), "always".to_owned()),
            ("save".to_owned(), String::new()),
        ];
        all.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        for _ in 0..TRIES {
            let port = free_port();
            let child = spawn(dir, port, &all);
            let mut server = Self { child, port, dir: dir.to_owned(), settings: all.clone() };
            if server.comes_up() {
                return Some(server);
            }
        }
        panic!("{} does not come up; it said:\n{}", program(), said(dir));
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// The process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it as a crash does.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        self.child.wait().expect("a child can be waited for");
    }

    /// Starts it again on the same port with what it kept.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.dir, self.port, &self.settings);
        assert!(self.comes_up(), "{} does not come up again; it said:\n{}", program(), said(&self.dir));
    }

    /// Sends a command whose words hold no spaces, and gives the first line of the answer.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn ask(&self, command: &str) -> String {
        ask(self.port, command).expect("the server answers")
    }

    fn comes_up(&mut self) -> bool {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if self.child.try_wait().expect("a child can be waited for").is_some() {
                return false;
            }
            match ask(self.port, "PING") {
                // One that asks for a password is up as well.
                Ok(answer) if answer.starts_with("+PONG") || answer.starts_with("-NOAUTH") => return true,
                _ => std::thread::sleep(LOOK),
            }
        }
        false
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> String {
    std::env::var(PROGRAM_VARIABLE).unwrap_or_else(|_| PROGRAM.to_owned())
}

fn spawn(dir: &Path, port: u16, settings: &[(String, String)]) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log_path(dir));
    let mut command = Command::new(program());
    command.args(["--bind", "127.0.0.1", "--daemonize", "no", "--dir"]).arg(dir);
    command.arg("--port").arg(port.to_string());
    for (name, value) in settings {
        command.arg(format!("--{name}")).args(value.split(' '));
    }
    let log = log.expect("a temporary folder can be written");
    command.stdin(Stdio::null()).stderr(Stdio::null()).stdout(log);
    command.spawn().expect("the server can be started")
}

fn log_path(dir: &Path) -> PathBuf {
    dir.join("redis.out")
}

fn said(dir: &Path) -> String {
    std::fs::read_to_string(log_path(dir)).unwrap_or_default()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback has a free port");
    listener.local_addr().expect("a listener has an address").port()
}

fn ask(port: u16, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}
