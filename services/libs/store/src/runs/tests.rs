use std::ffi::CString;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::*;

const TASK: TaskId = TaskId(7);

struct Workspace {
    temp: tempfile::TempDir,
    runs: Directory,
}

impl Workspace {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let runs = Directory::new(temp.path().join("workspace"));
        fs::create_dir_all(runs.folder(TASK).join("work")).unwrap();
        fs::create_dir_all(runs.folder(TASK).join("attempts/1")).unwrap();
        fs::create_dir_all(runs.private(TASK)).unwrap();
        fs::write(temp.path().join("secret"), "of the owner").unwrap();
        Self { temp, runs }
    }

    fn work(&self) -> PathBuf {
        self.runs.folder(TASK).join("work")
    }

    fn secret(&self) -> PathBuf {
        self.temp.path().join("secret")
    }

    fn read(&self, path: &str) -> Option<String> {
        let mut file = self.runs.work_file(TASK, path).unwrap()?;
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        Some(text)
    }
}

fn mkfifo(path: &Path) {
    let path = CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
}

#[test]
fn a_file_of_the_work_folder_is_read_by_its_path() {
    let workspace = Workspace::new();
    fs::create_dir_all(workspace.work().join("a/b")).unwrap();
    fs::write(workspace.work().join("a/b/ä.txt"), "hello").unwrap();
    assert_eq!(workspace.read("a/b/ä.txt").as_deref(), Some("hello"));
    assert_eq!(workspace.read("a/b/none"), None);
    assert_eq!(workspace.read("a/b"), None, "a folder is no file");
    assert_eq!(workspace.read("a/b/ä.txt/x"), None);
}

#[test]
fn nothing_outside_of_the_work_folder_can_be_read() {
    let workspace = Workspace::new();
    let work = workspace.work();
    fs::write(work.join("own"), "own").unwrap();
    symlink(workspace.secret(), work.join("link")).unwrap();
    symlink("own", work.join("inner")).unwrap();
    symlink(workspace.temp.path(), work.join("folder")).unwrap();
    fs::hard_link(workspace.secret(), work.join("hard")).unwrap();
    mkfifo(&work.join("pipe"));
    let absolute = workspace.secret();
    for path in [
        "link",
        "inner",
        "folder/secret",
        "hard",
        "pipe",
        "../../../../secret",
        "./own",
        "a/../own",
        "",
        "/",
        "own/",
        "//own",
        "own\0",
        absolute.to_str().unwrap(),
    ] {
        assert_eq!(workspace.read(path), None, "{path:?}");
    }
    let listed = workspace.runs.list(TASK, Limits::default()).unwrap();
    assert_eq!(listed.files, [Entry { path: "own".into(), bytes: 3 }]);
    assert!(!listed.more);
}

#[test]
fn output_is_read_from_an_offset() {
    let workspace = Workspace::new();
    let output = |offset, max| workspace.runs.output(TASK, 1, offset, max).unwrap();
    assert_eq!(output(0, 10), None);
    fs::write(workspace.runs.folder(TASK).join("attempts/1/output.log"), "0123456789").unwrap();
    let is = |offset, text: &str| Some(Output { offset, bytes: text.into(), length: 10 });
    assert_eq!(output(0, 4), is(0, "0123"));
    assert_eq!(output(8, 4), is(8, "89"));
    assert_eq!(output(10, 4), is(10, ""));
    assert_eq!(output(u64::MAX, 4), is(u64::MAX, ""));
    assert_eq!(workspace.runs.output(TASK, 2, 0, 4).unwrap(), None);
}

#[test]
fn a_list_keeps_to_its_limits_and_says_so() {
    let workspace = Workspace::new();
    for number in 0..20 {
        fs::write(workspace.work().join(format!("f{number:02}")), "x").unwrap();
    }
    let mut deep = workspace.work();
    for _ in 0..10 {
        deep.push("d");
        fs::create_dir(&deep).unwrap();
    }
    fs::write(deep.join("deep"), "x").unwrap();
    let list = |limits| workspace.runs.list(TASK, limits).unwrap();
    let all = list(Limits::default());
    assert_eq!((all.files.len(), all.more), (21, false));
    assert!(all.files.is_sorted());
    let few = list(Limits { files: 5, ..Limits::default() });
    assert_eq!((few.files.len(), few.more), (5, true));
    let names = list(Limits { names: 7, ..Limits::default() });
    assert!(names.files.len() <= 7 && names.more);
    let flat = list(Limits { depth: 10, ..Limits::default() });
    assert_eq!((flat.files.len(), flat.more), (20, true));
    assert_eq!(workspace.runs.list(TaskId(8), Limits::default()).unwrap(), Listing::default());
}

#[test]
fn a_run_is_deleted_and_what_its_links_lead_to_stays() {
    let workspace = Workspace::new();
    let work = workspace.work();
    let elsewhere = workspace.temp.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("kept"), "x").unwrap();
    symlink(&elsewhere, work.join("link")).unwrap();
    symlink("/nowhere", work.join("dangling")).unwrap();
    fs::hard_link(workspace.secret(), work.join("hard")).unwrap();
    mkfifo(&work.join("pipe"));
    fs::create_dir_all(work.join("shut/inner")).unwrap();
    fs::write(work.join("shut/inner/file"), "x").unwrap();
    for (path, mode) in [("shut/inner/file", 0o000), ("shut/inner", 0o500), ("shut", 0o000)] {
        fs::set_permissions(work.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    workspace.runs.delete(TASK).unwrap();
    assert!(!workspace.runs.folder(TASK).exists());
    assert!(!workspace.runs.private(TASK).exists());
    assert!(elsewhere.join("kept").exists());
    assert_eq!(fs::read_to_string(workspace.secret()).unwrap(), "of the owner");
    workspace.runs.delete(TASK).unwrap();
}

#[test]
fn a_folder_that_was_replaced_by_a_link_is_not_followed() {
    let workspace = Workspace::new();
    let elsewhere = workspace.temp.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("kept"), "x").unwrap();
    fs::remove_dir(workspace.work()).unwrap();
    symlink(&elsewhere, workspace.work()).unwrap();
    assert_eq!(workspace.read("kept"), None);
    assert!(workspace.runs.list(TASK, Limits::default()).unwrap().files.is_empty());
    workspace.runs.delete_work(TASK).unwrap();
    assert!(workspace.work().symlink_metadata().is_err());
    assert!(elsewhere.join("kept").exists());
    assert!(workspace.runs.folder(TASK).join("attempts/1").exists());
}

#[test]
fn folders_within_folders_without_end_are_deleted() {
    let workspace = Workspace::new();
    // Deeper than there are descriptors, and than a path may be long.
    let mut folder = beneath::open_root(&workspace.work()).unwrap();
    let name = "d".repeat(200);
    for _ in 0..1_200 {
        use std::os::fd::AsFd;
        rustix::fs::mkdirat(&folder, name.as_str(), rustix::fs::Mode::RWXU).unwrap();
        folder = beneath::open_folder(folder.as_fd(), name.as_str()).unwrap();
    }
    assert!(workspace.runs.list(TASK, Limits::default()).unwrap().more);
    workspace.runs.delete(TASK).unwrap();
    assert!(!workspace.runs.folder(TASK).exists());
}
