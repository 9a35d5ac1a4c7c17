//! What happens to the folder from one attempt to the next.

use super::*;

const TASK: &str = "0197a000-0000-7000-8000-000000000001";

struct Home {
    folder: tempfile::TempDir,
    workspace: Workspace,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(&folder.path().join("ws")).unwrap();
        Self { folder, workspace }
    }

    fn attempt(&self, attempt: u32, resume: bool) -> Folder {
        let files = [InputFile { path: "src/a.txt".into(), content: b"asked\n".to_vec(), executable: false }];
        let needs = Needs {
            attempt,
            resume,
            task_json: "{}",
            files: &files,
            uploads: None,
            starts_from: None,
            checkout: None,
        };
        self.workspace.enter(TASK).unwrap().prepare(&needs).unwrap()
    }

    fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.path(path)).ok()
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("ws/tasks").join(TASK).join(path)
    }
}

#[test]
fn the_first_attempt_finds_the_files_of_the_task_and_private_folders_of_its_own() {
    let home = Home::new();
    assert!(home.workspace.enter("another").unwrap().is_new());
    let folder = home.attempt(1, false);
    assert_eq!(home.read("work/src/a.txt").as_deref(), Some("asked\n"));
    assert_eq!(home.read("task.json").as_deref(), Some("{}"));
    assert!(home.path("attempts/1").is_dir());
    for path in [folder.home(), folder.temporary()] {
        let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o700, "{}", path.display());
    }
    assert!(!home.workspace.enter(TASK).unwrap().is_new());
}

#[test]
fn a_crash_keeps_the_work_and_the_home() {
    let home = Home::new();
    let folder = home.attempt(1, false);
    std::fs::write(home.path("work/src/a.txt"), "changed").unwrap();
    std::fs::write(folder.home().join("session"), "s").unwrap();
    let folder = home.attempt(2, true);
    assert_eq!(home.read("work/src/a.txt").as_deref(), Some("changed"));
    assert!(folder.home().join("session").exists());
}

#[test]
fn a_failure_starts_fresh_and_keeps_the_old_work_with_its_attempt() {
    let home = Home::new();
    let folder = home.attempt(1, false);
    std::fs::write(home.path("work/src/a.txt"), "changed").unwrap();
    std::fs::write(folder.home().join("session"), "s").unwrap();
    let folder = home.attempt(2, false);
    assert_eq!(home.read("work/src/a.txt").as_deref(), Some("asked\n"));
    assert_eq!(home.read("attempts/1/work/src/a.txt").as_deref(), Some("changed"));
    assert!(!folder.home().join("session").exists());
}

#[test]
fn work_that_was_removed_is_written_again() {
    let home = Home::new();
    home.attempt(1, false);
    std::fs::remove_dir_all(home.path("work")).unwrap();
    home.attempt(2, true);
    assert_eq!(home.read("work/src/a.txt").as_deref(), Some("asked\n"));
}

#[test]
fn a_folder_that_was_never_ready_is_not_resumed() {
    let home = Home::new();
    home.attempt(1, false);
    std::fs::remove_file(home.path("task.json")).unwrap();
    std::fs::write(home.path("work/src/a.txt"), "half").unwrap();
    home.attempt(2, true);
    assert_eq!(home.read("work/src/a.txt").as_deref(), Some("asked\n"));
}

#[test]
fn work_replaced_by_a_link_is_put_aside_and_not_followed() {
    let home = Home::new();
    home.attempt(1, false);
    let outside = tempfile::tempdir().unwrap();
    std::fs::remove_dir_all(home.path("work")).unwrap();
    std::os::unix::fs::symlink(outside.path(), home.path("work")).unwrap();
    home.attempt(2, true);
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    assert!(home.path("attempts/1/work").is_symlink());
    assert_eq!(home.read("work/src/a.txt").as_deref(), Some("asked\n"));
    assert!(!home.path("work").is_symlink());
}

#[test]
fn a_number_given_twice_keeps_both_attempts() {
    let home = Home::new();
    home.attempt(1, false).write_whole("result.json", b"first").unwrap();
    home.attempt(1, true).write_whole("result.json", b"second").unwrap();
    assert_eq!(home.read("attempts/1/result.json").as_deref(), Some("second"));
    assert_eq!(home.read("attempts/1-stale/result.json").as_deref(), Some("first"));
}

