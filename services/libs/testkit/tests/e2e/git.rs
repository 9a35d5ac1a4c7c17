//! From `conductor run --git ... --pr` to a pushed branch and a draft pull request, on a server that refuses who shows no
//! token; and the token is nowhere to be seen.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use conductor_testkit::git_server::GitServer;
use conductor_testkit::world::{World, eventually};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);
const TOKEN: &str = "github_pat_0123456789secretsecret";

fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=a", "-c", "user.email=a@b"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A folder with the bare repository `me/app.git`.
fn repositories() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let source = tempfile::tempdir().unwrap();
    git(source.path(), &["init", "--quiet", "--initial-branch=main"]);
    fs::write(source.path().join("a.txt"), "one\n").unwrap();
    git(source.path(), &["add", "--all"]);
    git(source.path(), &["commit", "--quiet", "--message=first"]);
    git(root.path(), &["clone", "--quiet", "--bare", source.path().to_str().unwrap(), "me/app.git"]);
    git(&root.path().join("me/app.git"), &["config", "http.receivepack", "true"]);
    root
}

/// The first file below a folder that holds the text.
fn holds(folder: &Path, text: &str) -> Option<String> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let content = fs::read(entry.path()).unwrap_or_default();
                if content.windows(text.len()).any(|window| window == text.as_bytes()) {
                    return Some(entry.path().display().to_string());
                }
            }
        }
    }
    None
}

/// A forge with one private repository, and a world that has its credential.
struct Forge {
    root: tempfile::TempDir,
    server: GitServer,
    world: World,
    _authorities: tempfile::NamedTempFile,
}

impl Forge {
    fn new(kind: &str) -> Self {
        let root = repositories();
        let server = GitServer::start(root.path(), TOKEN);
        let authorities = tempfile::NamedTempFile::new().unwrap();
        fs::write(authorities.path(), server.certificate()).unwrap();
        let credential = json!([{"host": server.host(), "token_env": "FORGE_TOKEN", "forge": kind}]);
        let mut world = World::new()
            .with("git.ca_file", authorities.path().display())
            .with("git.allow_private", "127.0.0.1,::1")
            .with("git.credentials", credential);
        world.set_variable("FORGE_TOKEN", TOKEN);
        Self { root, server, world, _authorities: authorities }
    }
}

#[tokio::test]
async fn a_private_repository_becomes_a_draft_pull_request_and_its_token_is_in_no_file() {
    let Forge { root, server, world, _authorities } = Forge::new("github");
    let mut up = world.up().await;
    let script = "env; echo two > a.txt; git commit --quiet --all --message=second && echo three > b.txt";
    let url = server.url("me/app");
    let options = ["run", "--git", &url, "--pr", "--verify", "env; grep two a.txt", "--name", "Say two"];
    let words = ["--output", "json", "--", "sh", "-c", script];
    let args: Vec<String> = options.iter().chain(&words).map(ToString::to_string).collect();
    let mut run = world.spawn("conductor", &args);
    let status = eventually(LIMIT, "the run ends", async || run.ended()).await;
    assert!(status.success(), "{}\n{}", run.said(), up.said());
    let control = world.connect().await;
    let listed = control.list(conductor_protocol::control::ListRequest::default()).await.unwrap();
    let task = control.get(listed.items[0].id).await.unwrap();
    let result = task.result.expect("it has a result");
    let told = result.git.expect("it had a repository");
    let branch = format!("conductor/{}", task.id);
    assert_eq!(
        (task.verified, told.pushed, told.branch.as_deref()),
        (Some(true), true, Some(branch.as_str()))
    );
    assert_eq!(told.pull_request_url.as_deref(), Some("https://forge.example/me/app/pull/1"));
    let files: Vec<&str> = result.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(files, ["a.txt", "b.txt"]);
    let bare = root.path().join("me/app.git");
    assert_eq!(git(&bare, &["log", "--format=%s", &format!("main..{branch}")]), "Say two\nsecond");
    let opened = server.pull_requests();
    let draft: Value =
        json!({"title": "Say two", "draft": true, "base": {"ref": "main"}, "head": {"ref": branch}});
    for field in ["title", "draft", "base", "head"] {
        assert_eq!(opened[0][field], draft[field], "{field}");
    }
    assert!(server.refused() > 0, "who shows nothing is refused");
    up.terminate(LIMIT).await;
    // The environment of the task and of its verify command is in its output, which is one of the files.
    assert_eq!(holds(world.folder(), TOKEN), None, "the token is in a file");
}

#[tokio::test]
async fn a_pull_request_that_failed_is_retried_without_the_task_being_run_again() {
    let Forge { root: _root, server, world, _authorities } = Forge::new("gitlab");
    let mut up = world.up().await;
    server.refuse_next(1);
    let url = server.url("me/app");
    let script = "echo this ran; echo two > a.txt";
    let args = ["run", "--git", &url, "--pr", "--", "sh", "-c", script].map(str::to_owned);
    let mut run = world.spawn("conductor", &args);
    let status = eventually(LIMIT, "the run ends", async || run.ended()).await;
    assert_eq!(status.code(), Some(1), "{}", run.said());
    let control = world.connect().await;
    let listed = control.list(conductor_protocol::control::ListRequest::default()).await.unwrap();
    let first = control.get(listed.items[0].id).await.unwrap();
    let failure = first.failure.expect("it failed");
    assert_eq!(failure.reason, conductor_core::FailureReason::PushFailed);
    assert!(failure.hint.unwrap_or_default().contains("conductor retry"));
    let mut retry = world.spawn("conductor", &["retry".to_owned(), first.id.to_string()]);
    let status = eventually(LIMIT, "the retry is taken", async || retry.ended()).await;
    assert!(status.success(), "{}", retry.said());
    let task = eventually(LIMIT, "the push is repeated", async || {
        let listed = control.list(conductor_protocol::control::ListRequest::default()).await.unwrap();
        let newest = control.get(listed.items[0].id).await.unwrap();
        (newest.id != first.id && newest.finished_at.is_some()).then_some(newest)
    })
    .await;
    assert!(task.failure.is_none(), "{:?}", task.failure);
    let told = task.result.and_then(|result| result.git).expect("it had a repository");
    assert_eq!(told.branch, Some(format!("conductor/{}", first.id)), "the branch of the task that ran");
    let opened = "https://forge.example/me/app/-/merge_requests/1";
    assert_eq!((told.pushed, told.pull_request_url.as_deref()), (true, Some(opened)));
    let output = world.home().tasks().join(task.id.to_string()).join("attempts/1/output.log");
    let output = fs::read_to_string(output).unwrap_or_default();
    assert!(!output.contains("this ran"), "{output}");
    up.terminate(LIMIT).await;
}
