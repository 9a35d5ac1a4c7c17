//! Submodules: checked out from mirrors of their own, by the rules that hold for every repository.

use std::fs;

use conductor_agent::runner::{FailureReason, StartsFrom};
use conductor_protocol::submit::GitWorkspace;

use crate::place::{Place, Repository, failed, git, script, succeeded};

fn name(repository: &Repository) -> String {
    repository.folder.path().file_name().unwrap().to_str().unwrap().to_owned()
}

/// A repository in which another lies as a submodule, at an address that `.gitmodules` gives.
fn around(inner: &Repository, url: &str) -> Repository {
    let outer = Repository::with(&[("a.txt", "outer\n")]);
    outer.git(&["submodule", "--quiet", "add", &inner.url(), "deps/inner"]);
    outer.git(&["config", "--file", ".gitmodules", "submodule.deps/inner.url", url]);
    outer.commit(&[]);
    outer
}

fn with_submodules(repository: &Repository) -> GitWorkspace {
    GitWorkspace { submodules: true, ..repository.workspace() }
}

#[test]
fn submodules_and_theirs_are_checked_out_and_are_no_part_of_the_difference() {
    let innermost = Repository::with(&[("c.txt", "innermost\n")]);
    let inner = around(&innermost, &innermost.url());
    let outer = around(&inner, &format!("../{}", name(&inner)));
    // What the submodule has come to since is not what the commit names.
    inner.commit(&[("a.txt", "later\n")]);
    let mut place = Place::alone();
    let attempt = script(
        with_submodules(&outer),
        "git status --porcelain; cat deps/inner/a.txt deps/inner/deps/inner/c.txt; \
         git -C deps/inner log --format=%s | tail -n 1; echo two > a.txt; echo mine > deps/inner/mine.txt",
    );
    succeeded(&place.run(&attempt));
    assert_eq!(place.output(&attempt), "outer\ninnermost\nchange\n");
    let diff = place.diff(&attempt);
    assert!(diff.contains("+two") && !diff.contains("mine"), "{diff}");
    let mirrors: Vec<_> = fs::read_dir(place.mirrors()).unwrap().flatten().collect();
    assert_eq!(mirrors.len(), 3);
    let lent = |attempt: &conductor_agent::runner::Attempt| {
        let task = attempt.task_id.to_string();
        mirrors.iter().filter(|mirror| mirror.path().join("borrowers").join(&task).exists()).count()
    };
    assert_eq!(lent(&attempt), 3, "none of them goes while the run may borrow from it");
    let mut second =
        script(with_submodules(&outer), "cat deps/inner/mine.txt; git -C deps/inner fsck --no-dangling 2>&1");
    second.git.workspace = None;
    second.starts_from = Some(StartsFrom::Task(attempt.task_id));
    succeeded(&place.run(&second));
    assert_eq!((place.output(&second).as_str(), lent(&second)), ("mine\n", 3));
}

#[test]
fn without_being_asked_for_submodules_stay_empty() {
    let inner = Repository::with(&[("b.txt", "inner\n")]);
    let outer = around(&inner, &inner.url());
    let mut place = Place::alone();
    let attempt = script(outer.workspace(), "ls deps/inner; git status --porcelain");
    succeeded(&place.run(&attempt));
    assert_eq!(place.output(&attempt), "");
}

#[test]
fn a_submodule_that_a_run_took_to_another_commit_is_left_out_and_named() {
    let inner = Repository::with(&[("b.txt", "inner\n")]);
    let outer = around(&inner, &inner.url());
    let mut place = Place::alone();
    let attempt = script(
        with_submodules(&outer),
        "cd deps/inner; echo x > b.txt; git -c user.name=a -c user.email=a@b commit -qam mine",
    );
    let outcome = place.run(&attempt);
    assert_eq!(succeeded(&outcome).commit, None);
    assert_eq!(place.diff(&attempt), "Not in this patch: deps/inner (a submodule)\n");
}

#[test]
fn a_submodule_is_held_to_the_addresses_that_a_task_may_give() {
    let inner = Repository::with(&[("b.txt", "inner\n")]);
    let elsewhere = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    git(elsewhere.path(), &["clone", "--quiet", "--bare", &inner.url(), "there.git"]);
    let outside = format!("file://{}/there.git", elsewhere.path().display());
    for (url, part) in [
        ("https://127.0.0.1:1/a.git", "no public address"),
        ("http://git.example/a.git", "http:// is not fetched"),
        ("ext::sh -c id", "not an address"),
        ("https://me:token@git.example/a.git", "may hold no user"),
        ("../../../../../../..", "leads nowhere"),
        (outside.as_str(), "below none of the folders"),
    ] {
        let outer = around(&inner, url);
        let mut place = Place::alone();
        let outcome = place.run(&script(with_submodules(&outer), "true"));
        let (reason, message) = failed(&outcome);
        assert_eq!(reason, FailureReason::InvalidWorkspace, "{url}");
        assert!(message.contains(part), "{url}: {message}");
    }
    let outer = around(&inner, &inner.url());
    outer.git(&["config", "--file", ".gitmodules", "--remove-section", "submodule.deps/inner"]);
    outer.commit(&[]);
    let mut place = Place::alone();
    let outcome = place.run(&script(with_submodules(&outer), "true"));
    assert!(failed(&outcome).1.contains("deps/inner has no address"), "{outcome:?}");
}