#[test]
fn the_last_process_is_read_back_and_nonsense_is_not() {
    let home = Home::new();
    let folder = home.attempt(1, false);
    assert_eq!(home.workspace.enter(TASK).unwrap().last_process(), None);
    let record = Record { version: 1, attempt: 1, boot_id: "b".into(), pid: 7, from_ms: 1, to_ms: 2 };
    folder.keep_process(&record).unwrap();
    assert_eq!(home.workspace.enter(TASK).unwrap().last_process(), Some(record));
    std::fs::write(folder.home().parent().unwrap().join("process.json"), "{").unwrap();
    assert_eq!(home.workspace.enter(TASK).unwrap().last_process(), None);
}

#[test]
fn large_files_are_written_whole() {
    let home = Home::new();
    let folder = home.attempt(1, false);
    let large = vec![b'x'; 100_000];
    folder.write_whole("result.json", &large).unwrap();
    assert_eq!(std::fs::read(home.path("attempts/1/result.json")).unwrap(), large);
    assert_eq!(std::fs::read_dir(home.path("attempts/1")).unwrap().count(), 1);
}

/// A task that starts from the work of [`TASK`].
fn continued(home: &Home, task: &str, files: &[InputFile]) -> Result<Folder, Error> {
    let starts_from = Some(Source::Task { workspace: &home.workspace, task_id: TASK, max_bytes: 1_000 });
    let needs = Needs {
        attempt: 1,
        resume: false,
        task_json: "{}",
        files,
        uploads: None,
        starts_from,
        checkout: None,
    };
    home.workspace.enter(task)?.prepare(&needs)
}

#[test]
fn a_task_starts_from_a_copy_of_anothers_work_with_its_own_files_over_it_and_differs_from_that() {
    let home = Home::new();
    home.attempt(1, false);
    std::fs::write(home.path("work/made.txt"), "made\n").unwrap();
    std::fs::write(home.path("work/run.sh"), "old\n").unwrap();
    let own = InputFile { path: "run.sh".into(), content: b"new\n".to_vec(), executable: true };
    let folder = continued(&home, "next", &[own]).unwrap();
    let work = folder.work_path();
    let read = |name: &str| std::fs::read_to_string(work.join(name)).unwrap();
    assert_eq!(
        (read("made.txt"), read("run.sh"), read("src/a.txt")),
        ("made\n".into(), "new\n".into(), "asked\n".into())
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(work.join("run.sh")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o755);
    assert_eq!(home.read("work/run.sh").as_deref(), Some("old\n"), "the old work stays as it was");
    let patch = || {
        let work = beneath::open_folder(folder.work.as_fd(), ".").unwrap();
        let listing = crate::run::walk::Listing::read(work.as_fd()).unwrap();
        assert_eq!(listing.files.len(), 3);
        String::from_utf8(diff::diff(folder.work.as_fd(), folder.private.as_fd(), &listing).unwrap()).unwrap()
    };
    assert_eq!(patch(), "", "what was there before the run is no change");
    std::fs::write(work.join("made.txt"), "changed\n").unwrap();
    let patch = patch();
    assert!(patch.contains("-made\n+changed\n") && !patch.contains("run.sh"), "{patch}");
}

#[test]
fn work_that_is_gone_or_too_large_to_copy_is_said_by_its_task() {
    let home = Home::new();
    let text = continued(&home, "next", &[]).unwrap_err().to_string();
    assert!(text.contains(TASK) && text.contains("not here"), "{text}");
    home.attempt(1, false);
    std::fs::File::create(home.path("work/sparse")).unwrap().set_len(1 << 40).unwrap();
    let text = continued(&home, "other", &[]).unwrap_err().to_string();
    assert!(text.contains(TASK) && text.contains("1000 bytes"), "{text}");
    std::fs::remove_file(home.path("work/sparse")).unwrap();
    std::fs::remove_dir_all(home.path("work/src")).unwrap();
    std::os::unix::fs::symlink("/etc", home.path("work/src")).unwrap();
    let file = InputFile { path: "src/passwd".into(), content: Vec::new(), executable: false };
    let text = continued(&home, "third", &[file]).unwrap_err().to_string();
    assert!(text.contains("no folder"), "a link in the copy is not followed either: {text}");
}
