//! Drives the `lab` example, which is an agent without an orchestrator, and looks for what it leaves running.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long anything may take before the test says that it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The pause between two looks of a bounded wait.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A lab with a workspace of its own. What it started is killed when the test ends, well or not.
pub struct Lab {
    pub folder: tempfile::TempDir,
    pub agent_id: String,
    child: Option<Child>,
    link: Option<Link>,
    /// The pid of the worker.
    pub worker: i32,
    setting: Setting,
    /// How many processes of an earlier life the worker ended when it started.
    pub ended_at_start: u64,
}

/// How a lab is started.
#[derive(Debug, Default, Clone)]
pub struct Setting {
    /// The mode of the sandbox and the version of Landlock, as the lab reads them.
    pub sandbox: Option<String>,
    /// The user that it runs as; none is this one.
    pub user: Option<u32>,
    /// More variables that the lab reads.
    pub env: Vec<(&'static str, String)>,
    /// How many slots it has; 0 is four.
    pub slots: usize,
}

struct Link {
    write: UnixStream,
    read: BufReader<UnixStream>,
}

impl Lab {
    /// Starts a lab in one of its modes: `worker`, `monitor`, `child-monitor`.
    pub fn start(mode: &str) -> Self {
        Self::set(mode, &Setting::default())
    }

    /// Starts a worker in a setting.
    pub fn with(setting: &Setting) -> Self {
        Self::set("worker", setting)
    }

    fn set(mode: &str, setting: &Setting) -> Self {
        let mut lab = Self {
            setting: setting.clone(),
            folder: tempfile::tempdir().unwrap(),
            agent_id: uuid::Uuid::now_v7().to_string(),
            child: None,
            link: None,
            worker: 0,
            ended_at_start: 0,
        };
        if let Some(user) = setting.user {
            std::os::unix::fs::chown(lab.folder.path(), Some(user), Some(user)).unwrap();
            // The folder of the build may be closed to others.
            fs::copy(binary(), lab.program()).unwrap();
        }
        lab.restart(mode);
        lab
    }

    /// Starts the lab again, in the same workspace and as the same agent.
    pub fn restart(&mut self, mode: &str) {
        let _ = fs::remove_file(self.socket());
        let mut command = Command::new(self.program());
        let slots = if self.setting.slots == 0 { 4 } else { self.setting.slots };
        command.arg(mode).arg(self.socket()).arg(self.folder.path().join("ws")).arg(&self.agent_id);
        command.arg(slots.to_string()).envs(self.setting.env.iter().map(|(name, value)| (*name, value)));
        if let Some(sandbox) = &self.setting.sandbox {
            command.env("LAB_SANDBOX", sandbox);
        }
        if let Some(user) = self.setting.user {
            command.uid(user).gid(user).env("HOME", "/nonexistent");
        }
        self.child = Some(command.stdin(Stdio::piped()).spawn().expect("the lab starts"));
        self.connect();
    }

    /// Connects to the worker, which may still be starting.
    pub fn connect(&mut self) {
        let begin = Instant::now();
        let hello = loop {
            // A worker that was just killed may have the connection in its queue, and says nothing.
            if let Some(hello) = self.hello() {
                break hello;
            }
            assert!(begin.elapsed() < PATIENCE, "the worker does not listen");
            std::thread::sleep(LOOK_AGAIN);
        };
        self.worker = hello["hello"].as_i64().unwrap().try_into().unwrap();
        self.ended_at_start = hello["ended"].as_u64().unwrap();
    }

    fn hello(&mut self) -> Option<Value> {
        let stream = UnixStream::connect(self.socket()).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut read = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        read.read_line(&mut line).ok().filter(|&count| count > 0)?;
        self.link = Some(Link { write: stream, read });
        Some(serde_json::from_str(&line).unwrap())
    }

    fn program(&self) -> PathBuf {
        self.setting.user.map_or_else(binary, |_| self.folder.path().join("lab"))
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("lab.sock")
    }

    /// The pid of the process that the test started: the monitor, or the worker in `worker` mode.
    pub fn top(&self) -> i32 {
        self.child.as_ref().unwrap().id().try_into().unwrap()
    }

