//! The gateway between a real coding agent and its model.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

use conductor_core::{FailureReason, TaskId};
use conductor_protocol::task::State;
use conductor_testkit::models::Turn;
use conductor_testkit::world::eventually;
use serde_json::json;

use crate::place::{Change, Cli, KEY, LIMIT, Place};

/// How long nothing is said by a gateway that is closed.
const SILENCE: Duration = Duration::from_secs(2);

/// What is known of a process: its arguments and its environment.
type Process = (String, BTreeMap<String, String>);

/// The processes of a task that are alive.
fn tree(id: TaskId) -> Vec<Process> {
    let pids = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let read = |path: &Path, name: &str| {
        let bytes = std::fs::read(path.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let process = |path: std::path::PathBuf| {
        let environ = read(&path, "environ");
        let variables = environ.split('\0').filter_map(|variable| variable.split_once('='));
        let variables: BTreeMap<_, _> =
            variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let is_ours = variables.get("CONDUCTOR_TASK_ID").is_some_and(|task| *task == id.to_string());
        is_ours.then(|| (read(&path, "cmdline"), variables))
    };
    pids.filter_map(process).collect()
}

/// The network that a task's processes are in.
fn network(id: TaskId) -> File {
    let mark = format!("CONDUCTOR_TASK_ID={id}");
    let pids = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let is_ours = |path: &Path| {
        let environ = std::fs::read(path.join("environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    let path = pids.into_iter().find(|path| is_ours(path)).expect("the task runs");
    File::open(path.join("ns/net")).unwrap()
}

/// Asks as [`asked`] does, from the network of the run as far as this user may go there.
async fn ask(network: &File, port: u16, token: &str, patience: Duration) -> Option<String> {
    let (network, token) = (network.try_clone().unwrap(), token.to_owned());
    let asking = move || {
        // The thread that goes there is not used again.
        let asking = std::thread::spawn(move || {
            let kind = Some(rustix::thread::LinkNameSpaceType::Network);
            let _ = rustix::thread::move_into_link_name_space(network.as_fd(), kind);
            asked(port, &token, patience)
        });
        asking.join().unwrap()
    };
    tokio::task::spawn_blocking(asking).await.unwrap()
}

/// Asks the gateway that a process was told of, with the token that it holds, for what is answered without a turn.
fn asked(port: u16, token: &str, patience: Duration) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    let request = format!(
        "GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

async fn the_tree_never_holds_the_key(cli: Cli) {
    let Some(place) = Place::new(cli).await else { return };
    let gate = place.world.folder().join("gate");
    let wait = format!("env > env.txt; until [ -e {} ]; do sleep 0.05; done", gate.display());
    place.server.add("hold-no-key", [Turn::run(wait), Turn::say("Done.")]);
    let id = place.submit("hold-no-key", &json!({})).await;
    eventually(LIMIT, "the tool is at work", async || place.path(id, "work/env.txt").exists().then_some(()))
        .await;
    let tree = tree(id);
    assert!(tree.len() >= 2, "the program and its tool: {tree:?}");
    for (arguments, variables) in &tree {
        assert!(!arguments.contains(KEY), "{arguments}");
        assert!(!variables.values().any(|value| value.contains(KEY)), "{arguments}");
    }
    let token = tree.iter().find_map(|(_, variables)| variables.get(cli.credential())).unwrap();
    let ports = tree.iter().flat_map(|(arguments, variables)| {
        variables.values().cloned().chain([arguments.clone()]).collect::<Vec<_>>()
    });
    let ports: Vec<u16> = ports
        .filter_map(|text| {
            let (_, rest) = text.split_once("http://127.0.0.1:")?;
            rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
        })
        .collect();
    let port = *ports.first().expect("the program was told of its gateway");
    let network = network(id);
    let is_there = rustix::process::getuid().is_root();
    if !matches!(cli, Cli::Gemini | Cli::GeminiAcp) && is_there {
        let answer = ask(&network, port, token, LIMIT).await.expect("the gateway is there while the run is");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    std::fs::write(gate, "").unwrap();
    let task = place.ended(id).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    assert!(
        ask(&network, port, token, SILENCE).await.is_none_or(|answer| answer.is_empty()),
        "a stolen token is good for something"
    );
    assert!(!place.server.keys().is_empty() && place.server.keys().iter().all(|key| key == KEY));
    assert!(!place.is_in_a_run_folder(KEY), "the key is in a file that is served");
    assert!(
        !place.is_in_a_run_folder(token) || std::fs::read_to_string(place.path(id, "work/env.txt")).is_ok()
    );
    let private = place.world.home().workspace.join("private").join(id.to_string());
    assert!(private.is_dir() && !holds(&private, KEY), "the key is in a private file of the run");
    let flags = task.result.unwrap().flags;
    assert!(flags.is_empty(), "{flags:?}");
}

fn holds(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().flatten().any(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => holds(&entry.path(), text),
        Ok(kind) if kind.is_file() => std::fs::read(entry.path())
            .is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes())),
        _ => false,
    })
}

#[tokio::test]
async fn the_tree_of_one_that_speaks_the_agent_client_protocol_never_holds_the_key() {
    for cli in Cli::ACP {
        the_tree_never_holds_the_key(cli).await;
    }
}

#[tokio::test]
async fn claude_never_holds_the_key() {
    the_tree_never_holds_the_key(Cli::Claude).await;
}

#[tokio::test]
async fn codex_never_holds_the_key() {
    the_tree_never_holds_the_key(Cli::Codex).await;
}

#[tokio::test]
async fn gemini_never_holds_the_key() {
    the_tree_never_holds_the_key(Cli::Gemini).await;
}

#[tokio::test]
async fn a_run_that_uses_too_many_tokens_is_cut_in_the_middle_of_an_answer() {
    for cli in Cli::ALL {
        let runner = json!({"gateway": {"max_tokens": 110}});
        let Some(place) = Place::with(cli, Change { runner, ..Change::default() }).await else { continue };
        place.server.add("talk-too-much", [Turn::run("echo more"), Turn::say("Never said.")]);
        let task = place.run("talk-too-much", &json!({})).await;
        assert_eq!(task.state, State::Failed, "{cli:?}: {task:#?}");
        let failure = task.failure.unwrap();
        assert_eq!(failure.reason, FailureReason::Budget, "{cli:?}: {failure:?}");
        assert!(failure.message.contains("110 tokens"), "{cli:?}: {failure:?}");
    }
}

#[tokio::test]
async fn without_a_gateway_the_run_holds_the_key_and_says_so() {
    let runner = json!({"gateway": {"enabled": false}});
    let Some(place) = Place::with(Cli::Claude, Change { runner, ..Change::default() }).await else { return };
    place.server.add("ask-yourself", [Turn::say("Hello.")]);
    let task = place.run("ask-yourself", &json!({})).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    assert!(task.result.unwrap().flags.contains(&"real_credential".to_owned()));
}

#[tokio::test]
async fn a_run_that_passes_its_budget_is_cut_in_the_middle_of_an_answer() {
    for cli in Cli::ALL {
        let Some(place) = Place::with(cli, Change::default()).await else { continue };
        for (budget, said) in [
            (json!({"budget_tokens": 110}), "110 tokens"),
            (json!({"budget_usd": 0.00001}), "0.00 US dollars"),
        ] {
            place.server.add("spend-too-much", [Turn::run("echo more"), Turn::say("Never said.")]);
            let task = place.run("spend-too-much", &budget).await;
            let failure = task.failure.unwrap_or_else(|| panic!("{cli:?} succeeded"));
            assert_eq!(failure.reason, FailureReason::Budget, "{cli:?}: {failure:?}");
            assert!(failure.message.contains(said), "{cli:?}: {failure:?}");
        }
    }
}
