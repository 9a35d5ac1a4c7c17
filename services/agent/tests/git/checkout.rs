use std::fs;

use conductor_agent::run::InputFile;
use conductor_agent::runner::{FailureReason, Start, StartsFrom, Verdict};
use conductor_protocol::submit::GitWorkspace;

use crate::place::{Place, Repository, failed, git, script, succeeded};

#[test]
fn a_run_finds_the_repository_and_leaves_its_difference() {
    let repository = Repository::with(&[("a.txt", "one\n"), ("gone.txt", "x\n"), (".gitignore", "built/\n")]);
    let base = repository.git(&["rev-parse", "HEAD"]);
    repository.git(&["tag", "v1"]);
    let mut place = Place::alone();
    let attempt = script(
        repository.workspace(),
        "git log --oneline | wc -l && git describe --tags && git status --porcelain && git branch --show-current && \
         echo two >> a.txt && rm gone.txt && printf '\\0bin' > b.bin && mkdir built && touch built/x && ln -s a.txt link",
    );
    let outcome = place.run(&attempt);
    let told = succeeded(&outcome);
    assert_eq!(place.output(&attempt), format!("1\nv1\nconductor/{}\n", attempt.task_id));
    assert_eq!((&told.base, told.pushed), (&base, false));
    let paths: Vec<&str> = outcome.files.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["a.txt", "b.bin"], "what changed, and no link");
    // The difference is whole: it makes the same tree of the start.
    let other = tempfile::tempdir().unwrap();
    git(other.path(), &["clone", "--quiet", &repository.url(), "."]);
    fs::write(other.path().join("../patch-of-the-test"), place.diff(&attempt)).ok();
    let patch = place.task(&attempt).join("attempts/1/diff.patch");
    git(other.path(), &["apply", "--index", patch.to_str().unwrap()]);
    let tree = git(other.path(), &["write-tree"]);
    let bundle = place.task(&attempt).join("attempts/1/commits.bundle");
    let branch = format!("conductor/{}", attempt.task_id);
    git(other.path(), &["fetch", "--quiet", bundle.to_str().unwrap(), &branch]);
    assert_eq!(git(other.path(), &["rev-parse", "FETCH_HEAD^{tree}"]), tree);
    assert_eq!(Some(git(other.path(), &["rev-parse", "FETCH_HEAD"])), told.commit);
    let message = git(other.path(), &["log", "-1", "--format=%an|%s|%b", "FETCH_HEAD"]);
    assert_eq!(message, format!("Conductor|Change things|Conductor-Task: {}", attempt.task_id));
}

#[test]
fn commits_of_the_run_are_kept_as_they_are() {
    let repository = Repository::with(&[("a.txt", "one\n")]);
    let mut place = Place::alone();
    let attempt = script(
        repository.workspace(),
        "echo two > a.txt && git commit -qam first && echo three > new.txt && git add new.txt && git commit -qm second && \
         echo four > a.txt",
    );
    let outcome = place.run(&attempt);
    let told = succeeded(&outcome);
    let clean = place.private(&attempt).join("git/clean.git");
    let range = format!("{}..{}", told.base, told.commit.as_ref().unwrap());
    assert_eq!(git(&clean, &["log", "--format=%s", &range]), "Change things\nsecond\nfirst");
}

#[test]
fn a_run_that_changes_nothing_has_no_commit() {
    let repository = Repository::with(&[("a.txt", "one\n")]);
    let mut place = Place::alone();
    let attempt = script(repository.workspace(), "touch a.txt");
    let outcome = place.run(&attempt);
    let told = succeeded(&outcome);
    assert_eq!((&told.commit, &told.branch, outcome.files.total), (&None, &None, 0));
    assert_eq!(place.diff(&attempt), "");
}

#[test]
fn files_of_the_task_lie_over_the_repository_and_count_as_changes() {
    let repository = Repository::with(&[("a.txt", "one\n")]);
    let mut place = Place::alone();
    let mut attempt = script(repository.workspace(), "cat a.txt");
    attempt.files = vec![InputFile { path: "a.txt".into(), content: b"mine\n".to_vec(), executable: false }];
    succeeded(&place.run(&attempt));
    assert_eq!(place.output(&attempt), "mine\n");
    assert!(place.diff(&attempt).contains("-one\n+mine\n"), "{}", place.diff(&attempt));
}

#[test]
fn branches_tags_commits_and_other_refs_can_be_asked_for() {
    let repository = Repository::with(&[("a.txt", "first\n")]);
    let first = repository.git(&["rev-parse", "HEAD"]);
    repository.git(&["tag", "--annotate", "--message=v1", "v1"]);
    repository.git(&["update-ref", "refs/pull/7/head", &first]);
    repository.git(&["branch", "old"]);
    repository.commit(&[("a.txt", "second\n")]);
    let mut place = Place::alone();
    for (reference, content) in [
        (None, "second\n"),
        (Some("main"), "second\n"),
        (Some("old"), "first\n"),
        (Some("v1"), "first\n"),
        (Some("refs/pull/7/head"), "first\n"),
        (Some(first.as_str()), "first\n"),
    ] {
        let workspace = GitWorkspace { reference: reference.map(str::to_owned), ..repository.workspace() };
        let attempt = script(workspace, "cat a.txt");
        succeeded(&place.run(&attempt));
        assert_eq!(place.output(&attempt), content, "{reference:?}");
    }
    let shallow = GitWorkspace { depth: Some(1), reference: Some("main".into()), ..repository.workspace() };
    let attempt = script(shallow, "git rev-list --count HEAD; echo x > a.txt");
    let outcome = place.run(&attempt);
    assert!(succeeded(&outcome).commit.is_some());
    assert_eq!(place.output(&attempt), "1\n");
    let absent = GitWorkspace { reference: Some("nowhere".into()), ..repository.workspace() };
    let outcome = place.run(&script(absent, "true"));
    let (reason, message) = failed(&outcome);
    assert_eq!(reason, FailureReason::InvalidWorkspace);
    assert!(message.contains("has no nowhere"), "{message}");
}

