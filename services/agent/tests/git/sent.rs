//! Repositories that were sent with their task, as bundles.

use std::fs;

use conductor_agent::runner::{Attempt, FailureReason, StartsFrom};
use conductor_protocol::agent::AssignedUpload;
use conductor_protocol::control::UploadKind;
use conductor_protocol::submit::{GitWorkspace, Push};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::place::{Place, Repository, failed, git, script, succeeded};

/// Puts bytes where an upload lies.
fn upload(place: &Place, bytes: &[u8]) -> AssignedUpload {
    let id = Uuid::now_v7();
    let folder = place.folder.path().join("workspace/private/uploads").join(id.to_string());
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("data"), bytes).unwrap();
    let sha256 = hex::encode(Sha256::digest(bytes));
    AssignedUpload { id, kind: UploadKind::Bundle, bytes: bytes.len() as u64, sha256 }
}

/// A bundle of some refs.
fn bundle(repository: &Repository, refs: &[&str]) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let args = ["bundle", "create", "--quiet", file.path().to_str().unwrap()];
    repository.git(&[&args, refs].concat());
    fs::read(file.path()).unwrap()
}

/// What a person has who changed a file, added one and committed neither.
fn with_changes() -> (Repository, Vec<u8>) {
    let repository = Repository::with(&[("a.txt", "one\n"), ("b.txt", "b\n")]);
    repository.git(&["update-ref", "refs/conductor/head", "HEAD"]);
    repository.commit(&[("a.txt", "mine\n"), ("new.txt", "new\n")]);
    repository.git(&["update-ref", "refs/conductor/start", "HEAD"]);
    repository.git(&["reset", "--quiet", "--soft", "HEAD~1"]);
    let bytes = bundle(&repository, &["refs/conductor/head", "refs/conductor/start", "main"]);
    (repository, bytes)
}

fn of(sent: AssignedUpload, text: &str) -> Attempt {
    let mut attempt = script(GitWorkspace::default(), text);
    attempt.git.workspace = None;
    attempt.git.sent = Some(sent);
    attempt
}

#[test]
fn a_run_finds_the_history_and_what_was_not_committed_and_its_diff_is_against_both() {
    let (repository, bytes) = with_changes();
    let mut place = Place::alone();
    let attempt = of(
        upload(&place, &bytes),
        "git status --porcelain; git log --format=%s; git branch --list --format='%(refname:short)'; git remote; \
         echo theirs >> a.txt",
    );
    let outcome = place.run(&attempt);
    let told = succeeded(&outcome);
    let seen = format!(" M a.txt\n?? new.txt\nchange\nconductor/{}\nmain\n", attempt.task_id);
    assert_eq!(place.output(&attempt), seen);
    let diff = place.diff(&attempt);
    assert!(diff.contains("+theirs") && !diff.contains("+mine") && !diff.contains("new.txt"), "{diff}");
    assert_eq!(told.base, repository.git(&["rev-parse", "refs/conductor/start"]));
    assert!(!told.pushed);
    // The commits can be had by who has the commit that the person was at.
    let kept = place.task(&attempt).join("attempts/1/commits.bundle");
    let spec = format!("conductor/{}:theirs", attempt.task_id);
    repository.git(&["update-ref", "-d", "refs/conductor/start"]);
    repository.git(&["fetch", "--quiet", kept.to_str().unwrap(), &spec]);
    assert_eq!(repository.git(&["show", "theirs:a.txt"]), "mine\ntheirs");
    // A run that goes on finds what this one left, and tells its own changes as they come to these.
    let mut second = of(upload(&place, &bytes), "cat a.txt; echo more > c.txt");
    second.git.sent = None;
    second.starts_from = Some(StartsFrom::Task(attempt.task_id));
    succeeded(&place.run(&second));
    assert_eq!(place.output(&second), "mine\ntheirs\n");
    assert!(place.diff(&second).contains("+more") && place.diff(&second).contains("+theirs"));
}

#[test]
fn the_commits_of_a_run_are_kept_as_they_are_also_over_what_was_not_committed() {
    let (repository, bytes) = with_changes();
    let mut place = Place::alone();
    let attempt = of(
        upload(&place, &bytes),
        "git add --all; git -c user.name=a -c user.email=a@b commit -qm 'by the run'; echo two > b.txt",
    );
    succeeded(&place.run(&attempt));
    let diff = place.diff(&attempt);
    assert!(diff.contains("-b\n+two\n") && !diff.contains("a.txt"), "{diff}");
    let kept = place.task(&attempt).join("attempts/1/commits.bundle");
    let spec = format!("conductor/{}:theirs", attempt.task_id);
    repository.git(&["fetch", "--quiet", kept.to_str().unwrap(), &spec]);
    let log = repository.git(&["log", "--format=%s", "refs/conductor/head..theirs"]);
    assert_eq!(log, "Change things\nby the run");
}

