//! How long a task on a large repository waits for its folder: the first, the second, and a plain clone beside them.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use conductor_agent::git::{self, Asked};
use conductor_agent::runner::{Attempt, ReportBody, Settings, Slots, Verdict, What};
use conductor_protocol::submit::GitWorkspace;
use tokio::sync::mpsc;

const ROUNDS: usize = 5;

pub fn run(files: usize) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("source");
    make(&source, files)?;
    let url = format!("file://{}", source.display());
    let mut settings = git::Settings::default();
    settings.config.file_roots = vec![folder.path().to_owned()];
    let (reports, mut receiver) = mpsc::channel(64);
    let settings = Settings {
        at_once: 1,
        programs: Default::default(),
        workspace: folder.path().join("workspace"),
        agent_id: "lab".into(),
        keeper: crate::keeper_program()?,
        environment: std::env::vars_os().collect(),
        git: Arc::new(settings),
    };
    let slots = Slots::start(&settings, 1, &reports)?;
    let mut started = || -> anyhow::Result<Duration> {
        let begin = Instant::now();
        slots.run(0, attempt(&url))?;
        let mut started = Duration::ZERO;
        loop {
            match receiver.blocking_recv().expect("slots report while they run").body {
                ReportBody::Started => started = begin.elapsed(),
                ReportBody::Asked { .. } | ReportBody::Withdrawn { .. } => {}
                ReportBody::Finished(outcome) => {
                    anyhow::ensure!(outcome.verdict == Verdict::Succeeded, "{outcome:?}");
                    return Ok(started);
                }
            }
        }
    };
    println!("a repository of {files} files");
    println!("first task starts after       {:>6} ms", started()?.as_millis());
    for round in 0..ROUNDS {
        let later = started()?;
        let begin = Instant::now();
        let clone = folder.path().join(format!("clone-{round}"));
        call(folder.path(), &["clone", "--quiet", &url, &clone.display().to_string()])?;
        let plain = begin.elapsed();
        println!(
            "a later task starts after     {:>6} ms, a plain clone takes {:>6} ms: {:.1} times as long",
            later.as_millis(),
            plain.as_millis(),
            plain.as_secs_f64() / later.as_secs_f64()
        );
    }
    slots.close();
    Ok(())
}

fn attempt(url: &str) -> Attempt {
    let workspace = GitWorkspace { url: url.to_owned(), ..GitWorkspace::default() };
    Attempt {
        git: Asked { workspace: Some(workspace), title: "Nothing".into(), ..Asked::default() },
        ..Attempt::plain(uuid::Uuid::now_v7(), What::Command { argv: vec!["true".into()] })
    }
}

/// Makes a repository with so many small files in many folders.
fn make(folder: &Path, files: usize) -> anyhow::Result<()> {
    for number in 0..files {
        let inner = folder.join(format!("d{}/e{}", number % 100, number % 7));
        std::fs::create_dir_all(&inner)?;
        std::fs::write(
            inner.join(format!("f{number}.txt")),
            format!("line {number} of the file\n").repeat(40),
        )?;
    }
    call(folder, &["init", "--quiet", "--initial-branch=main"])?;
    call(folder, &["add", "--all"])?;
    call(folder, &["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message=all"])
}

fn call(folder: &Path, args: &[&str]) -> anyhow::Result<()> {
    let status = Command::new("git").current_dir(folder).args(args).status()?;
    anyhow::ensure!(status.success(), "git {args:?}");
    Ok(())
}
