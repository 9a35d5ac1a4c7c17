//! Files into a task and out of it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::place::Place;

/// A project with a file that is ignored, a program and a link.
fn project(place: &Place) {
    let root = place.path("project");
    fs::create_dir_all(root.join("src")).unwrap();
    fs::write(root.join(".gitignore"), "*.log\n").unwrap();
    fs::write(root.join("noise.log"), "noise").unwrap();
    fs::write(root.join("src/a.txt"), "one\ntwo\nthree\n").unwrap();
    fs::write(root.join("run.sh"), "#!/bin/sh\necho ran\n").unwrap();
    fs::set_permissions(root.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("/etc/passwd", root.join("link")).unwrap();
}

const CHANGE: &str = "sed -i s/two/TWO/ src/a.txt; rm run.sh; mkdir -p new; echo made > new/file";

#[test]
fn a_folder_goes_in_and_its_changes_come_back() {
    let place = Place::new();
    project(&place);
    let mut command = place.command(&["run", "--output", "json", "--here", "--", "sh", "-c", CHANGE]);
    command.current_dir(place.path("project"));
    let ended = place.begin(command).end().with(0);
    assert!(ended.err.contains("link"), "the link is said to stay behind: {ended:?}");
    let task = ended.json();
    let id = task["id"].as_str().unwrap();
    assert_eq!(task["input_files"], serde_json::json!([".gitignore", "run.sh", "src/a.txt"]));

    let before = fs::read_to_string(place.path("project/src/a.txt")).unwrap();
    assert_eq!(before, "one\ntwo\nthree\n", "the run worked on a copy");
    let dry = place.run(&["apply", id, "--to", "project", "--dry-run"]).with(0).text();
    assert!(dry.contains("would be changed  src/a.txt"), "{dry}");
    assert!(place.path("project/run.sh").exists());

    place.run(&["apply", id, "--to", "project"]).with(0);
    assert_eq!(fs::read_to_string(place.path("project/src/a.txt")).unwrap(), "one\nTWO\nthree\n");
    assert_eq!(fs::read_to_string(place.path("project/new/file")).unwrap(), "made\n");
    assert!(!place.path("project/run.sh").exists());
    assert!(place.path("project/noise.log").exists());
}

#[test]
fn a_conflict_is_refused_and_nothing_is_touched() {
    let place = Place::new();
    project(&place);
    let ended = place.run(&["run", "--output", "json", "--dir", "project", "--", "sh", "-c", CHANGE]).with(0);
    let id = ended.json()["id"].as_str().unwrap().to_owned();
    fs::write(place.path("project/src/a.txt"), "something else\n").unwrap();
    let ended = place.run(&["apply", &id, "--to", "project"]).with(4);
    assert!(ended.err.contains("src/a.txt") && ended.err.contains("nothing was changed"), "{ended:?}");
    assert!(place.path("project/run.sh").exists() && !place.path("project/new").exists());
}

#[test]
fn single_files_go_in_with_their_mode() {
    let place = Place::new();
    project(&place);
    fs::write(place.path("bytes.bin"), [0xff, 0, 1]).unwrap();
    let args = [
        "run",
        "--file",
        "project/run.sh",
        "--file",
        "bytes.bin",
        "--",
        "sh",
        "-c",
        "./project/run.sh; od -An -tx1 bytes.bin",
    ];
    let ended = place.run(&args).with(0);
    assert_eq!(ended.text().split_whitespace().collect::<Vec<_>>(), ["ran", "ff", "00", "01"], "{ended:?}");
}

#[test]
fn a_large_folder_and_a_large_file_go_ahead_of_their_task() {
    let place = Place::new();
    let _up = place.up(&[]);
    project(&place);
    let big = vec![7; 9 << 20];
    fs::write(place.path("project/src/big"), &big).unwrap();
    fs::write(place.path("project/replaced"), "of the folder").unwrap();
    fs::write(place.path("replaced"), vec![b'x'; 2 << 20]).unwrap();
    let script = "wc -c < src/big; ./run.sh; head -c 3 replaced; cat noise.log";
    let args = ["run", "--output", "json", "--dir", "project", "--file", "replaced", "--key", "same"];
    let args = [&args[..], &["--", "sh", "-c", script]].concat();
    let ended = place.run(&args).with(1);
    let id = ended.json()["id"].as_str().unwrap().to_owned();
    let output = place.run(&["logs", &id]).with(0).text();
    assert!(output.starts_with("9437184\nran\nxxx") && output.contains("noise.log"), "{output}");
    // The same folder under the same key is the same task, and is not sent a second time.
    let again = place.run(&args).with(1);
    assert_eq!(again.json()["id"], ended.json()["id"], "{again:?}");
    let uploads = fs::read_dir(place.world.home().tasks().parent().unwrap().join("private/uploads")).unwrap();
    assert_eq!(uploads.count(), 2, "one for the folder and one for the file");
}

/// Runs git without anything of the person's.
fn git(folder: &std::path::Path, args: &[&str]) -> String {
    let output = std::process::Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=a", "-c", "user.email=a@b"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn a_repository_goes_in_with_its_history_and_what_the_run_changed_comes_back() {
    let place = Place::new();
    let _up = place.up(&[]);
    project(&place);
    let root = place.path("project");
    git(&root, &["init", "--quiet", "--initial-branch=main"]);
    git(&root, &["add", "--all"]);
    git(&root, &["commit", "--quiet", "--message=mine"]);
    git(&root, &["config", "http.extraHeader", "Authorization: s3cret"]);
    fs::write(root.join("src/a.txt"), "one\ntwo\nthree\nnot committed\n").unwrap();
    fs::write(root.join("untracked"), "u\n").unwrap();
    let before = (git(&root, &["status", "--porcelain"]), git(&root, &["count-objects", "--verbose"]));
    let script = format!(
        "git log --format=%s; git status --porcelain; cat noise.log; git config --list | grep s3cret; \
         printf '\\000\\377' > bytes.bin; {CHANGE}"
    );
    let args = ["run", "--output", "json", "--here", "--key", "same", "--", "sh", "-c", &script];
    let begin = || {
        let mut command = place.command(&args);
        command.current_dir(&root);
        place.begin(command).end().with(0)
    };
    let ended = begin();
    let id = ended.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(
        begin().json()["id"],
        ended.json()["id"],
        "the same folder under the same key is the same task"
    );
    let after = (git(&root, &["status", "--porcelain"]), git(&root, &["count-objects", "--verbose"]));
    assert_eq!(before, after, "nothing is written into the person's repository");
    let output = place.run(&["logs", &id]).with(0).text();
    assert!(output.starts_with("mine\n M src/a.txt\n?? untracked\n"), "{output}");
    assert!(output.contains("noise.log: No such file") && !output.contains("s3cret"), "{output}");

    place.run(&["apply", &id, "--to", "project"]).with(0);
    let text = fs::read_to_string(root.join("src/a.txt")).unwrap();
    assert_eq!(text, "one\nTWO\nthree\nnot committed\n");
    assert_eq!(fs::read(root.join("bytes.bin")).unwrap(), [0, 255]);
    assert!(!root.join("run.sh").exists() && root.join("untracked").exists());

    // What was left goes on, and with it the history.
    let ended =
        place.run(&["run", "--continue", &id, "--", "sh", "-c", "git log --format=%s; cat new/file"]).with(0);
    assert_eq!(ended.text(), "mine\nmade\n");
    // Without its history it is the files alone.
    let ended = place.run(&["run", "--dir", "project", "--no-history", "--", "ls", "-a"]).with(0);
    assert!(ended.text().contains("untracked") && !ended.text().contains(".git\n"), "{ended:?}");
}

#[test]
fn a_folder_that_is_too_large_is_refused_and_its_largest_files_are_named() {
    let place = Place::new();
    fs::create_dir(place.path("large")).unwrap();
    fs::File::create(place.path("large/big")).unwrap().set_len(20 << 20).unwrap();
    let mut command = place.command(&["run", "--dir", "large", "x"]);
    command.env("CONDUCTOR__API__MAX_UPLOAD_BYTES", (8_u64 << 20).to_string());
    let ended = place.begin(command).end().with(4);
    assert!(ended.err.contains("20.0 MiB  big") && ended.err.contains("8388608"), "{ended:?}");
}

#[test]
fn a_task_goes_on_from_anothers_work() {
    let place = Place::new();
    let ended = place.run(&["run", "--output", "json", "--", "sh", "-c", "echo kept > kept.txt"]).with(0);
    let id = ended.json()["id"].as_str().unwrap().to_owned();
    let ended = place.run(&["run", "--continue", &id, "--", "cat", "kept.txt"]).with(0);
    assert_eq!(ended.text(), "kept\n");
}

#[test]
fn a_file_of_a_run_is_read_and_never_one_outside() {
    let place = Place::new();
    let script = "ln -s /etc/passwd link; ln -s / root; printf 'a\\377' > file";
    let ended = place.run(&["run", "--output", "json", "--", "sh", "-c", script]).with(0);
    let id = ended.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(place.run(&["files", &id, "file"]).with(0).out, b"a\xff");
    for path in ["link", "root/etc/passwd", "../task.json", "/etc/passwd", "absent"] {
        let ended = place.run(&["files", &id, path]).with(4);
        assert!(ended.out.is_empty(), "{path}: {ended:?}");
    }
}
