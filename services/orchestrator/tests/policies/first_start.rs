//! The program, at its first start and at the next.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use conductor_client::{Control, Error, Options, Target};
use conductor_protocol::Code;
use conductor_runtime::paths::Home;

use super::access::{code, presented};

/// A program that ends with its test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

impl Program {
    /// Starts the orchestrator and reads what it says on its console until it serves.
    fn start(home: &Path, keys: &[(&str, &str)]) -> (Self, Vec<String>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conductor-orchestrator"));
        command.env_clear().env("CONDUCTOR_HOME", home).env("CONDUCTOR__TELEMETRY__LOG_FORMAT", "json");
        command.envs(keys.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let program = Self(child);
        let mut said = Vec::new();
        // The link comes after the line that says that it is ready, and the engine's first words may come later still.
        for line in BufReader::new(stderr).lines() {
            let line = line.unwrap();
            let is_last = line.contains("/login?code=") || line.contains("there is no link");
            said.push(line);
            if is_last {
                break;
            }
        }
        (program, said)
    }
}

fn link(said: &[String]) -> Option<&str> {
    let line = said.iter().find(|line| line.contains("/login?code="))?;
    line.split_whitespace().find(|word| word.contains("/login?code="))
}

async fn connect(home: &Path) -> Control {
    let folder = home.to_owned();
    let home = Home::find(|name| (name == "CONDUCTOR_HOME").then(|| folder.clone())).unwrap();
    Target::of_home(&home).connect(Options::new("test")).await.unwrap()
}

#[tokio::test]
async fn the_first_start_tells_a_link_that_logs_in_once_and_keeps_it_out_of_the_logs() {
    let folder = tempfile::tempdir().unwrap();
    let keys = [("CONDUCTOR__PUBLIC_URL", "https://tasks.example/queue/")];
    let (program, said) = Program::start(folder.path(), &keys);
    let link = link(&said).unwrap_or_else(|| panic!("no link: {said:?}"));
    let secret = link.strip_prefix("https://tasks.example/queue/login?code=").expect(link).to_owned();
    let control = connect(folder.path()).await;
    let session = control.open_session(presented(&secret)).await.unwrap();
    assert_eq!(session.identity.name, "admin");
    let again: Result<_, Error> = control.open_session(presented(&secret)).await;
    assert_eq!(code(again), Some(Code::Unauthorized));
    for entry in std::fs::read_dir(folder.path().join("logs")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains(&secret), "the code is in a log file");
    }
    drop(program);

    let keys = [("CONDUCTOR__TELEMETRY__LOG_LEVEL", "info,conductor_orchestrator::program=debug")];
    let (_program, said) = Program::start(folder.path(), &keys);
    assert!(said.iter().all(|line| !line.contains("/login?code=")), "{said:?}");
}

#[tokio::test]
async fn a_volume_that_should_hold_state_and_is_empty_stops_the_start_until_it_is_called_the_first() {
    const EXPECT: &str = "CONDUCTOR__STORAGE__EXPECT_STATE";
    let home = tempfile::tempdir().unwrap();
    let refuse = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conductor-orchestrator"));
        command.env_clear().env("CONDUCTOR_HOME", home.path()).env(EXPECT, "true").stdin(Stdio::null());
        command.output().unwrap()
    };
    for _ in 0..2 {
        let refused = refuse();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("holds no state"), "{said}");
        assert!(said.contains("storage.expect_state to false"), "it says what to do: {said}");
    }
    drop(Program::start(home.path(), &[(EXPECT, "false")]));
    let level = ("CONDUCTOR__TELEMETRY__LOG_LEVEL", "info,conductor_orchestrator::program=debug");
    let (_again, said) = Program::start(home.path(), &[(EXPECT, "true"), level]);
    assert!(said.iter().any(|line| line.contains("there is no link")), "it serves: {said:?}");
}
