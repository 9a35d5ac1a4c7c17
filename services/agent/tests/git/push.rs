use conductor_agent::runner::{FailureReason, StartsFrom};
use conductor_protocol::submit::{GitWorkspace, Push};

use crate::place::{Place, Repository, failed, script, succeeded};

fn pushed(repository: &Repository) -> GitWorkspace {
    GitWorkspace { push: Some(Push::Branch), ..repository.workspace() }
}

#[test]
fn what_a_run_left_is_pushed_to_a_branch_of_its_own() {
    let repository = Repository::with(&[("a.txt", "one\n")]);
    let mut place = Place::alone();
    let attempt = script(pushed(&repository), "echo two > a.txt");
    let outcome = place.run(&attempt);
    let told = succeeded(&outcome);
    assert!(told.pushed);
    let branch = format!("conductor/{}", attempt.task_id);
    assert_eq!(told.branch.as_deref(), Some(branch.as_str()));
    assert_eq!(repository.git(&["rev-parse", &branch]), *told.commit.as_ref().unwrap());
    assert!(place.output(&attempt).contains(&format!("[git] pushed {branch}")));
    // A run that goes on from it pushes what it adds to the same branch.
    let mut second = script(pushed(&repository), "echo three > a.txt");
    second.git.workspace = None;
    second.starts_from = Some(StartsFrom::Task(attempt.task_id));
    let outcome = place.run(&second);
    let next = succeeded(&outcome);
    assert_eq!((&next.base, next.pushed), (told.commit.as_ref().unwrap(), true));
    assert_eq!(
        repository.git(&["log", "--format=%s", &format!("main..{branch}")]),
        "Change things\nChange things"
    );
}

#[test]
fn nothing_is_pushed_of_a_run_that_changed_nothing_or_did_not_pass() {
    let repository = Repository::with(&[("a.txt", "one\n")]);
    let mut place = Place::alone();
    let outcome = place.run(&script(pushed(&repository), "true"));
    assert!(!succeeded(&outcome).pushed);
    let mut attempt = script(pushed(&repository), "echo two > a.txt");
    attempt.verify = Some(vec!["false".into()]);
    let outcome = place.run(&attempt);
    assert_eq!(failed(&outcome).0, FailureReason::VerifyFailed);
    assert_eq!(repository.git(&["branch", "--list", "conductor/*"]), "");
    assert!(place.task(&attempt).join("attempts/1/commits.bundle").exists(), "its commits are kept");
}

#[test]
fn a_push_that_failed_is_repeated_without_running_anything_again() {
    let repository = Repository::with(&[("a.txt", "one\n")]);
    let hook = repository.folder.path().join(".git/hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\necho not today >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut place = Place::alone();
    let runs = place.folder.path().join("runs");
    let mut attempt = script(pushed(&repository), "echo ran >> \"$RUNS\"; echo two > a.txt; echo all done");
    attempt.env = vec![("RUNS".into(), runs.display().to_string())];
    let outcome = place.run(&attempt);
    let (reason, message) = failed(&outcome);
    assert_eq!(reason, FailureReason::PushFailed);
    assert!(message.contains("pre-receive hook declined"), "{message}");
    let commit = outcome.git.as_ref().unwrap().commit.clone();
    assert!(commit.is_some() && !outcome.git.as_ref().unwrap().pushed);
    std::fs::remove_file(hook).unwrap();
    let mut again = attempt.clone();
    again.task_id = uuid::Uuid::now_v7();
    again.starts_from = Some(StartsFrom::Task(attempt.task_id));
    again.git.workspace = None;
    again.git.push_only = true;
    let outcome = place.run(&again);
    let told = succeeded(&outcome);
    assert_eq!((told.commit.clone(), told.pushed), (commit, true));
    assert_eq!(outcome.summary, "all done", "it tells what the run came to");
    assert!(place.diff(&again).contains("-one\n+two\n"));
    assert_eq!(std::fs::read_to_string(runs).unwrap(), "ran\n");
    // There is nothing left to push, and that is no reason to run it.
    let mut third = again.clone();
    third.task_id = uuid::Uuid::now_v7();
    third.starts_from = Some(StartsFrom::Task(again.task_id));
    assert_eq!(failed(&place.run(&third)).0, FailureReason::InvalidWorkspace);
}

#[test]
fn a_branch_that_others_write_to_is_not_overwritten() {
    let repository = Repository::with(&[("a.txt", "one\n")]);
    let first = repository.git(&["rev-parse", "HEAD"]);
    repository.git(&["branch", "shared"]);
    repository.git(&["checkout", "--quiet", "shared"]);
    let theirs = repository.commit(&[("b.txt", "theirs\n")]);
    repository.git(&["checkout", "--quiet", "main"]);
    let mut place = Place::alone();
    let workspace =
        GitWorkspace { branch: Some("shared".into()), reference: Some(first), ..pushed(&repository) };
    let outcome = place.run(&script(workspace, "echo two > a.txt"));
    assert_eq!(failed(&outcome).0, FailureReason::PushFailed);
    assert_eq!(repository.git(&["rev-parse", "shared"]), theirs);
}
