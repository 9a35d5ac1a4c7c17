//! A private folder in which a run left nothing, kept for the next run of the same slot.
//!
//! Most short commands write to neither their home nor their temporary folder. To make three folders for each of them is
//! a good part of what such a run costs, and more where the file system has to look for a free inode.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, RawDir, RenameFlags};

use super::steps::make;
use super::{Folder, PRIVATE, Workspace};
use crate::run::beneath;

/// The place of the kept folders under `private/`.
const FOLDER: &str = ".spare";
/// How the name of one ends that is being removed; no task has such a name.
const GOING: &str = ".going";
/// Room for the few names that an empty folder has.
const NAMES_BYTES: usize = 256;

/// What a workspace keeps for the next run.
#[derive(Debug)]
pub(super) struct Spare {
    /// Where the kept folders of all slots are.
    folder: OwnedFd,
    /// The name of the one that is this workspace's.
    name: RefCell<Option<String>>,
}

impl Spare {
    /// Opens the place of the kept folders, and removes what is there: an agent that was killed left it.
    ///
    /// Another one that works in the same workspace loses its spare by this, and makes its next folders itself.
    pub fn open(private: BorrowedFd<'_>) -> rustix::io::Result<Self> {
        make(private, FOLDER, PRIVATE)?;
        let folder = beneath::open_folder(private, FOLDER)?;
        for entry in Dir::read_from(&folder)? {
            match entry?.file_name().to_bytes() {
                b"." | b".." => {}
                name => remove(&folder, &String::from_utf8_lossy(name)),
            }
        }
        Ok(Self { folder, name: RefCell::default() })
    }

    /// Gives the kept folder to a task; false when there is none, or the task has one.
    pub fn give(&self, private: BorrowedFd<'_>, task_id: &str) -> bool {
        let name = self.name.take();
        name.is_some_and(|name| moved((self.folder.as_fd(), &name), (private, task_id)))
    }

    /// Keeps the folder of a task, unless there is one.
    fn keep(&self, private: BorrowedFd<'_>, task_id: &str) {
        let mut kept = self.name.borrow_mut();
        if kept.is_none() && moved((private, task_id), (self.folder.as_fd(), task_id)) {
            *kept = Some(task_id.to_owned());
        }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            remove(&self.folder, &name);
        }
    }
}

impl Workspace {
    /// Takes back the private folder of a run that succeeded and left it as it was. Nothing of the run is alive.
    pub fn take_back(&self, folder: &Folder) {
        let task_id = folder.path.file_name().and_then(OsStr::to_str);
        if let Some(task_id) = task_id.filter(|_| is_as_made(folder)) {
            self.spare.keep(self.private.as_fd(), task_id);
        }
    }
}

fn moved((from, name): (BorrowedFd<'_>, &str), (to, new_name): (BorrowedFd<'_>, &str)) -> bool {
    rustix::fs::renameat_with(from, name, to, new_name, RenameFlags::NOREPLACE).is_ok()
}

/// Removes a kept folder; one that is not as it was made stays.
///
/// It is renamed first: whoever would give it to a task at this moment has it whole or not at all.
fn remove(folder: &OwnedFd, name: &str) {
    let going = format!("{}{GOING}", name.trim_end_matches(GOING));
    if name != going && !moved((folder.as_fd(), name), (folder.as_fd(), &going)) {
        return;
    }
    for inner in ["/home", "/tmp", ""] {
        let _ = rustix::fs::unlinkat(folder, format!("{going}{inner}"), AtFlags::REMOVEDIR);
    }
}

/// Says whether a private folder is what [`super::Entered::prepare`] makes of a new one, and nothing else.
fn is_as_made(folder: &Folder) -> bool {
    let private = folder.private.as_fd();
    let is_untouched = |name: &str| {
        beneath::open_folder(private, name)
            .is_ok_and(|inner| names(&inner, 0) == Some(0) && is_private(&inner) && has_no_attributes(&inner))
    };
    // A descriptor of its own, because a folder is read from where its descriptor stands.
    beneath::open_folder(private, ".").is_ok_and(|private| names(&private, 2) == Some(2))
        && is_untouched("home")
        && is_untouched("tmp")
}

/// Counts the names in a folder, if they are no more than so many.
fn names(folder: &OwnedFd, most: usize) -> Option<usize> {
    let mut room = [MaybeUninit::uninit(); NAMES_BYTES];
    let mut names = RawDir::new(folder, &mut room);
    let mut count = 0;
    while let Some(entry) = names.next() {
        if !matches!(entry.ok()?.file_name().to_bytes(), b"." | b"..") {
            count += 1;
        }
        if count > most {
            return None;
        }
    }
    Some(count)
}

fn is_private(folder: &OwnedFd) -> bool {
    rustix::fs::fstat(folder).is_ok_and(|stat| {
        Mode::from_raw_mode(stat.st_mode) == PRIVATE && stat.st_uid == rustix::process::geteuid().as_raw()
    })
}

