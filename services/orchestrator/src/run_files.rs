//! Files of a run, opened so that nothing a task did can lead elsewhere.

use std::fs::File;
use std::path::{Path, PathBuf};

use conductor_core::TaskId;
use conductor_protocol::{Code, Problem};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// The files of one run.
#[derive(Debug, Clone)]
pub(crate) struct RunFiles {
    folder: PathBuf,
}

impl RunFiles {
    pub(crate) fn new(workspace: &Path, task: TaskId) -> Self {
        Self { folder: workspace.join("tasks").join(task.to_string()) }
    }

    /// A file of an attempt; none when it is not there.
    pub(crate) async fn attempt_file(&self, attempt: u32, name: &str) -> Result<Option<File>, Problem> {
        self.open(format!("attempts/{attempt}/{name}")).await
    }

    /// A file of the work folder; none when it is not there, or is no regular file, or lies behind a link.
    pub(crate) async fn work_file(&self, path: &str) -> Result<Option<File>, Problem> {
        self.open(format!("work/{path}")).await
    }

    async fn open(&self, path: String) -> Result<Option<File>, Problem> {
        let folder = self.folder.clone();
        let opened = tokio::task::spawn_blocking(move || open_beneath(&folder, &path)).await;
        match opened {
            Ok(Ok(file)) => Ok(file),
            Ok(Err(error)) => {
                Err(Problem::new(Code::Internal, format!("the file cannot be opened: {error}")))
            }
            Err(_) => Err(Problem::new(Code::Internal, "the opening panicked")),
        }
    }
}

fn open_beneath(folder: &Path, path: &str) -> std::io::Result<Option<File>> {
    let folder_flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // A FIFO must not hold up whoever opens it.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let opened = rustix::fs::open(folder, folder_flags, Mode::empty())
        .and_then(|folder| rustix::fs::openat2(folder, path, flags, Mode::empty(), beneath));
    let file = match opened {
        Ok(descriptor) => File::from(descriptor),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(file.metadata()?.is_file().then_some(file))
}
