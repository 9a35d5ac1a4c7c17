//! Large files, in the store of a private repository.

use std::fs;
use std::path::Path;
use std::process::Command;

use conductor_agent::runner::{FailureReason, StartsFrom};
use conductor_protocol::submit::{GitWorkspace, Push};
use conductor_testkit::git_server::GitServer;
use sha2::{Digest as _, Sha256};

use crate::place::{Repository, failed, git, script, succeeded};
use crate::private::{Forge, KNOWN, TOKEN, holds};

const ATTRIBUTES: &str = "*.bin filter=lfs diff=lfs merge=lfs -text\n";

fn oid(content: &str) -> String {
    hex::encode(Sha256::digest(content))
}

fn pointer(content: &str) -> String {
    let (oid, size) = (oid(content), content.len());
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n")
}

/// A forge whose repository has a large file, and a configuration that leads elsewhere.
fn forge(elsewhere: &str) -> Forge {
    let forge = Forge::new();
    let source = Repository::with(&[
        (".gitattributes", ATTRIBUTES),
        (".lfsconfig", &format!("[lfs]\n\turl = {elsewhere}\n")),
        ("a.txt", "one\n"),
        ("d/large.bin", &pointer("large\n")),
        ("d/empty.bin", ""),
        ("same.bin", &pointer("same\n")),
    ]);
    source.git(&["push", "--quiet", "--force", forge.bare().to_str().unwrap(), "main"]);
    for content in ["large\n", "same\n"] {
        keep(&forge.bare().join("lfs/objects"), content);
    }
    forge
}

fn keep(store: &Path, content: &str) {
    fs::create_dir_all(store).unwrap();
    fs::write(store.join(oid(content)), content).unwrap();
}

fn large(forge: &Forge) -> GitWorkspace {
    GitWorkspace { lfs: true, push: Some(Push::Branch), ..forge.workspace() }
}

#[test]
fn large_files_are_there_and_what_a_run_makes_of_them_is_brought_to_the_server_with_its_branch() {
    let (root, evil) = (tempfile::tempdir().unwrap(), Repository::with(&[]));
    let elsewhere = GitServer::start(root.path(), "another");
    let forge = forge(&elsewhere.url("me/app"));
    let mut place = forge.place(KNOWN);
    let mark = evil.folder.path().join("mark");
    let attempt = script(
        large(&forge),
        &format!(
            "git status --porcelain; cat d/large.bin same.bin; wc -c < d/empty.bin; \
             echo changed > d/large.bin; git commit -qam mine; git diff HEAD~1 --stat | tail -n 1; \
             git checkout -q HEAD~1 -- d/large.bin; cat d/large.bin; git reset -q --hard; \
             echo new > new.bin; echo small > b.txt; touch same.bin; git status --porcelain; \
             git config filter.lfs.clean 'touch {0}; cat'; git config filter.lfs.process 'touch {0}'",
            mark.display()
        ),
    );
    let outcome = place.run(&attempt);
    let told = succeeded(&outcome);
    assert!(told.pushed);
    let said =
        "large\nsame\n0\n 1 file changed, 2 insertions(+), 2 deletions(-)\nlarge\n?? b.txt\n?? new.bin\n";
    assert!(place.output(&attempt).starts_with(said), "{}", place.output(&attempt));
    assert!(!mark.exists(), "a filter of the task ran outside of it");
    let branch = format!("conductor/{}", attempt.task_id);
    for (path, content) in [("d/large.bin", "changed\n"), ("new.bin", "new\n"), ("same.bin", "same\n")] {
        assert_eq!(
            git(&forge.bare(), &["show", &format!("{branch}:{path}")]) + "\n",
            pointer(content),
            "{path}"
        );
        let kept = forge.bare().join("lfs/objects").join(oid(content));
        assert_eq!(fs::read_to_string(kept).unwrap(), content, "{path}");
    }
    let diff = place.diff(&attempt);
    assert!(diff.contains(&format!("+oid sha256:{}", oid("changed\n"))) && diff.contains("+small"), "{diff}");
    assert!(!diff.contains("same.bin") && !diff.contains("empty.bin"), "{diff}");
    assert_eq!(
        (elsewhere.refused(), elsewhere.exposed()),
        (0, 0),
        "the configuration of a tree was followed"
    );
    assert_eq!(holds(place.folder.path(), TOKEN), None, "the token is in a file");
    // What was fetched once is there for all.
    fs::remove_file(forge.bare().join("lfs/objects").join(oid("large\n"))).unwrap();
    let second = script(large(&forge), "cat d/large.bin; git status --porcelain");
    succeeded(&place.run(&second));
    assert_eq!(place.output(&second), "large\n");
}

