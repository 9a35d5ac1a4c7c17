use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::place::{Place, Repository, git, script, succeeded};

/// What became of a spare checkout, and how.
type Way<'a> = (&'a str, &'a dyn Fn(&Path));

/// Waits until the only mirror has its spare checkout.
fn spare(place: &Place) -> PathBuf {
    let until = Instant::now() + Duration::from_secs(60);
    let mirror = fs::read_dir(place.mirrors()).unwrap().next().unwrap().unwrap().path();
    while !mirror.join("spare").exists() {
        assert!(Instant::now() < until, "no spare checkout was made");
        std::thread::sleep(Duration::from_millis(5));
    }
    mirror.join("spare/work")
}

#[test]
fn a_later_run_gets_the_files_that_were_made_beforehand_and_what_changed_since() {
    let repository = Repository::with(&[("a/same.txt", "same\n"), ("top.txt", "old\n"), ("gone.txt", "x\n")]);
    let mut place = Place::alone();
    succeeded(&place.run(&script(repository.workspace(), "true")));
    let inode = fs::metadata(spare(&place).join("a/same.txt")).unwrap().ino();
    repository.git(&["rm", "--quiet", "gone.txt"]);
    repository.commit(&[("top.txt", "new\n"), ("b/added.txt", "added\n")]);
    let attempt = script(
        repository.workspace(),
        "git status --porcelain; cat a/same.txt top.txt b/added.txt; ls; pwd; echo mine >> a/same.txt",
    );
    succeeded(&place.run(&attempt));
    let work = place.work(&attempt);
    let seen = format!("same\nnew\nadded\na\nb\ntop.txt\n{}\n", work.canonicalize().unwrap().display());
    assert_eq!(place.output(&attempt), seen);
    assert_eq!(fs::metadata(work.join("a/same.txt")).unwrap().ino(), inode, "the file was not made again");
    let diff = place.diff(&attempt);
    assert!(diff.contains("+mine") && !diff.contains("top.txt"), "{diff}");
    // The one after it finds nothing of what this one wrote.
    spare(&place);
    let third = script(repository.workspace(), "cat a/same.txt");
    succeeded(&place.run(&third));
    assert_eq!(place.output(&third), "same\n");
}

#[test]
fn whatever_became_of_a_spare_checkout_a_run_finds_the_files_of_its_commit_and_nothing_else() {
    let repository = Repository::with(&[("a.txt", "right\n"), ("d/b.txt", "b\n"), (".gitignore", "*.log\n")]);
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("b.txt"), "theirs\n").unwrap();
    let mut place = Place::alone();
    succeeded(&place.run(&script(repository.workspace(), "true")));
    let replace = |path: PathBuf, target: &Path| {
        fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path)).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
    };
    let ways: [Way<'_>; 9] = [
        ("changed", &|spare| fs::write(spare.join("a.txt"), "wrong\n").unwrap()),
        ("written again", &|spare| fs::write(spare.join("a.txt"), "right\n").unwrap()),
        ("removed", &|spare| fs::remove_file(spare.join("d/b.txt")).unwrap()),
        ("made a program", &|spare| {
            fs::set_permissions(spare.join("a.txt"), fs::Permissions::from_mode(0o755)).unwrap();
        }),
        ("a file made a link", &|spare| replace(spare.join("a.txt"), &elsewhere.path().join("b.txt"))),
        ("a folder made a link", &|spare| replace(spare.join("d"), elsewhere.path())),
        ("left over", &|spare| fs::write(spare.join("d/new.txt"), "x").unwrap()),
        ("ignored and left over", &|spare| fs::write(spare.join("x.log"), "x").unwrap()),
        ("a repository left over", &|spare| git(spare, &["init", "--quiet", "d/inner"]).clear()),
    ];
    for (way, change) in ways {
        change(&spare(&place));
        let attempt = script(
            repository.workspace(),
            "cat a.txt d/b.txt; git status --porcelain --ignored; git diff HEAD; find . -name .git -prune -o -type l -print",
        );
        succeeded(&place.run(&attempt));
        assert_eq!(place.output(&attempt), "right\nb\n", "{way}");
    }
    assert_eq!(fs::read_to_string(elsewhere.path().join("b.txt")).unwrap(), "theirs\n");
}

#[test]
fn a_branch_that_shares_nothing_with_the_spare_checkout_is_whole() {
    let repository = Repository::with(&[("a.txt", "a\n"), ("d/b.txt", "b\n")]);
    let mut place = Place::alone();
    succeeded(&place.run(&script(repository.workspace(), "true")));
    spare(&place);
    repository.git(&["checkout", "--quiet", "--orphan", "other"]);
    repository.git(&["rm", "-rf", "--quiet", "."]);
    repository.commit(&[("d", "a file now\n")]);
    let workspace = conductor_protocol::submit::GitWorkspace {
        reference: Some("other".into()),
        ..repository.workspace()
    };
    let attempt = script(workspace, "ls; cat d; git status --porcelain");
    succeeded(&place.run(&attempt));
    assert_eq!(place.output(&attempt), "d\na file now\n");
    git(&place.work(&attempt), &["fsck", "--connectivity-only"]);
}
