//! A home of a test's own and commands in it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use conductor_testkit::world::World;
use rustix::process::{Pid, Signal, kill_process};

/// How long any step may take.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A home of a test's own. Everything that was started in it ends with it.
pub struct Place {
    pub world: World,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: Vec<u8>,
    pub err: String,
}

impl Ended {
    pub fn text(&self) -> String {
        String::from_utf8(self.out.clone()).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// What it printed, when it exited as expected.
    pub fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", String::from_utf8_lossy(&self.out), self.err);
        self
    }
}

/// A command that runs.
pub struct Going {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        Self { world: World::new() }
    }

    /// One with more configuration.
    pub fn with(keys: &[(&str, &str)]) -> Self {
        Self { world: keys.iter().fold(World::new(), |world, (key, value)| world.with(key, value)) }
    }

    /// One whose commands run without the sandbox, because they keep something beside their folder.
    pub fn unconfined() -> Self {
        Self { world: World::new().with("sandbox.mode", "off") }
    }

    /// Sets a variable of all that is started from now on.
    pub fn set_variable(&mut self, name: &str, value: &std::path::Path) {
        self.world.set_variable(name, value.display());
    }

    /// A command in this home.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conductor"));
        let foreign = std::env::vars_os().map(|(name, _)| name);
        foreign.filter(|name| name.to_string_lossy().starts_with("CONDUCTOR_")).for_each(|name| {
            command.env_remove(name);
        });
        command
            .args(args)
            .envs(self.world.environment())
            .current_dir(self.world.folder())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Ended {
        self.start(args).end()
    }

    /// Runs a command with this on its stdin.
    pub fn feed(&self, args: &[&str], input: &[u8]) -> Ended {
        let mut command = self.command(args);
        command.stdin(Stdio::piped());
        let mut going = self.begin(command);
        let mut stdin = going.child.stdin.take().unwrap();
        // It may refuse before it has read everything.
        let _ = stdin.write_all(input);
        drop(stdin);
        going.end()
    }

    /// Starts a command.
    pub fn start(&self, args: &[&str]) -> Going {
        self.begin(self.command(args))
    }

    pub fn begin(&self, mut command: Command) -> Going {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let [out, err] = ["out", "err"].map(|kind| self.world.folder().join(format!("said/{number}.{kind}")));
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        Going { child: command.spawn().unwrap(), out, err }
    }

    /// Starts a server and waits until it serves.
    pub fn up(&self, args: &[&str]) -> Going {
        let mut going = self.start(&[&["up"], args].concat());
        self.until("the server serves", || {
            assert!(going.child.try_wait().unwrap().is_none(), "{}", going.err());
            self.is_served()
        });
        going
    }

    pub fn is_served(&self) -> bool {
        self.run(&["healthcheck"]).code == Some(0)
    }

    /// Waits until something is so.
    pub fn until(&self, what: &str, mut is: impl FnMut() -> bool) {
        until(what, &mut is);
    }

    /// A file or folder of the test's own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.world.folder().join(name)
    }

    /// What is left of this home: processes and sockets.
    pub fn is_left_clean(&self) {
        assert_eq!(self.world.processes(), [], "processes are left");
        for socket in [self.world.home().control_socket(), self.world.home().agent_socket()] {
            assert!(!socket.exists(), "{} is left", socket.display());
        }
    }

    /// Submits a task to the server that runs and gives its id.
    pub fn submit(&self, args: &[&str]) -> String {
        self.run(&[&["submit"], args].concat()).with(0).text().trim().to_owned()
    }

    /// The run folder of a task.
    pub fn folder(&self, id: &str) -> PathBuf {
        self.world.home().tasks().join(id)
    }
}

pub fn until(what: &str, is: &mut dyn FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !is() {
        assert!(Instant::now() < end, "not within {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Going {
    pub fn out(&self) -> String {
        read(&self.out)
    }

    pub fn err(&self) -> String {
        read(&self.err)
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        let end = Instant::now() + LIMIT;
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "it does not end:\n{}\n{}", self.out(), self.err());
            std::thread::sleep(Duration::from_millis(10));
        };
        Ended { code: status.code(), out: fs::read(&self.out).unwrap(), err: self.err() }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