/// Access lists are attributes too.
fn has_no_attributes(folder: &OwnedFd) -> bool {
    rustix::fs::flistxattr(folder, &mut [] as &mut [u8]) == Ok(0)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::super::Needs;
    use super::*;
    use crate::run::types::InputFile;

    struct Home {
        _folder: tempfile::TempDir,
        private: PathBuf,
        workspace: Workspace,
    }

    impl Home {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let workspace = Workspace::open(folder.path()).unwrap();
            Self { private: folder.path().join("private"), _folder: folder, workspace }
        }

        fn begin(&self, task: &str, files: &[InputFile]) -> Folder {
            let entered = self.workspace.enter(task).unwrap();
            let needs = Needs {
                attempt: 1,
                resume: false,
                task_json: "{}",
                files,
                uploads: None,
                starts_from: None,
                checkout: None,
            };
            entered.prepare(&needs).unwrap()
        }

        fn number(&self, task: &str) -> u64 {
            std::os::unix::fs::MetadataExt::ino(&fs::metadata(self.private.join(task)).unwrap())
        }

        fn spares(&self) -> Vec<String> {
            names_in(&self.private.join(FOLDER))
        }

        fn names(&self) -> Vec<String> {
            names_in(&self.private)
        }
    }

    fn names_in(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != FOLDER).collect()
    }

    #[test]
    fn a_kept_folder_is_given_whole_or_not_at_all_while_another_agent_starts() {
        let home = Home::new();
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let removing = scope.spawn(|| {
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    Workspace::open(home.private.parent().unwrap()).unwrap();
                }
            });
            let mut broken = Vec::new();
            for number in 0..200 {
                let folder = home.begin(&format!("task-{number}"), &[]);
                if !folder.home().is_dir() || !folder.temporary().is_dir() {
                    broken.push(number);
                }
                home.workspace.take_back(&folder);
            }
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            removing.join().unwrap();
            assert!(broken.is_empty(), "{broken:?}");
        });
        assert!(home.spares().iter().all(|name| !name.ends_with(GOING)), "{:?}", home.spares());
    }

    #[test]
    fn what_a_run_left_empty_serves_the_next_one() {
        let home = Home::new();
        let first = home.begin("first", &[]);
        let number = home.number("first");
        home.workspace.take_back(&first);
        assert!(!home.private.join("first").exists());
        let second = home.begin("second", &[]);
        assert_eq!(home.number("second"), number);
        assert!(second.home().is_dir() && second.temporary().is_dir());
        assert_eq!(home.names(), ["second"]);
    }

    #[test]
    fn what_a_run_changed_stays_its_own() {
        type Change = fn(&Folder);
        let changes: [Change; 6] = [
            |folder| fs::write(folder.home().join("a"), "").unwrap(),
            |folder| fs::create_dir(folder.temporary().join("d")).unwrap(),
            |folder| fs::write(folder.private_file("process.json"), "").unwrap(),
            |folder| {
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
                fs::set_permissions(folder.home(), mode).unwrap();
            },
            |folder| {
                fs::remove_dir(folder.home()).unwrap();
                std::os::unix::fs::symlink("/", folder.home()).unwrap();
            },
            |folder| fs::remove_dir(folder.temporary()).unwrap(),
        ];
        for (index, change) in changes.iter().enumerate() {
            let home = Home::new();
            let first = home.begin("first", &[]);
            change(&first);
            home.workspace.take_back(&first);
            assert_eq!(home.names(), ["first"], "change {index}");
        }
    }

    #[test]
    fn the_kept_state_of_brought_files_stays_with_its_task() {
        let home = Home::new();
        let file = InputFile { path: "a".into(), content: b"a".to_vec(), executable: false };
        let first = home.begin("first", &[file]);
        home.workspace.take_back(&first);
        assert!(home.private.join("first/base").is_dir());
    }

    #[test]
    fn one_is_kept_and_goes_with_its_workspace() {
        let home = Home::new();
        let (first, second) = (home.begin("first", &[]), home.begin("second", &[]));
        home.workspace.take_back(&first);
        home.workspace.take_back(&second);
        assert_eq!((home.names(), home.spares()), (vec!["second".to_owned()], vec!["first".to_owned()]));
        let Home { workspace, private, _folder } = home;
        drop(workspace);
        assert_eq!(names_in(&private.join(FOLDER)), [""; 0]);
    }

    #[test]
    fn what_a_killed_agent_kept_is_gone_at_the_next_start() {
        let home = Home::new();
        let first = home.begin("first", &[]);
        home.workspace.take_back(&first);
        let _next = Workspace::open(home.private.parent().unwrap()).unwrap();
        assert_eq!(home.spares(), [""; 0]);
        let second = home.begin("second", &[]);
        assert!(second.home().is_dir(), "the one that lost its spare goes on");
    }

    #[test]
    fn a_task_that_was_here_keeps_its_own() {
        let home = Home::new();
        let first = home.begin("first", &[]);
        let second = home.begin("second", &[]);
        home.workspace.take_back(&first);
        let again = home.workspace.enter("second").unwrap();
        assert!(!again.is_new());
        assert!(second.home().is_dir());
    }
}