#[test]
fn what_a_run_made_of_a_repository_that_was_sent_is_pushed_to_where_it_is_from() {
    let (mine, bytes) = with_changes();
    let server = tempfile::tempdir().unwrap();
    git(server.path(), &["clone", "--quiet", "--bare", &mine.url(), "there.git"]);
    let there = server.path().join("there.git");
    let url = format!("file://{}", there.display());
    let mut place = Place::alone();
    let commits = "git -c user.name=a -c user.email=a@b commit -qam theirs";
    for (text, subjects) in [
        ("echo two > b.txt".to_owned(), "Change things\nchange"),
        (format!("echo two > b.txt; git add --all; {commits}; echo c > c.txt"), "Change things\ntheirs"),
    ] {
        let mut attempt = of(upload(&place, &bytes), &text);
        attempt.git.workspace =
            Some(GitWorkspace { url: url.clone(), push: Some(Push::Branch), ..GitWorkspace::default() });
        let outcome = place.run(&attempt);
        assert!(succeeded(&outcome).pushed, "{outcome:?}");
        let branch = format!("conductor/{}", attempt.task_id);
        // What was not committed comes before it, or with what the run itself committed.
        assert_eq!(git(&there, &["log", "--format=%s", &format!("main..{branch}")]), subjects);
        assert_eq!(git(&there, &["show", &format!("{branch}:a.txt")]), "mine");
        assert_eq!(git(&there, &["show", &format!("{branch}:b.txt")]), "two");
        let diff = place.diff(&attempt);
        assert!(diff.contains("+two") && !diff.contains("+mine"), "{diff}");
    }
    let mut nothing = of(upload(&place, &bytes), "true");
    nothing.git.workspace = Some(GitWorkspace { url, push: Some(Push::Branch), ..GitWorkspace::default() });
    assert!(!succeeded(&place.run(&nothing)).pushed, "a run that changed nothing pushes nothing");
}

#[test]
fn the_same_repository_is_kept_once_and_whole_for_all_runs_that_borrow_from_it() {
    let (_repository, bytes) = with_changes();
    let mut place = Place::new(4, |_| {});
    let attempts: Vec<_> = (0..4)
        .map(|number| {
            of(upload(&place, &bytes), &format!("git fsck --connectivity-only 2>&1; echo {number} > n.txt"))
        })
        .collect();
    for (slot, attempt) in attempts.iter().enumerate() {
        place.begin(slot, attempt);
    }
    for _ in &attempts {
        let outcome = place.finished();
        succeeded(&outcome);
    }
    for (number, attempt) in attempts.iter().enumerate() {
        assert!(place.diff(attempt).contains(&format!("+{number}\n")), "{}", place.output(attempt));
    }
    let mirrors: Vec<_> = fs::read_dir(place.mirrors()).unwrap().flatten().collect();
    assert_eq!(mirrors.len(), 1);
    assert!(!mirrors[0].path().join("sent.bundle").exists(), "what was taken in is not kept twice");
}

#[test]
fn a_history_that_was_cut_is_whole_as_far_as_it_goes() {
    let repository = Repository::with(&[("a.txt", "one\n")]);
    for text in ["two\n", "three\n"] {
        repository.commit(&[("a.txt", text)]);
    }
    let end = repository.git(&["rev-parse", "HEAD~1"]);
    fs::write(repository.folder.path().join(".git/shallow"), format!("{end}\n")).unwrap();
    repository.git(&["update-ref", "refs/conductor/head", "HEAD"]);
    repository.git(&["update-ref", "refs/conductor/shallow/0", &end]);
    let bytes = bundle(&repository, &["refs/conductor/head", "refs/conductor/shallow/0"]);
    let mut place = Place::alone();
    let attempt =
        of(upload(&place, &bytes), "git rev-list --count HEAD; git fsck --connectivity-only; echo x > a.txt");
    succeeded(&place.run(&attempt));
    assert_eq!(place.output(&attempt), "2\n");
    assert!(place.diff(&attempt).contains("-three\n+x\n"));
}

#[test]
fn any_bundle_that_names_one_commit_is_taken() {
    let repository = Repository::with(&[("a.txt", "one\n")]);
    let mut place = Place::alone();
    for refs in [["HEAD"], ["main"]] {
        let attempt = of(upload(&place, &bundle(&repository, &refs)), "cat a.txt; git status --porcelain");
        succeeded(&place.run(&attempt));
        assert_eq!(place.output(&attempt), "one\n");
    }
}

#[test]
fn what_is_no_whole_bundle_is_refused_and_leaves_no_half_repository_behind() {
    let (repository, bytes) = with_changes();
    repository.git(&["branch", "more", "refs/conductor/start"]);
    let partial = bundle(&repository, &["more", "^main"]);
    let mut cut = bytes.clone();
    cut.truncate(bytes.len() - 40);
    let mut place = Place::alone();
    let mut other = upload(&place, &bytes);
    other.sha256 = "0".repeat(64);
    let mut gone = upload(&place, &bytes);
    gone.id = Uuid::now_v7();
    let uploads = [
        (upload(&place, b"no bundle"), "git bundle"),
        (upload(&place, &cut), "git fetch"),
        (upload(&place, &partial), "git fetch"),
        (other, "is not what was sent"),
        (gone, "is not in this agent's workspace"),
    ];
    for (upload, part) in uploads {
        let outcome = place.run(&of(upload, "true"));
        let (reason, message) = failed(&outcome);
        assert_eq!(reason, FailureReason::InvalidWorkspace, "{message}");
        assert!(message.contains(part), "{message}");
    }
    let attempt = of(upload(&place, &bytes), "cat a.txt");
    succeeded(&place.run(&attempt));
    git(&place.work(&attempt), &["fsck", "--connectivity-only"]);
}