    /// Waits for the first process to end and returns its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.take().unwrap().wait().unwrap().code()
    }

    /// Closes the pipe that tells the first process that this test is gone.
    pub fn close_pipe(&mut self) {
        self.child.as_mut().unwrap().stdin = None;
    }

    /// Gives an attempt to a slot; `job` adds to it or changes it. Returns the task's id.
    pub fn run(&mut self, slot: usize, job: Value) -> String {
        let task = uuid::Uuid::now_v7().to_string();
        self.run_task(&task, slot, job);
        task
    }

    pub fn run_task(&mut self, task: &str, slot: usize, job: Value) {
        let mut line = json!({"slot": slot, "task": task, "attempt": 1});
        line.as_object_mut().unwrap().extend(job.as_object().unwrap().clone());
        self.send(&json!({"run": line}));
    }

    pub fn send(&mut self, line: &Value) {
        self.link.as_mut().unwrap().write.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Returns the next report.
    pub fn report(&mut self) -> Value {
        let mut line = String::new();
        let count = self.link.as_mut().unwrap().read.read_line(&mut line).expect("a report comes in time");
        assert!(count > 0, "the worker is gone");
        serde_json::from_str(&line).unwrap()
    }

    /// Returns the outcome of a slot's run, once it is there.
    pub fn finished(&mut self, slot: usize) -> Value {
        loop {
            let report = self.report();
            if report["finished"].is_string() && report["slot"] == slot {
                return report;
            }
        }
    }

    /// Runs a command in slot 0 to its end.
    pub fn sh(&mut self, script: &str) -> (String, Value) {
        let task = self.run(0, json!({"command": ["sh", "-c", script]}));
        (task, self.finished(0))
    }

    /// A path below the run folder of a task.
    pub fn path(&self, task: &str, path: &str) -> PathBuf {
        self.folder.path().join("ws/tasks").join(task).join(path)
    }

    pub fn read(&self, task: &str, path: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(task, path)).unwrap_or_default()).into_owned()
    }

    /// Waits until a file of a task is there and not empty.
    pub fn await_file(&self, task: &str, path: &str) -> String {
        let mut text = String::new();
        eventually(&format!("{path} is written"), || {
            text = self.read(task, path);
            !text.is_empty()
        });
        text
    }

    /// The pids of all that this lab's children are, wherever they went.
    pub fn children(&self) -> Vec<i32> {
        marked(&format!("CONDUCTOR_AGENT_ID={}", self.agent_id))
    }

    pub fn assert_nothing_left(&self) {
        let children = self.children();
        assert!(
            children.is_empty(),
            "still there: {:?}",
            children.iter().map(|&pid| command_line(pid)).collect::<Vec<_>>()
        );
    }

    /// The pids of this lab's keepers.
    pub fn keepers(&self) -> Vec<i32> {
        processes()
            .into_iter()
            .filter(|&pid| parent(pid) == Some(self.worker) && command_line(pid).ends_with("keeper"))
            .collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        for pid in self.children() {
            kill(pid, "KILL");
        }
    }
}

/// Looks again and again, for a bounded time, until something is so.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "it never came that {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

pub fn kill(pid: i32, signal: &str) {
    let _ = Command::new("kill").args(["-s", signal, &pid.to_string()]).stderr(Stdio::null()).status();
}

/// The processes that were started with this variable, zombies left out.
pub fn marked(mark: &str) -> Vec<i32> {
    let is_marked = |pid: &i32| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environ| environ.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes()))
    };
    processes().into_iter().filter(is_marked).collect()
}

pub fn command_line(pid: i32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ").trim().to_owned()
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn processes() -> Vec<i32> {
    let names = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| name.parse().ok()).collect()
}

/// The example is built with the tests, into the folder beside theirs.
fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.ancestors().nth(2).map(|folder| folder.join("examples/lab")).unwrap();
    assert!(
        Path::new(&binary).exists(),
        "{} is missing; `cargo test -p conductor-agent` builds it",
        binary.display()
    );
    binary
}
