use std::process::Command;

use super::*;

/// Runs git without anything of the person's.
fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// A repository with so many commits, the last of them with two files.
fn project(commits: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "--quiet", "--initial-branch=main"]);
    for number in 1..=commits {
        write(folder.path(), &[("a.txt", &format!("{number}\n")), ("src/b.txt", "b\n")]);
        git(folder.path(), &["add", "--all"]);
        git(folder.path(), &["commit", "--quiet", "--message", &format!("number {number}")]);
    }
    folder
}

/// What the folder is sent as, in a repository that took it; and what the person is told.
fn sent(folder: &Path, instead: &Instead) -> (tempfile::TempDir, Vec<String>) {
    let (mut gathered, mut notes) = (Gathered::default(), Vec::new());
    assert!(read(folder, instead, &mut notes, &mut gathered).unwrap(), "{notes:?}");
    assert_eq!((gathered.files.len(), gathered.files[0].path.as_str()), (1, "."));
    let mut ahead = gathered.ahead.pop().unwrap();
    (taken(&mut ahead.file), notes)
}

fn taken(bundle: &mut File) -> tempfile::TempDir {
    let there = tempfile::tempdir().unwrap();
    git(there.path(), &["init", "--quiet", "--bare"]);
    let path = there.path().join("sent.bundle");
    std::io::copy(bundle, &mut File::create(&path).unwrap()).unwrap();
    let listed = git(there.path(), &["bundle", "list-heads", "sent.bundle"]);
    let ends = listed.lines().filter(|line| line.contains(SHALLOW)).filter_map(|line| line.split(' ').next());
    let ends: String = ends.map(|commit| format!("{commit}\n")).collect();
    if !ends.is_empty() {
        fs::write(there.path().join("shallow"), ends).unwrap();
    }
    git(there.path(), &["fetch", "--quiet", "--no-tags", "sent.bundle", "+refs/*:refs/*"]);
    there
}

/// Every file below a folder with its content.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => drop(all.insert(entry.path(), fs::read(entry.path()).unwrap())),
            }
        }
    }
    all
}

fn refused(folder: &Path) -> (bool, String) {
    let (mut gathered, mut notes) = (Gathered::default(), Vec::new());
    match read(folder, &Instead::new(), &mut notes, &mut gathered) {
        Ok(was_read) => (was_read, notes.join("\n")),
        Err(failure) => (false, failure.to_string()),
    }
}

#[test]
fn a_repository_goes_with_its_history_and_what_is_not_committed_and_stays_as_it_was() {
    let folder = project(3);
    let at = folder.path();
    git(at, &["branch", "other"]);
    git(at, &["config", "http.extraHeader", "Authorization: s3cret"]);
    write(
        at,
        &[("a.txt", "changed\n"), (".gitignore", "*.log\n"), ("noise.log", "noise\n"), ("new/c.sh", "c\n")],
    );
    write(at, &[("staged.txt", "staged\n")]);
    git(at, &["add", "staged.txt"]);
    fs::remove_file(at.join("src/b.txt")).unwrap();
    std::os::unix::fs::symlink("a.txt", at.join("link")).unwrap();
    let before = contents(at);
    let (there, notes) = sent(at, &Instead::new());
    assert_eq!(contents(at), before, "nothing is written into the person's repository");
    assert_eq!(notes, [""; 0]);
    let there = there.path();
    let head = git(at, &["rev-parse", "HEAD"]);
    assert_eq!(git(there, &["rev-parse", HEAD]), head);
    assert_eq!(
        git(there, &["rev-parse", "refs/heads/main", &format!("{START}^")]),
        format!("{head}\n{head}")
    );
    assert_eq!(git(there, &["rev-list", "--count", HEAD]), "3");
    let files = git(there, &["ls-tree", "-r", "--name-only", START]);
    assert_eq!(files, ".gitignore\na.txt\nlink\nnew/c.sh\nstaged.txt");
    assert_eq!(git(there, &["show", &format!("{START}:a.txt")]), "changed");
    assert!(git(there, &["ls-tree", START, "link"]).starts_with("120000"));
    assert_eq!(git(there, &["for-each-ref", "--format=%(refname)", "refs/heads"]), "refs/heads/main");
    // The same once more is the same commit, so that it is not sent twice.
    let (again, _) = sent(at, &Instead::new());
    assert_eq!(git(again.path(), &["rev-parse", START]), git(there, &["rev-parse", START]));
}

#[test]
fn what_is_committed_needs_no_commit_more_and_a_detached_head_no_branch() {
    let folder = project(2);
    let commit = git(folder.path(), &["rev-parse", "HEAD~1"]);
    git(folder.path(), &["checkout", "--quiet", "--detach", &commit]);
    let (there, _) = sent(folder.path(), &Instead::new());
    assert_eq!(
        git(there.path(), &["for-each-ref", "--format=%(objectname) %(refname)"]),
        format!("{commit} {HEAD}")
    );
}

#[test]
fn a_file_that_is_named_takes_the_place_of_the_repositorys_own() {
    let folder = project(1);
    let other = tempfile::NamedTempFile::new().unwrap();
    fs::write(other.path(), "named\n").unwrap();
    let named = |_| (other.path().to_owned(), File::open(other.path()).unwrap());
    let instead = ["a.txt", "src"].map(|name| (name.to_owned(), named(name))).into_iter().collect();
    let (there, _) = sent(folder.path(), &instead);
    assert_eq!(git(there.path(), &["ls-tree", "-r", "--name-only", START]), "a.txt\nsrc");
    assert_eq!(git(there.path(), &["show", &format!("{START}:a.txt")]), "named");
}

