use std::fs;

use conductor_agent::runner::{Attempt, Verdict};

use crate::place::{Place, Repository, git, script, succeeded};

const LOSE_ITS_KEEPER: &str =
    "echo two > a.txt; git commit -qam first; echo new > b.txt; kill -9 $PPID; sleep 60";

/// Checks that a bundle of an attempt has its commits, over what it started from.
fn is_kept(repository: &Repository, place: &Place, attempt: &Attempt) {
    let diff = place.diff(attempt);
    assert!(diff.contains("+two") && diff.contains("b.txt"), "{diff}");
    let bundle = place.task(attempt).join("attempts/1/commits.bundle");
    let other = tempfile::tempdir().unwrap();
    git(other.path(), &["clone", "--quiet", &repository.url(), "."]);
    let branch = format!("conductor/{}", attempt.task_id);
    git(other.path(), &["fetch", "--quiet", bundle.to_str().unwrap(), &branch]);
    assert_eq!(git(other.path(), &["log", "--format=%s", "origin/main..FETCH_HEAD"]), "Change things\nfirst");
}

#[test]
fn the_commits_of_a_run_that_was_lost_with_its_keeper_are_kept() {
    let repository = Repository::with(&[("a.txt", "one\n")]);
    let mut place = Place::alone();
    let attempt = script(repository.workspace(), LOSE_ITS_KEEPER);
    let outcome = place.run(&attempt);
    assert!(matches!(outcome.verdict, Verdict::Crashed { .. }), "{outcome:?}");
    is_kept(&repository, &place, &attempt);
    assert!(!place.note().exists());
    succeeded(&place.run(&script(repository.workspace(), "true")));
    assert!(!place.note().exists(), "nothing is left to be kept");
}

#[test]
fn the_commits_of_a_run_that_was_lost_with_its_worker_are_kept_by_the_next_one() {
    let repository = Repository::with(&[("a.txt", "one\n")]);
    let mut place = Place::alone();
    let attempt = script(repository.workspace(), LOSE_ITS_KEEPER);
    place.run(&attempt);
    // As it is when the worker is killed meanwhile.
    let folder = place.task(&attempt).join("attempts/1");
    for name in ["result.json", "diff.patch"] {
        fs::remove_file(folder.join(name)).unwrap();
    }
    fs::write(folder.join("commits.bundle"), "torn").unwrap();
    fs::write(place.note(), format!("{} 1", attempt.task_id)).unwrap();
    place.restart();
    is_kept(&repository, &place, &attempt);
    assert!(!place.note().exists());
}

#[test]
fn a_note_of_a_run_that_is_gone_or_of_nothing_is_forgotten() {
    let repository = Repository::with(&[("a.txt", "one\n")]);
    let mut place = Place::alone();
    let attempt = script(repository.workspace(), "echo two > a.txt");
    succeeded(&place.run(&attempt));
    for note in [format!("{} 1", uuid::Uuid::now_v7()), format!("{} 1", attempt.task_id)] {
        fs::write(place.note(), note).unwrap();
        place.restart();
        assert!(!place.note().exists());
    }
}
