//! Outputs that the orchestrator cannot see in its own workspace.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use conductor_core::Lease;

use super::runs::Phase;
use super::state::Worker;
use crate::output::{Order, Source};

impl Worker {
    /// Finds out whether the orchestrator's workspace is this one. If not, the agent says so by coming anew.
    pub(super) fn check_workspace(&mut self, theirs: &str) {
        if self.shares_workspace && !is_same_folder(&self.settings.workspace, Path::new(theirs)) {
            let ours = self.settings.workspace.display();
            tracing::warn!(%ours, theirs, "this agent has a workspace of its own; its output goes over the wire");
            self.shares_workspace = false;
            self.follow_outputs();
            self.link.hang_up();
        }
    }

    /// Sends the output of a run, when the orchestrator cannot see it.
    pub(super) fn follow_output(&mut self, slot: usize) {
        let Some(run) = self.runs.get_mut(slot).filter(|run| run.wanted && !self.shares_workspace) else {
            return;
        };
        let Phase::Running(running) = &run.phase else { return };
        let (task, attempt) = (run.task.to_string(), run.attempt);
        let folder =
            self.settings.workspace.join("tasks").join(task).join("attempts").join(attempt.to_string());
        let progress = running.progress.clone();
        let source = Source { lease: run.lease, attempt, path: folder.join("output.log"), progress };
        self.order(Order::Follow(source));
    }

    /// Sends the outputs of all runs from now on.
    pub(super) fn follow_outputs(&mut self) {
        for slot in self.runs.held() {
            self.follow_output(slot);
        }
    }

    pub(super) fn order(&self, order: Order) {
        if !self.shares_workspace {
            // Who sends outputs lives as long as the worker, unless it panicked, and then the program ends.
            let _ = self.output.send(order);
        }
    }

    /// All of an output was taken; now its result may be reported.
    pub fn output_taken(&mut self, lease: Lease) {
        if self.sending.remove(&lease) && self.unacknowledged.contains(lease) {
            self.messages.finished(lease);
        }
    }
}

fn is_same_folder(ours: &Path, theirs: &Path) -> bool {
    let inode = |path: &Path| std::fs::metadata(path).map(|folder| (folder.dev(), folder.ino())).ok();
    ours == theirs || inode(ours).is_some_and(|ours| inode(theirs) == Some(ours))
}
