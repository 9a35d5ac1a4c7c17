//! Files of a run, opened so that nothing a task did can lead elsewhere.

use std::fs::File;
use std::path::Path;

use conductor_core::TaskId;
use conductor_protocol::{Code, Problem};
use conductor_store::runs::Directory;

/// The files of one run.
#[derive(Debug, Clone)]
pub(crate) struct RunFiles {
    runs: Directory,
    task: TaskId,
}

impl RunFiles {
    pub(crate) fn new(workspace: &Path, task: TaskId) -> Self {
        Self { runs: Directory::new(workspace), task }
    }

    /// A file of an attempt; none when it is not there.
    pub(crate) async fn attempt_file(&self, attempt: u32, name: &str) -> Result<Option<File>, Problem> {
        let name = name.to_owned();
        self.open(move |runs, task| runs.attempt_file(task, attempt, &name)).await
    }

    /// A file of the work folder; none when it is not there, or could be a file of somebody else.
    pub(crate) async fn work_file(&self, path: &str) -> Result<Option<File>, Problem> {
        let path = path.to_owned();
        self.open(move |runs, task| runs.work_file(task, &path)).await
    }

    async fn open(
        &self,
        open: impl FnOnce(&Directory, TaskId) -> std::io::Result<Option<File>> + Send + 'static,
    ) -> Result<Option<File>, Problem> {
        let (runs, task) = (self.runs.clone(), self.task);
        match tokio::task::spawn_blocking(move || open(&runs, task)).await {
            Ok(Ok(file)) => Ok(file),
            Ok(Err(error)) => {
                Err(Problem::new(Code::Internal, format!("the file cannot be opened: {error}")))
            }
            Err(_) => Err(Problem::new(Code::Internal, "the opening panicked")),
        }
    }
}
