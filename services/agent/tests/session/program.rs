//! The program as people run it: monitor, worker and keepers, against a scripted orchestrator.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{Connection, Orchestrator, lease, mock, soon, task};
use conductor_core::TaskId;
use conductor_protocol::agent::{After, Assign, End};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

pub struct Program {
    monitor: Child,
}

impl Program {
    pub fn start(home: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conductor-agent"));
        command.args(["--name=one", "--slots=2", "--console-level=error"]).args(args);
        command
            .env("CONDUCTOR_HOME", home)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Self { monitor: command.spawn().unwrap() }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.monitor)
    }

    fn worker(&self) -> Pid {
        let children = children(self.pid());
        assert_eq!(children.len(), 1, "a monitor has one child");
        children[0]
    }

    /// Waits for the end, and gives the exit code and what was said.
    async fn end(mut self) -> (Option<i32>, String) {
        let mut stderr = self.monitor.stderr.take().unwrap();
        let waiting = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            (self.monitor.wait().unwrap().code(), text)
        });
        soon(waiting).await.unwrap()
    }

    pub async fn ends_at(self, signal: Signal) -> (Option<i32>, String) {
        kill_process(self.pid(), signal).unwrap();
        self.end().await
    }
}

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn parent_of(pid: &str) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after = stat.rsplit(')').next()?;
    let mut fields = after.split_whitespace();
    (fields.next()? != "Z").then_some(())?;
    fields.next()?.parse().ok()
}

fn pids() -> Vec<String> {
    let names = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.into_string().ok()).filter(|name| name.parse::<u32>().is_ok()).collect()
}

fn children(parent: Pid) -> Vec<Pid> {
    let parent = parent.as_raw_nonzero().get();
    let ours = pids().into_iter().filter(|pid| parent_of(pid) == Some(parent));
    ours.map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap()).collect()
}

/// The processes that carry a task's mark.
fn of_task(number: u128) -> BTreeSet<String> {
    let mark = format!("CONDUCTOR_TASK_ID={}", TaskId(number));
    let marked = |pid: &String| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()))
    };
    pids().into_iter().filter(|pid| parent_of(pid).is_some()).filter(marked).collect()
}

