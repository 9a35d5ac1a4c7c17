//! Messages of people to tasks that run.

use crate::id::TaskId;
use crate::state::{ApplyError, State};
use crate::task::Told;

impl State {
    pub(super) fn told(&mut self, id: TaskId, message: &Told) -> Result<(), ApplyError> {
        self.running_mut(id)?;
        let task = self.tasks.get_mut(&id).ok_or(ApplyError::Task(id))?;
        task.rare_mut().told.push(message.clone());
        Ok(())
    }

    pub(super) fn messages_taken(&mut self, id: TaskId, count: u32) -> Result<(), ApplyError> {
        let task = self.tasks.get_mut(&id).ok_or(ApplyError::Task(id))?;
        let told = &mut task.rare_mut().told;
        let count = usize::try_from(count).ok().filter(|count| *count <= told.len());
        told.drain(..count.ok_or(ApplyError::Task(id))?);
        Ok(())
    }
}