#[test]
fn what_cannot_be_fetched_is_told_in_gits_words() {
    let mut place = Place::alone();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/absent", folder.path().display());
    let outcome = place.run(&script(GitWorkspace { url, ..GitWorkspace::default() }, "true"));
    assert_eq!(failed(&outcome).0, FailureReason::InvalidWorkspace);
    fs::create_dir(folder.path().join("empty")).unwrap();
    let url = format!("file://{}/empty", folder.path().display());
    let outcome = place.run(&script(GitWorkspace { url, ..GitWorkspace::default() }, "true"));
    let (reason, message) = failed(&outcome);
    assert_eq!(reason, FailureReason::InvalidWorkspace);
    assert!(message.contains("does not appear to be a git repository"), "{message}");
}

#[test]
fn a_later_run_sees_what_was_pushed_since() {
    let repository = Repository::with(&[("a.txt", "first\n")]);
    let mut place = Place::alone();
    for content in ["first\n", "second\n", "third\n"] {
        repository.commit(&[("a.txt", content)]);
        let attempt = script(repository.workspace(), "cat a.txt");
        succeeded(&place.run(&attempt));
        assert_eq!(place.output(&attempt), content);
    }
}

#[test]
fn a_run_borrows_its_objects_and_holds_the_checkout_alone() {
    let big = "0123456789abcdef".repeat(1 << 16);
    let repository = Repository::with(&[("a.txt", "x"), ("big.txt", &big)]);
    let mut place = Place::alone();
    let attempt = script(repository.workspace(), "du -sk .git | cut -f1");
    succeeded(&place.run(&attempt));
    let kilobytes: u64 = place.output(&attempt).trim().parse().unwrap();
    assert!(kilobytes < 200, "{kilobytes}");
}

#[test]
fn an_attempt_after_a_failure_begins_anew_and_one_after_a_crash_goes_on() {
    let repository = Repository::with(&[("a.txt", "one\n")]);
    let mut place = Place::alone();
    let first = script(repository.workspace(), "echo two > a.txt; exit 3");
    assert_eq!(failed(&place.run(&first)).0, FailureReason::ExitCode);
    assert!(place.diff(&first).contains("+two"), "a failure keeps its difference too");
    let again = |number, start, text: &str| {
        let mut attempt = script(repository.workspace(), text);
        attempt.task_id = first.task_id;
        attempt.number = number;
        attempt.start = start;
        attempt
    };
    let second = again(2, Start::Fresh, "cat a.txt; echo three > a.txt");
    succeeded(&place.run(&second));
    assert_eq!(place.output(&second), "one\n");
    let third = again(3, Start::Resume, "cat a.txt");
    let outcome = place.run(&third);
    assert_eq!(place.output(&third), "three\n");
    assert!(succeeded(&outcome).commit.is_some() && place.diff(&third).contains("-one\n+three\n"));
}

#[test]
fn a_task_that_goes_on_from_another_counts_from_its_start() {
    let repository = Repository::with(&[("a.txt", "one\n")]);
    let mut place = Place::alone();
    let first = script(repository.workspace(), "echo two > a.txt");
    let before = succeeded(&place.run(&first)).clone();
    let mut second = script(repository.workspace(), "cat a.txt && git rev-parse HEAD && echo b > b.txt");
    second.git.workspace = None;
    second.starts_from = Some(StartsFrom::Task(first.task_id));
    let outcome = place.run(&second);
    let told = succeeded(&outcome);
    assert_eq!(place.output(&second), format!("two\n{}\n", before.base));
    assert_eq!(
        (&told.base, &told.branch),
        (&before.base, &before.branch),
        "it is one piece of work, not pushed yet"
    );
    let diff = place.diff(&second);
    assert!(diff.contains("+two") && diff.contains("b.txt"), "{diff}");
}

#[test]
fn verify_judges_what_the_run_left() {
    let repository = Repository::with(&[("a.txt", "one\n")]);
    let mut place = Place::alone();
    for (check, verified) in [("grep -q two a.txt", true), ("echo 1 test failed; grep -q three a.txt", false)]
    {
        let mut attempt = script(repository.workspace(), "echo two > a.txt");
        attempt.verify = Some(["sh", "-c", check].map(str::to_owned).to_vec());
        let outcome = place.run(&attempt);
        assert_eq!(outcome.verified, Some(verified), "{outcome:?}");
        assert!(place.output(&attempt).contains("[verify] sh -c"), "{}", place.output(&attempt));
        if verified {
            assert_eq!(outcome.verdict, Verdict::Succeeded);
        } else {
            assert_eq!(
                failed(&outcome),
                (FailureReason::VerifyFailed, "verify: sh exited with 1: 1 test failed")
            );
        }
    }
}