async fn gone(number: u128) {
    soon(async {
        while !of_task(number).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// A command that leaves a child behind which left its session, and then waits. The task's number is its mark in `/proc`, so
/// every test has numbers of its own.
fn forking(number: u64) -> Assign {
    let script = "setsid sleep 1000 & echo ready; sleep 1000";
    task(number, "command", &json!({ "command": ["sh", "-c", script] }))
}

async fn runs(connection: &mut Connection, number: u64) {
    connection.assign(forking(number)).await;
    connection.started(number).await;
    soon(async {
        while of_task(number.into()).len() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_command_runs_and_the_agent_ends_in_peace() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let program = Program::start(home.path(), &[]);
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    let body = json!({"command": ["sh", "-c", "cat in.txt > out.txt; exit 3"], "files": [{"path": "in.txt", "content": "x"}]});
    connection.assign(task(7_101, "command", &body)).await;
    let finished = connection.finished().await;
    assert_eq!(finished.exit_code, Some(3));
    let result = finished.result.unwrap();
    assert!(result.sandbox.is_some_and(|sandbox| sandbox.starts_with("best_effort, ")));
    let paths: Vec<_> = result.files.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
    assert_eq!(paths, [("in.txt", 1), ("out.txt", 1)]);
    connection.acknowledge(lease(7_101)).await;
    assert_eq!(program.ends_at(Signal::TERM).await, (Some(0), String::new()));
}

#[tokio::test]
async fn a_killed_worker_is_replaced_by_one_with_the_same_id_that_holds_the_results_alone() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let program = Program::start(home.path(), &[]);
    let (mut connection, first) = orchestrator.welcome(home.path()).await;
    connection.assign(mock(7_201, "print done")).await;
    let result = connection.finished().await;
    runs(&mut connection, 7_202).await;
    kill_process(program.worker(), Signal::KILL).unwrap();
    let (mut connection, second) = orchestrator.welcome(home.path()).await;
    assert_eq!(second.agent_id, first.agent_id);
    assert_ne!(second.instance, first.instance);
    assert_eq!((second.held.as_slice(), second.credits), (&[lease(7_201)][..], 2));
    assert!(of_task(7_202).is_empty(), "all that the dead worker ran is ended before the next says hello");
    assert_eq!(connection.finished().await.end, result.end);
    connection.acknowledge(lease(7_201)).await;
    connection.works(7_203).await;
    let (code, said) = program.ends_at(Signal::TERM).await;
    assert_eq!(code, Some(0));
    assert!(said.contains("worker"), "the monitor says that a worker died: {said:?}");
}

#[tokio::test]
async fn a_killed_monitor_takes_its_runs_along_and_they_are_reported_as_crashed() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let program = Program::start(home.path(), &[]);
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    runs(&mut connection, 7_301).await;
    kill_process(program.pid(), Signal::KILL).unwrap();
    assert!(matches!(connection.finished().await.end, End::Crashed { .. }));
    connection.acknowledge(lease(7_301)).await;
    gone(7_301).await;
    while connection.hear().await.is_some() {}
    program.end().await;
    let program = Program::start(home.path(), &[]);
    let (_connection, hello) = orchestrator.welcome(home.path()).await;
    assert!(hello.held.is_empty());
    program.ends_at(Signal::TERM).await;
}

#[tokio::test]
async fn what_is_left_when_all_are_killed_at_once_ends_before_the_task_runs_again() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let program = Program::start(home.path(), &[]);
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    runs(&mut connection, 7_401).await;
    let (monitor, worker) = (program.pid(), program.worker());
    let all: Vec<Pid> = [monitor, worker].into_iter().chain(children(worker)).collect();
    for pid in &all {
        kill_process(*pid, Signal::STOP).unwrap();
    }
    for pid in all {
        kill_process(pid, Signal::KILL).unwrap();
    }
    program.end().await;
    assert!(!of_task(7_401).is_empty(), "the run outlives them");
    let program = Program::start(home.path(), &[]);
    let (mut connection, hello) = orchestrator.welcome(home.path()).await;
    assert!(hello.held.is_empty());
    assert!(of_task(7_401).is_empty(), "it is ended before the agent says hello");
    let check = "echo again";
    let again = task(7_401, "command", &json!({ "command": ["sh", "-c", check] }));
    connection.assign(Assign { lease: lease(7_402), attempt: 2, after: Some(After::Crash), ..again }).await;
    assert_eq!(connection.finished().await.end, End::Succeeded);
    connection.acknowledge(lease(7_402)).await;
    program.ends_at(Signal::TERM).await;
}

#[tokio::test]
async fn the_agent_ends_with_its_parent() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let mut program = Program::start(home.path(), &["--parent-pipe"]);
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    runs(&mut connection, 7_501).await;
    drop(program.monitor.stdin.take());
    assert!(matches!(connection.finished().await.end, End::Crashed { .. }));
    connection.acknowledge(lease(7_501)).await;
    program.end().await;
    gone(7_501).await;
}

#[tokio::test]
async fn faults_at_the_start_are_one_clear_line_and_no_endless_restarts() {
    let home = home();
    let (code, said) = Program::start(home.path(), &["--label=a b"]).end().await;
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("a b"), "{said}");
    let orchestrator = Orchestrator::start(home.path());
    let first = Program::start(home.path(), &[]);
    let _connection = orchestrator.welcome(home.path()).await;
    let (code, said) = Program::start(home.path(), &[]).end().await;
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("another agent named one"), "{said}");
    first.ends_at(Signal::TERM).await;
    let outbox = home.path().join("state/agents/one/outbox.0");
    fs::File::options().write(true).open(&outbox).unwrap().set_len(100).unwrap();
    let (code, said) = Program::start(home.path(), &[]).end().await;
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("outbox.0"), "{said}");
}

#[tokio::test]
async fn two_signals_end_it_at_once() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let program = Program::start(home.path(), &[]);
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    runs(&mut connection, 7_601).await;
    kill_process(program.pid(), Signal::INT).unwrap();
    while !connection.hear().await.unwrap().draining {}
    kill_process(program.pid(), Signal::INT).unwrap();
    assert!(matches!(connection.finished().await.end, End::Crashed { .. }));
    connection.acknowledge(lease(7_601)).await;
    let (code, _) = program.end().await;
    assert_eq!(code, Some(130));
    gone(7_601).await;
}