#[test]
fn a_long_history_is_cut_and_whole_where_it_is_taken() {
    let folder = project(6);
    git(folder.path(), &["checkout", "--quiet", "-b", "side", "HEAD~2"]);
    write(folder.path(), &[("side.txt", "side\n")]);
    git(folder.path(), &["add", "--all"]);
    git(folder.path(), &["commit", "--quiet", "--message=side"]);
    git(folder.path(), &["merge", "--quiet", "--message=merge", "main"]);
    let repository = Repository::open(folder.path()).unwrap().unwrap();
    let head = repository.head().unwrap().unwrap();
    // The merge; it and its two parents; and theirs.
    for (most, sent) in [(1, 1), (2, 3), (3, 5)] {
        let cut = cut::newest(&repository, &head, Some(most), "it is large").unwrap();
        assert!(cut.note.as_ref().unwrap().contains("it is large"));
        let scratch = Scratch::make(&repository).unwrap();
        let mut bundle = scratch.bundle(&head, cut, &Instead::new(), &mut Vec::new()).unwrap();
        let there = taken(&mut bundle.file);
        assert_eq!(git(there.path(), &["rev-list", "--count", HEAD]), sent.to_string());
        git(there.path(), &["fsck", "--connectivity-only"]);
        assert_eq!(git(there.path(), &["ls-tree", "--name-only", HEAD]), "a.txt\nside.txt\nsrc");
    }
}

#[test]
fn a_shallow_clone_and_a_work_tree_beside_its_repository_are_sent_as_they_are() {
    let source = project(4);
    let place = tempfile::tempdir().unwrap();
    let url = format!("file://{}", source.path().display());
    git(place.path(), &["clone", "--quiet", "--depth=2", &url, "shallow"]);
    let (there, _) = sent(&place.path().join("shallow"), &Instead::new());
    assert_eq!(git(there.path(), &["rev-list", "--count", HEAD]), "2");
    let beside = place.path().join("beside");
    git(source.path(), &["worktree", "add", "--quiet", "-b", "beside", beside.to_str().unwrap()]);
    write(&beside, &[("a.txt", "beside\n")]);
    let (there, _) = sent(&beside, &Instead::new());
    assert_eq!(git(there.path(), &["show", &format!("{START}:a.txt")]), "beside");
    assert_eq!(
        git(there.path(), &["for-each-ref", "--format=%(refname)", "refs/heads"]),
        "refs/heads/beside"
    );
}

#[test]
fn what_has_no_history_to_send_says_so_and_goes_as_files() {
    let plain = tempfile::tempdir().unwrap();
    assert_eq!(refused(plain.path()), (false, String::new()));
    let (was_read, said) = refused(&project(1).path().join("src"));
    assert!(!was_read && said.contains("is a part of the repository"), "{said}");
    git(plain.path(), &["init", "--quiet"]);
    let (was_read, said) = refused(plain.path());
    assert!(!was_read && said.contains("no commit yet"), "{said}");
    let bare = tempfile::tempdir().unwrap();
    git(bare.path(), &["init", "--quiet", "--bare"]);
    let (_, said) = refused(bare.path());
    assert!(said.contains("bare repository") && said.contains("--git"), "{said}");
}

#[test]
fn what_a_repository_has_of_others_is_named_and_stays_behind() {
    let (folder, inner) = (project(1), project(1));
    let url = format!("file://{}", inner.path().display());
    git(folder.path(), &["submodule", "--quiet", "add", &url, "module"]);
    git(folder.path(), &["clone", "--quiet", &url, "nested"]);
    let (there, notes) = sent(folder.path(), &Instead::new());
    let said = notes.join("\n");
    assert!(said.contains("not sent: nested/") && said.contains("submodules"), "{said}");
    assert_eq!(
        git(there.path(), &["ls-tree", "-r", "--name-only", START]),
        ".gitmodules\na.txt\nmodule\nsrc/b.txt"
    );
}

#[test]
fn what_git_says_is_told_where_a_repository_is_damaged() {
    let folder = project(1);
    fs::write(folder.path().join(".git/index"), "no index").unwrap();
    let (_, said) = refused(folder.path());
    assert!(said.contains("git says") && said.contains("--no-history"), "{said}");
}

#[test]
fn a_folder_is_pushed_to_where_it_is_from_and_nobody_learns_how_its_person_gets_in() {
    let folder = project(1);
    let why = |dir: &Path| origin(dir).unwrap_err().to_string();
    assert!(why(folder.path()).contains("no remote named origin"), "{}", why(folder.path()));
    git(folder.path(), &["remote", "add", "origin", "x"]);
    for (named, expected) in [
        ("https://me:s3cret@git.example/a.git", "https://git.example/a.git"),
        ("https://git.example:8443/a.git", "https://git.example:8443/a.git"),
        ("git@git.example:a/b.git", "git@git.example:a/b.git"),
        ("ssh://git@git.example/a.git", "ssh://git@git.example/a.git"),
    ] {
        git(folder.path(), &["remote", "set-url", "origin", named]);
        assert_eq!(origin(folder.path()).unwrap(), expected);
    }
    for named in ["http://me:s3cret@git.example/a.git", "/srv/a.git", "../a", "ext::sh -c id"] {
        git(folder.path(), &["remote", "set-url", "origin", named]);
        let why = why(folder.path());
        assert!(why.contains("cannot be pushed to") && why.contains("--git URL"), "{why}");
        assert!(!why.contains("s3cret"), "{why}");
    }
    assert!(why(&folder.path().join("src")).contains("not the top"));
}
