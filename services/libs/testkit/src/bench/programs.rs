//! The programs that are measured, each in a process of its own.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::Value;

use super::wire::Connection;

/// How long a program may take to answer, or to end.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often it is asked whether it answers yet.
const LOOK: Duration = Duration::from_millis(2);

/// A folder with everything that the programs keep; it goes when this is dropped.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    bin_dir: PathBuf,
    settings: Vec<(&'static str, String)>,
    _folder: tempfile::TempDir,
}

impl Home {
    /// Makes one below `dir`.
    pub fn new(dir: &Path, bin_dir: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(dir)?;
        Ok(Self {
            path: folder.path().canonicalize()?,
            bin_dir: bin_dir.canonicalize()?,
            settings: Vec::new(),
            _folder: folder,
        })
    }

    /// Sets a variable for the programs that are started from now on.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.settings.push((name, value.to_owned()));
    }

    /// The agents' socket.
    pub fn agent_socket(&self) -> PathBuf {
        self.path.join("run/agent.sock")
    }

    /// The key that is said at the agents' socket.
    pub fn agent_key(&self) -> io::Result<String> {
        key(&self.path.join("run/agent.key"))
    }

    /// Starts the orchestrator and waits until it answers; says how long that took.
    pub fn orchestrator(&self) -> io::Result<(Program, Duration)> {
        // A socket that was left behind by a killed one is no answer.
        let _ = fs::remove_file(self.path.join("run/control.key"));
        let begin = Instant::now();
        let mut program = self.program("conductor-orchestrator", &[])?;
        loop {
            program.check()?;
            if let Ok(mut control) = self.control() {
                ask(&mut control, "\"status\"")?;
                return Ok((program, begin.elapsed()));
            }
            if begin.elapsed() > PATIENCE {
                return Err(io::Error::other("the orchestrator does not answer"));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Starts an agent.
    pub fn agent(&self, slots: u32) -> io::Result<Program> {
        self.program("conductor-agent", &[("CONDUCTOR__AGENT__SLOTS", &slots.to_string())])
    }

    /// Starts the API and waits until it is ready; says where it listens.
    pub fn api(&self) -> io::Result<(Program, SocketAddr)> {
        self.web("conductor-api", "CONDUCTOR__API__LISTEN", "/readyz")
    }

    /// Starts the dashboard and waits until it is ready; says where it listens.
    pub fn dashboard(&self) -> io::Result<(Program, SocketAddr)> {
        self.web("conductor-dashboard", "CONDUCTOR__DASHBOARD__LISTEN", "/login")
    }

    fn web(&self, name: &'static str, key: &str, path: &str) -> io::Result<(Program, SocketAddr)> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut program = self.program(name, &[(key, &address.to_string())])?;
        let begin = Instant::now();
        loop {
            program.check()?;
            if is_ready(address, path).unwrap_or(false) {
                return Ok((program, address));
            }
            if begin.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("{name} does not become ready")));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// The admin token.
    pub fn token(&self) -> io::Result<String> {
        key(&self.path.join("config/token"))
    }

    /// Waits until History shows everything; answers how long that took.
    pub fn caught_up(&self) -> io::Result<Duration> {
        let begin = Instant::now();
        let mut control = self.control()?;
        loop {
            let status = ask(&mut control, "\"status\"")?;
            if status["history_lag"] == 0 {
                return Ok(begin.elapsed());
            }
            if begin.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("History is still behind: {status}")));
            }
            std::thread::sleep(LOOK);
        }
    }

    fn program(&self, name: &'static str, environment: &[(&str, &str)]) -> io::Result<Program> {
        let log = File::create(self.path.join(format!("{name}.out")))?;
        let path = self.bin_dir.join(name);
        let child = Command::new(&path)
            .env("CONDUCTOR_HOME", &self.path)
            .env("CONDUCTOR__TASKS__MAX_QUEUED", "10000000")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| io::Error::other(format!("cannot start {}: {error}", path.display())))?;
        Ok(Program { name, child, home: self.path.clone() })
    }

    /// Opens a connection as a client.
    pub fn control(&self) -> io::Result<Connection> {
        let key = key(&self.path.join("run/control.key"))?;
        let mut connection = Connection::open(&self.path.join("run/control.sock"))?;
        connection.say(&format!(r#"{{"protocol":1,"key":"{key}","client":"conductor-bench"}}"#))?;
        let opened = connection.hear()?;
        if !opened.starts_with(r#"{"welcome""#) {
            return Err(io::Error::other(format!("not let in: {opened}")));
        }
        Ok(connection)
    }
}

/// Whether a program that speaks HTTP says that it can serve.
fn is_ready(address: SocketAddr, path: &str) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    Ok(head.ends_with(b"200"))
}

fn key(path: &Path) -> io::Result<String> {
    Ok(fs::read_to_string(path)?.trim().to_owned())
}

/// Asks one thing and waits for the answer.
pub fn ask(control: &mut Connection, call: &str) -> io::Result<Value> {
    control.say(&format!(r#"{{"id":1,"call":{call}}}"#))?;
    let answer: Value = serde_json::from_str(control.hear()?).map_err(io::Error::other)?;
    match answer.pointer("/body/ok") {
        Some(ok) => Ok(ok.clone()),
        None => Err(io::Error::other(format!("the orchestrator answered {call} with {answer}"))),
    }
}

/// How many tasks live, in the answer to `queue`.
pub fn live(queue: &Value) -> u64 {
    let states = queue["by_state"].as_object();
    states.into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum()
}

/// A program; it is killed when this is dropped.
#[derive(Debug)]
pub struct Program {
    name: &'static str,
    child: Child,
    home: PathBuf,
}

impl Program {
    /// What it is called.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its memory in bytes, now and at its highest.
    pub fn memory(&self) -> io::Result<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
            kib.map(|kib| kib << 10).ok_or_else(|| io::Error::other(format!("no {name} in the status")))
        };
        Ok((field("VmRSS:")?, field("VmHWM:")?))
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(mut self) -> io::Result<()> {
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, Signal::TERM)?;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(self.ended(&status.to_string())) }
    }

    /// Kills it.
    pub fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    fn check(&mut self) -> io::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(self.ended(&status.to_string())),
        }
    }

    fn ended(&self, how: &str) -> io::Error {
        let said = fs::read_to_string(self.home.join(format!("{}.out", self.name))).unwrap_or_default();
        io::Error::other(format!("{} ended with {how}; it said:\n{said}", self.name))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
