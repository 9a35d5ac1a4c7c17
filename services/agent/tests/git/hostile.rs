use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::place::{Place, Repository, git, script, succeeded};

/// Puts a repository of the task's in the place of the one that it was given. Each way in which git could be made to run
/// something leaves a mark.
const REPLACE: &str = r#"
    arm() {
        printf '#!/bin/sh\necho "$0" >> "%s"\ncat\nexit 0\n' "$MARK" > "$1/run" && chmod +x "$1/run"
        for hook in pre-commit post-checkout post-index-change reference-transaction pre-push post-commit fsmonitor-watchman; do
            mkdir -p "$1/.git/hooks" && cp "$1/run" "$1/.git/hooks/$hook"
        done
        git -C "$1" config core.fsmonitor "$1/run"
        git -C "$1" config core.hooksPath "$1/.git/hooks"
        git -C "$1" config core.pager "$1/run"
        git -C "$1" config core.sshCommand "$1/run"
        git -C "$1" config core.alternateRefsCommand "$1/run"
        git -C "$1" config credential.helper "$1/run"
        git -C "$1" config diff.external "$1/run"
        git -C "$1" config diff.evil.textconv "$1/run"
        git -C "$1" config filter.evil.clean "$1/run"
        git -C "$1" config filter.evil.smudge "$1/run"
        git -C "$1" config filter.evil.process "$1/run"
        git -C "$1" config gpg.program "$1/run"
        git -C "$1" config commit.gpgSign true
        git -C "$1" config uploadpack.packObjectsHook "$1/run"
    }
    here=$(pwd)
    rm -rf .git && git init -q . && arm "$here"
    git init -q sub && git -C sub -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && arm "$here/sub"
    git init -q other && git -C other -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && arm "$here/other"
    printf '* filter=evil diff=evil\n' > .gitattributes
    printf '* filter=evil diff=evil\n' > .git/info/attributes
    cp .git/config "$HOME/.gitconfig"
    git config include.path "$HOME/.gitconfig"
    echo changed > a.txt
    rm -f "$MARK"
"#;

fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                all.insert(entry.path().display().to_string(), fs::read(entry.path()).unwrap());
            }
        }
    }
    all
}

#[test]
fn a_task_that_replaces_its_repository_runs_nothing_and_changes_nothing_outside() {
    let repository = Repository::with(&[("a.txt", "one\n")]);
    // The start has a submodule, so that git would have a reason to look into the task's own repository there.
    let commit = repository.git(&["rev-parse", "HEAD"]);
    repository.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},sub")]);
    repository.git(&["commit", "--quiet", "--message=submodule"]);
    let mut place = Place::alone();
    let mark = place.folder.path().join("mark");
    succeeded(&place.run(&script(repository.workspace(), "true")));
    let mirror = fs::read_dir(place.mirrors()).unwrap().next().unwrap().unwrap().path().join("repo.git");
    let before = content(&mirror);
    let mut attempt = script(repository.workspace(), REPLACE);
    attempt.env = vec![("MARK".into(), mark.display().to_string())];
    let outcome = place.run(&attempt);
    let told = succeeded(&outcome).clone();
    let ran = fs::read_to_string(&mark).unwrap_or_default();
    assert_eq!(ran, "", "git ran what the task left");
    assert!(before == content(&mirror), "the mirror was changed");
    let diff = place.diff(&attempt);
    assert!(diff.contains("-one\n+changed\n"), "{diff}");
    assert!(told.commit.is_some());
    // The traps are real: git as people run it steps into them.
    let status = Command::new("git").current_dir(place.work(&attempt)).args(["status"]).output().unwrap();
    assert!(status.status.code().is_some() && mark.exists(), "the traps are not armed");
}

#[test]
fn a_task_cannot_have_the_commits_of_another_repository_pushed() {
    let secret = Repository::with(&[("secret.txt", "s3cret\n")]);
    let hidden = secret.git(&["rev-parse", "HEAD"]);
    let repository = Repository::with(&[("a.txt", "one\n")]);
    let mut place = Place::alone();
    let attempt = script(
        repository.workspace(),
        &format!(
            "echo {}/.git/objects >> .git/objects/info/alternates; echo two > a.txt; \
             c=$(git commit-tree {hidden}^{{tree}} -p HEAD -p {hidden} -m x) && git update-ref HEAD $c",
            secret.folder.path().display()
        ),
    );
    let outcome = place.run(&attempt);
    let told = succeeded(&outcome);
    let clean = place.private(&attempt).join("git/clean.git");
    let commit = told.commit.clone().unwrap();
    assert_eq!(git(&clean, &["rev-list", "--count", &format!("{}..{commit}", told.base)]), "1");
    assert!(!place.diff(&attempt).contains("s3cret"));
    let has = Command::new("git").current_dir(&clean).args(["cat-file", "-e", &hidden]).status().unwrap();
    assert!(!has.success(), "the commit is not there");
}

#[test]
fn links_in_the_place_of_the_repository_lead_nowhere() {
    let other = Repository::with(&[("secret.txt", "s3cret\n")]);
    let repository = Repository::with(&[("a.txt", "one\n")]);
    let mut place = Place::alone();
    for trap in [
        format!("rm -rf .git && ln -s {}/.git .git", other.folder.path().display()),
        format!("rm -rf .git && echo gitdir: {}/.git > .git", other.folder.path().display()),
        format!("rm -rf .git/objects && ln -s {}/.git/objects .git/objects", other.folder.path().display()),
        "rm -rf .git".to_owned(),
    ] {
        let attempt = script(repository.workspace(), &format!("{trap}; echo two > a.txt"));
        let outcome = place.run(&attempt);
        let told = succeeded(&outcome);
        let clean = place.private(&attempt).join("git/clean.git");
        let range = format!("{}..{}", told.base, told.commit.as_ref().unwrap());
        assert_eq!(git(&clean, &["log", "--format=%s", &range]), "Change things", "{trap}");
        assert!(place.diff(&attempt).contains("-one\n+two\n"), "{trap}");
    }
}
