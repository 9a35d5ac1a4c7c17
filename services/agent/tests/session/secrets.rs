//! Secrets in runs: who gets them, and where they do not come.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::Program;
use crate::support::{Orchestrator, task};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conductor_protocol::agent::End;
use rustix::process::Signal;
use serde_json::json;

const SECRET: &str = "tok_4hT9xLq2Wm8ZbV1c\"Ns7Kd0/FgJpQr+uIo";

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("token.txt");
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    fs::write(home.path().join("short.txt"), "abc").unwrap();
    fs::create_dir_all(home.path().join("config")).unwrap();
    let yaml = format!(
        "secrets:\n  DEPLOY: {{file: {0}/token.txt, groups: ['*'], runners: [command]}}\n  SHORT: {{file: {0}/short.txt, groups: ['*'], runners: ['*']}}\n  GONE: {{groups: ['*'], runners: ['*']}}\n",
        home.path().display()
    );
    fs::write(home.path().join("config/conductor.yaml"), yaml).unwrap();
    home
}

/// Every file below a folder but the task's own.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() && entry.file_name() != "work" => found.extend(files(&entry.path())),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

#[tokio::test]
async fn a_secret_that_a_task_prints_is_in_nothing_that_conductor_writes() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let program = Program::start(home.path(), &[]);
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    let script = r#"
        test ${#DEPLOY} -gt 30 || exit 9
        echo "plain $DEPLOY end"
        printf %s "$DEPLOY" | base64 -w 20
        printf 'x%s' "$DEPLOY" | base64 -w 0; echo
        printf %s "$DEPLOY" | od -An -tx1 | tr -d ' \n'; echo
        printf %s "$DEPLOY" | cut -c 1-15 | tr -d '\n'; sleep 0.1; printf %s "$DEPLOY" | cut -c 16- 
        echo "$DEPLOY" > leaked.txt
        echo "$DEPLOY" > "$(echo "$DEPLOY" | tr / _)"
        echo "last $DEPLOY"; exit 3
    "#;
    let body = json!({"command": ["bash", "-c", script], "secrets": ["DEPLOY"]});
    connection.assign(task(7_201, "command", &body)).await;
    let finished = connection.finished().await;
    assert_eq!(finished.exit_code, Some(3), "{finished:?}");
    let run = fs::read_dir(home.path().join("workspace/tasks")).unwrap().next().unwrap().unwrap().path();
    let output = fs::read_to_string(run.join("attempts/1/output.log")).unwrap();
    assert!(output.starts_with("plain [redacted] end\n"), "{output}");
    assert!(output.ends_with("last [redacted]\n"), "{output}");
    let patch = fs::read_to_string(run.join("attempts/1/diff.patch")).unwrap();
    assert!(patch.contains("+[redacted]\n"), "{patch}");
    assert_eq!(fs::read_to_string(run.join("work/leaked.txt")).unwrap(), format!("{SECRET}\n"));
    let mut texts = vec![format!("{finished:?}"), serde_json::to_string(&finished.result).unwrap()];
    texts.extend(
        files(&run).iter().map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()),
    );
    texts.extend(
        files(&home.path().join("logs"))
            .iter()
            .map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()),
    );
    for text in texts {
        // Pieces in the middle, so that a secret that was cut anywhere would show.
        for piece in [&SECRET[5..15], &SECRET[22..36], &STANDARD.encode(SECRET)[8..24]] {
            assert!(!text.contains(piece), "{piece} in {text}");
        }
    }
    let (code, said) = program.ends_at(Signal::TERM).await;
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test]
async fn a_run_gets_no_secret_that_is_not_for_it() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let program = Program::start(home.path(), &[]);
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    for (number, runner, secret, said) in [
        (7_211, "mock", "DEPLOY", "the secret DEPLOY is not for the runner mock"),
        (7_212, "command", "OTHER", "tasks have no secret OTHER on this agent"),
        (7_213, "command", "SHORT", "the secret SHORT is shorter than 8 bytes"),
        (7_214, "command", "GONE", "the secret GONE is not set on this agent"),
    ] {
        let mut body = json!({"secrets": [secret]});
        body[if runner == "mock" { "prompt" } else { "command" }] =
            if runner == "mock" { json!("print x") } else { json!(["env"]) };
        connection.assign(task(number, runner, &body)).await;
        let End::Failed(failure) = connection.finished().await.end else { panic!("it ran with {secret}") };
        assert_eq!(failure.message, said);
    }
    let body = json!({"command": ["sh", "-c", "echo \"[$DEPLOY]\""]});
    connection.assign(task(7_215, "command", &body)).await;
    assert_eq!(connection.finished().await.end, End::Succeeded, "who asks for none gets none");
    program.ends_at(Signal::TERM).await;
}
