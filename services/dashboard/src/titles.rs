//! What tasks without a name are called in lists, which do not carry prompts and commands.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use conductor_client::Control;
use conductor_core::TaskId;
use conductor_protocol::task::TaskView;
use futures_util::stream::{self, StreamExt as _};

use crate::format;

/// The most titles that are kept; then all are forgotten, and asked for anew.
const MAX_KEPT: usize = 20_000;
/// The most tasks that are asked for at the same time.
const MAX_ASKED: usize = 16;

/// The titles of tasks. They never change, and are only looked up for tasks that the visitor was shown.
#[derive(Debug, Default)]
pub struct Titles {
    kept: Mutex<HashMap<TaskId, Box<str>>>,
}

impl Titles {
    /// Gives the tasks of a list that have no name what they are called. One that is gone by now stays as it is.
    pub async fn add(&self, control: &Control, tasks: &mut [TaskView]) {
        let unnamed =
            |task: &&TaskView| task.name.is_none() && task.prompt.is_none() && task.command.is_none();
        let missing: Vec<TaskId> = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            tasks.iter().filter(unnamed).map(|task| task.id).filter(|id| !kept.contains_key(id)).collect()
        };
        let asked = stream::iter(missing).map(|id| async move { (id, control.get(id).await) });
        let found: Vec<_> = asked.buffer_unordered(MAX_ASKED).collect().await;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() + found.len() > MAX_KEPT {
            kept.clear();
        }
        for (id, task) in found {
            if let Ok(task) = task {
                kept.insert(id, format::title(&task).into());
            }
        }
        for task in tasks.iter_mut().filter(|task| unnamed(&&**task)) {
            task.prompt = kept.get(&task.id).map(ToString::to_string);
        }
    }
}
