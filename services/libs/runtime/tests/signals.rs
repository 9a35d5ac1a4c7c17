//! Real signals to a real process: this test binary starts itself again as the program that ends.

#![expect(clippy::unwrap_used, reason = "a failure in a helper is the failure of its test")]

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use conductor_runtime::lifecycle::{Ended, Lifecycle, Shutdown};
use rustix::process::{Pid, Signal, kill_process};

const SCENARIO: &str = "CONDUCTOR_TEST_SCENARIO";

#[test]
fn the_first_signal_drains_and_running_work_comes_to_its_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut program = Program::start("drains");
        program.signal(signal);
        program.expect("draining");
        program.expect("Drained");
        assert_eq!(program.end().code(), Some(0));
    }
}

#[test]
fn a_hangup_is_ignored() {
    let mut program = Program::start("drains");
    program.signal(Signal::HUP);
    program.signal(Signal::HUP);
    program.signal(Signal::TERM);
    program.expect("draining");
    program.expect("Drained");
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn the_second_signal_kills() {
    let mut program = Program::start("drains-until-killed");
    program.signal(Signal::INT);
    program.expect("draining");
    program.signal(Signal::TERM);
    program.expect("killed");
    program.expect("Killed { tasks: [\"work\"] }");
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn the_deadline_kills_when_no_second_signal_comes() {
    let mut program = Program::start("deadline");
    program.signal(Signal::TERM);
    program.expect("draining");
    program.expect("killed");
    program.expect("Killed { tasks: [\"work\"] }");
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn the_third_signal_ends_even_a_program_that_is_stuck() {
    let mut program = Program::start("stuck-when-killed");
    program.signal(Signal::INT);
    program.expect("draining");
    program.signal(Signal::INT);
    program.expect("stuck");
    program.signal(Signal::INT);
    assert_eq!(program.end().code(), Some(130));
}

#[test]
fn a_program_ends_without_a_signal_when_one_of_its_parts_says_so() {
    let mut program = Program::start("ends-itself");
    program.expect("Drained");
    assert_eq!(program.end().code(), Some(0));
}

/// Not a test: what the tests above start.
#[test]
#[ignore = "the program that the other tests start"]
fn program() {
    let Ok(scenario) = std::env::var(SCENARIO) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended = runtime.block_on(live(&scenario));
    say(&format!("{ended:?}"));
    std::process::exit(0);
}

async fn live(scenario: &str) -> Ended {
    let deadline = if scenario == "deadline" { Duration::from_millis(1) } else { Duration::from_secs(600) };
    let lifecycle = Lifecycle::start(deadline).unwrap();
    let shutdown = lifecycle.shutdown();
    shutdown.spawn("work", work(scenario.to_owned(), shutdown.clone()));
    say("ready");
    lifecycle.finish().await
}

async fn work(scenario: String, shutdown: Shutdown) {
    if scenario == "ends-itself" {
        return shutdown.drain();
    }
    shutdown.draining().await;
    say("draining");
    if scenario == "drains" {
        return;
    }
    shutdown.killed().await;
    if scenario == "stuck-when-killed" {
        say("stuck");
        // The whole runtime stands still: only the handler of the third signal can end this.
        std::thread::park_timeout(Duration::from_secs(60));
    }
    say("killed");
}

fn say(line: &str) {
    println!("> {line}");
}

struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    fn start(scenario: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "program", "--ignored", "--nocapture", "--test-threads=1"])
            .env(SCENARIO, scenario)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut program = Program { child, lines };
        if scenario != "ends-itself" {
            program.expect("ready");
        }
        program
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for a line of the program; the end of its output is a failure.
    fn expect(&mut self, wanted: &str) {
        let mut seen = Vec::new();
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            if line.ends_with(&format!("> {wanted}")) {
                return;
            }
            seen.push(line);
        }
        panic!("the program ended without saying {wanted:?}; it said {seen:#?}");
    }

    fn end(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}
