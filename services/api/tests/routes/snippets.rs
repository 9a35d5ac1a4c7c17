//! The snippets of docs/http.md do what the page says.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::place::Place;

/// A snippet of the page, by the name in the comment before it.
fn snippet(name: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/http.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once(&format!("<!-- run by a test: {name} -->")).expect("the page has it");
    let (_, rest) = rest.split_once("```").unwrap();
    let (_, rest) = rest.split_once('\n').unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// The script of a job's only step that runs one.
fn script(job: &str) -> String {
    let (before, rest) = job.split_once("run: |\n").expect("a step runs a script");
    assert!(!rest.contains("run: |"), "there is one");
    let indent = before.rsplit('\n').next().unwrap().len() + 2;
    let lines = rest.lines().take_while(|line| line.len() < indent || line[..indent].trim().is_empty());
    // The shell of a job ends with the first command that fails.
    let lines: Vec<&str> = lines.map(|line| line.get(indent..).unwrap_or_default()).collect();
    format!("set -e\n{}", lines.join("\n"))
}

fn is_there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let there = there.is_ok_and(|status| status.success());
    if !there {
        eprintln!("skipped: {program} is not there");
    }
    there
}

/// Runs a snippet in a folder of its own; answers how it ended, and the diff it fetched.
async fn run(place: &Place, shell: &str, snippet: &str, prompt: &str, key: &str) -> (Output, Option<String>) {
    let folder = place.world.folder().join(key);
    std::fs::create_dir(&folder).unwrap();
    let mut command = Command::new(shell);
    command
        .arg("-c")
        .arg(snippet)
        .current_dir(&folder)
        .env("CONDUCTOR_URL", format!("http://{}", place.address));
    command.env("CONDUCTOR_TOKEN", &place.admin).env("PROMPT", prompt).env("KEY", key);
    command
        .env("GITHUB_RUN_ID", key)
        .env("GITHUB_JOB", "change")
        .env_remove("http_proxy")
        .env_remove("HTTP_PROXY");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (output, std::fs::read_to_string(folder.join("change.diff")).ok())
}

async fn check(name: &str, shell: &str, snippet: &str) {
    let place = Place::new().await;
    let (output, diff) = run(&place, shell, snippet, "write hello.txt Hello", &format!("{name}-good")).await;
    assert!(output.status.success(), "{name}: {output:?}");
    assert!(diff.is_some_and(|diff| diff.contains("+Hello")), "{name}: {output:?}");
    let (output, diff) = run(&place, shell, snippet, "fail on purpose", &format!("{name}-bad")).await;
    assert_eq!((output.status.code(), diff), (Some(1), None), "{name}: {output:?}");
    let submitted = place.get("/v1/tasks").await.json();
    assert_eq!(submitted["items"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn the_snippet_for_curl_works() {
    if is_there("curl") {
        check("curl", "sh", &snippet("curl")).await;
    }
}

#[tokio::test]
async fn the_snippet_for_python_works() {
    if is_there("python3") {
        check("python", "python3", &snippet("python")).await;
    }
}

#[tokio::test]
async fn the_snippet_for_a_job_works() {
    if is_there("curl") {
        check("actions", "sh", &script(&snippet("actions"))).await;
    }
}
