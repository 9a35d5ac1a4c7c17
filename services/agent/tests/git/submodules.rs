//! Submodules: checked out from mirrors of their own, by the rules that hold for every repository.

use std::fs;

use conductor_agent::runner::{FailureReason, StartsFrom};
use conductor_protocol::submit::{GitWorkspace, Push};

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
fn submodules_and_theirs_are_checked_out() {
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
    assert!(diff.contains("+two") && diff.contains("+++ b/deps/inner/mine.txt\n"), "{diff}");
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

/// What somebody has who applies a patch to a clone with its submodules.
fn applied(outer: &Repository, diff: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["clone", "--quiet", "--recurse-submodules", &outer.url(), "."]);
    let patch = folder.path().join("it.patch");
    fs::write(&patch, diff).unwrap();
    git(folder.path(), &["apply", patch.to_str().unwrap()]);
    folder
}

#[test]
fn what_a_run_changed_in_submodules_is_in_its_difference_and_is_pushed_nowhere() {
    let innermost = Repository::with(&[("c.txt", "innermost\n")]);
    let inner = around(&innermost, &innermost.url());
    let outer = around(&inner, &inner.url());
    let mut place = Place::alone();
    let workspace = GitWorkspace { push: Some(Push::Branch), ..with_submodules(&outer) };
    let change = "cd deps/inner; echo x > a.txt; git add a.txt; git -c user.name=a -c user.email=a@b commit -qm mine; \
                  echo new > new.txt; rm deps/inner/c.txt; echo y > deps/inner/d.txt";
    let commit = "cd ../..; git -c user.name=a -c user.email=a@b commit -qam pointer; git ls-tree HEAD deps/inner > a.txt";
    for (text, is_pushed) in [(change.to_owned(), false), (format!("{change}; {commit}"), true)] {
        let attempt = script(workspace.clone(), &text);
        let outcome = place.run(&attempt);
        assert_eq!(succeeded(&outcome).pushed, is_pushed, "{outcome:?}");
        assert_eq!(outcome.flags, ["submodules_not_pushed"]);
        let diff = place.diff(&attempt);
        let changed: Vec<_> = outcome.files.files.iter().map(|file| file.path.as_str()).collect();
        assert!(
            ["deps/inner/a.txt", "deps/inner/new.txt", "deps/inner/deps/inner/d.txt"]
                .iter()
                .all(|path| changed.contains(path)),
            "{changed:?}"
        );
        let folder = applied(&outer, &diff);
        let read = |path: &str| fs::read_to_string(folder.path().join(path)).unwrap();
        assert_eq!((read("deps/inner/a.txt"), read("deps/inner/new.txt")), ("x\n".into(), "new\n".into()));
        assert_eq!(read("deps/inner/deps/inner/d.txt"), "y\n");
        assert!(!folder.path().join("deps/inner/deps/inner/c.txt").exists());
        if is_pushed {
            assert!(diff.contains("deps/inner (a commit of a submodule that no server has)\n"), "{diff}");
            let at = |commit: &str| outer.git(&["rev-parse", &format!("{commit}:deps/inner")]);
            assert_eq!(at(&format!("conductor/{}", attempt.task_id)), at("main"));
        }
        // A run that goes on finds the changes, and tells them as its own.
        let mut second = script(workspace.clone(), "cat deps/inner/a.txt");
        second.git.workspace = None;
        second.starts_from = Some(StartsFrom::Task(attempt.task_id));
        let outcome = place.run(&second);
        assert_eq!((place.output(&second).lines().next(), outcome.flags.len()), (Some("x"), 1));
    }
}

#[test]
fn a_push_that_is_repeated_tells_what_was_changed_in_submodules_too() {
    let inner = Repository::with(&[("b.txt", "inner\n")]);
    let outer = around(&inner, &inner.url());
    let hook = outer.folder.path().join(".git/hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut place = Place::alone();
    let workspace = GitWorkspace { push: Some(Push::Branch), ..with_submodules(&outer) };
    let attempt = script(workspace, "echo two > a.txt; echo mine > deps/inner/mine.txt");
    assert_eq!(failed(&place.run(&attempt)).0, FailureReason::PushFailed);
    fs::remove_file(hook).unwrap();
    let mut again = script(GitWorkspace::default(), "false");
    (again.git.workspace, again.git.push_only) = (None, true);
    again.starts_from = Some(StartsFrom::Task(attempt.task_id));
    let outcome = place.run(&again);
    assert!(succeeded(&outcome).pushed);
    assert_eq!(outcome.flags, ["submodules_not_pushed"]);
    assert_eq!(place.diff(&again), place.diff(&attempt));
    assert!(place.diff(&again).contains("+++ b/deps/inner/mine.txt\n"));
}

#[test]
fn a_run_that_leaves_its_submodules_alone_has_no_part_of_them_in_its_difference() {
    let inner = Repository::with(&[("b.txt", "inner\n"), (".gitignore", "*.o\n")]);
    let outer = around(&inner, &inner.url());
    let mut place = Place::alone();
    let workspace = GitWorkspace { push: Some(Push::Branch), ..with_submodules(&outer) };
    let attempt = script(workspace, "touch deps/inner/b.txt deps/inner/b.o; echo two > a.txt");
    let outcome = place.run(&attempt);
    assert!(succeeded(&outcome).pushed && outcome.flags.is_empty());
    let diff = place.diff(&attempt);
    assert!(diff.contains("+two") && !diff.contains("deps/inner"), "{diff}");
}

#[test]
fn a_task_that_replaces_the_repository_of_a_submodule_runs_nothing_and_is_led_nowhere() {
    let inner = Repository::with(&[("b.txt", "inner\n")]);
    let outer = around(&inner, &inner.url());
    let secret = Repository::with(&[("secret.txt", "s3cret\n")]);
    let mut place = Place::alone();
    let mark = place.folder.path().join("mark");
    let armed = "cd deps/inner; printf '#!/bin/sh\ntouch \"$MARK\"; cat' > run; chmod +x run; r=$(pwd)/run; \
                 for key in core.fsmonitor diff.external diff.evil.textconv filter.evil.clean filter.evil.process core.sshCommand; do \
                 git config $key \"$r\"; done; mkdir -p .git/hooks; cp run .git/hooks/post-index-change; \
                 printf '* filter=evil diff=evil\\n' > .gitattributes; echo x > b.txt; rm -f \"$MARK\"";
    let linked = format!("rm -rf deps/inner; ln -s {} deps/inner", secret.folder.path().display());
    let borrowed = format!(
        "echo {}/.git/objects >> deps/inner/.git/objects/info/alternates; echo {} > deps/inner/.git/HEAD; echo x > deps/inner/b.txt",
        secret.folder.path().display(),
        secret.git(&["rev-parse", "HEAD"])
    );
    for (text, part) in [
        (armed, "+x\n"),
        (linked.as_str(), "deps/inner (a submodule that is no folder any more)\n"),
        (borrowed.as_str(), "+x\n"),
    ] {
        let mut attempt = script(with_submodules(&outer), text);
        attempt.env = vec![("MARK".into(), mark.display().to_string())];
        succeeded(&place.run(&attempt));
        let diff = place.diff(&attempt);
        assert!(diff.contains(part) && !diff.contains("s3cret"), "{text}: {diff}");
        assert!(!mark.exists(), "git ran what the task left");
    }
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