/// Runs git with git-lfs, as somebody who has the token.
fn with_git_lfs(forge: &Forge, folder: &Path, args: &[&str]) -> String {
    let home = forge.root.path();
    let config = format!(
        "[user]\n\tname = a\n\temail = a@b\n[http]\n\tsslCAInfo = {}\n[credential]\n\thelper = \"!f() {{ echo username=me; \
         echo password={TOKEN}; }}; f\"\n[filter \"lfs\"]\n\tclean = git-lfs clean -- %f\n\tsmudge = git-lfs smudge -- %f\n\t\
         process = git-lfs filter-process\n\trequired = true\n",
        forge.authorities.path().display()
    );
    fs::write(home.join(".gitconfig"), config).unwrap();
    let output = Command::new("git")
        .current_dir(folder)
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_real_git_lfs_and_conductor_read_what_the_other_wrote() {
    if Command::new("git-lfs").arg("version").output().is_err() {
        eprintln!("skipped: git-lfs is not installed");
        return;
    }
    let forge = Forge::new();
    let mine = tempfile::tempdir().unwrap();
    let call = |args: &[&str]| with_git_lfs(&forge, &mine.path().join("app"), args);
    let url = forge.server.url("me/app");
    with_git_lfs(&forge, mine.path(), &["clone", "--quiet", &url, "app"]);
    call(&["lfs", "install", "--local"]);
    call(&["lfs", "track", "*.bin"]);
    fs::write(mine.path().join("app/a.bin"), [7; 200_000]).unwrap();
    call(&["add", "."]);
    call(&["commit", "--quiet", "--message=large"]);
    call(&["push", "--quiet", "origin", "main"]);
    let mut place = forge.place(KNOWN);
    let attempt =
        script(large(&forge), "git status --porcelain; wc -c < a.bin; head -c 300000 /dev/zero > b.bin");
    assert!(succeeded(&place.run(&attempt)).pushed);
    assert_eq!(place.output(&attempt).lines().next(), Some("200000"), "{}", place.output(&attempt));
    call(&["fetch", "--quiet"]);
    call(&["checkout", "--quiet", &format!("conductor/{}", attempt.task_id)]);
    assert_eq!(fs::read(mine.path().join("app/b.bin")).unwrap(), [0; 300_000]);
    assert!(call(&["lfs", "ls-files", "--name-only"]).contains("b.bin"));
    assert_eq!(call(&["status", "--porcelain"]), "");
}

#[test]
fn large_files_of_submodules_are_there_and_what_a_run_makes_of_them_is_told_as_pointers() {
    let forge = forge("https://elsewhere.example");
    let outer = Repository::with(&[("a.txt", "outer\n")]);
    let bare = forge.bare();
    outer.git(&["submodule", "--quiet", "add", &format!("file://{}", bare.display()), "deps/app"]);
    outer.git(&["config", "--file", ".gitmodules", "submodule.deps/app.url", &forge.server.url("me/app")]);
    outer.commit(&[]);
    let mut place = forge.place_with(KNOWN, |config| config.file_roots = vec![std::env::temp_dir()]);
    let workspace = GitWorkspace { lfs: true, submodules: true, ..outer.workspace() };
    let text = "cd deps/app; cat d/large.bin same.bin; git status --porcelain; echo changed > d/large.bin; \
                git add .; git show :d/large.bin | tail -n 1";
    let attempt = script(workspace.clone(), text);
    succeeded(&place.run(&attempt));
    assert_eq!(place.output(&attempt), "large\nsame\nsize 8\n");
    let diff = place.diff(&attempt);
    assert!(diff.contains(&format!("+oid sha256:{}", oid("changed\n"))), "{diff}");
    assert!(diff.contains("b/deps/app/d/large.bin") && !diff.contains("same.bin"), "{diff}");
    // A run that goes on finds them as they were left.
    let mut second = script(workspace, "cd deps/app; cat d/large.bin same.bin; git status --porcelain");
    (second.git.workspace, second.starts_from) = (None, Some(StartsFrom::Task(attempt.task_id)));
    succeeded(&place.run(&second));
    assert_eq!(place.output(&second), "changed\nsame\nM  d/large.bin\n");
    assert!(place.diff(&second).contains(&oid("changed\n")) && !place.diff(&second).contains("same.bin"));
}

#[test]
fn a_server_that_is_busy_for_a_moment_is_asked_again_for_its_large_files() {
    let forge = forge("https://elsewhere.example");
    let mut place = forge.place(KNOWN);
    forge.server.fail_next(1);
    let attempt = script(large(&forge), "cat d/large.bin");
    succeeded(&place.run(&attempt));
    assert_eq!(place.output(&attempt), "large\n");
}

#[test]
fn without_being_asked_for_large_files_stay_their_pointers() {
    let forge = forge("https://elsewhere.example");
    let mut place = forge.place(KNOWN);
    let attempt = script(forge.workspace(), "cat same.bin");
    succeeded(&place.run(&attempt));
    assert_eq!(place.output(&attempt), pointer("same\n"));
}

#[test]
fn large_files_that_lie_on_another_server_are_fetched_and_brought_there_without_the_credential() {
    let root = tempfile::tempdir().unwrap();
    let storage = GitServer::start(root.path(), "another");
    for content in ["large\n", "same\n"] {
        keep(&root.path().join("storage"), content);
    }
    let forge = forge("https://elsewhere.example");
    forge.server.store_at(&storage);
    let both = format!("{}{}", forge.server.certificate(), storage.certificate());
    fs::write(forge.authorities.path(), both).unwrap();
    let mut place = forge.place(KNOWN);
    fs::remove_dir_all(forge.bare().join("lfs")).unwrap();
    let attempt = script(large(&forge), "cat d/large.bin; echo new > new.bin");
    assert!(succeeded(&place.run(&attempt)).pushed);
    assert_eq!(place.output(&attempt).lines().next(), Some("large"));
    assert_eq!(fs::read_to_string(root.path().join("storage").join(oid("new\n"))).unwrap(), "new\n");
    assert_eq!(storage.exposed(), 0, "the credential went to another server");
}

#[test]
fn a_large_file_that_is_not_what_its_pointer_says_is_not_taken() {
    let forge = forge("https://elsewhere.example");
    let mut place = forge.place(KNOWN);
    for (content, part) in [("wrong\n", "something else"), ("largest\n", "larger than its pointer")] {
        fs::write(forge.bare().join("lfs/objects").join(oid("large\n")), content).unwrap();
        let outcome = place.run(&script(large(&forge), "true"));
        let (reason, message) = failed(&outcome);
        assert_eq!(reason, FailureReason::InvalidWorkspace);
        assert!(message.contains(part), "{message}");
    }
    fs::remove_file(forge.bare().join("lfs/objects").join(oid("large\n"))).unwrap();
    let outcome = place.run(&script(large(&forge), "true"));
    assert!(failed(&outcome).1.contains("Object does not exist"), "{outcome:?}");
    let file = GitWorkspace { lfs: true, ..Repository::with(&[("a.txt", "one\n")]).workspace() };
    let outcome = place.run(&script(file, "true"));
    assert_eq!(failed(&outcome).0, FailureReason::InvalidWorkspace, "there is no store of files by file://");
}

#[test]
fn a_pointer_without_content_is_named_and_its_branch_is_not_pushed() {
    let forge = forge("https://elsewhere.example");
    let mut place = forge.place(KNOWN);
    let text = pointer("nobody has it\n");
    let attempt = script(large(&forge), &format!("printf '%s' '{text}' > lost.bin; echo two > a.txt"));
    let outcome = place.run(&attempt);
    let (reason, message) = failed(&outcome);
    assert_eq!(reason, FailureReason::PushFailed);
    assert!(message.contains("lost.bin is neither here nor there"), "{message}");
    assert_eq!(git(&forge.bare(), &["branch", "--list", "conductor/*"]), "");
    assert!(place.task(&attempt).join("attempts/1/commits.bundle").exists(), "its commits are kept");
}

#[test]
fn a_push_that_is_repeated_brings_the_large_files_again() {
    let forge = forge("https://elsewhere.example");
    let hook = forge.bare().join("hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut place = forge.place(KNOWN);
    let first = script(large(&forge), "echo new > new.bin");
    assert_eq!(failed(&place.run(&first)).0, FailureReason::PushFailed);
    let kept = forge.bare().join("lfs/objects").join(oid("new\n"));
    fs::remove_file(&kept).unwrap();
    fs::remove_file(hook).unwrap();
    let mut again = script(large(&forge), "false");
    again.starts_from = Some(StartsFrom::Task(first.task_id));
    again.git.workspace = None;
    again.git.push_only = true;
    assert!(succeeded(&place.run(&again)).pushed);
    assert_eq!(fs::read_to_string(kept).unwrap(), "new\n");
}
