//! Idempotency keys.

use crate::id::{BodyDigest, KeyId, TaskId};
use crate::image::KeyImage;
use crate::state::{ApplyError, Consequence, State, Worklist};
use crate::time::Wall;

/// A key in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) body: BodyDigest,
    pub(crate) tasks: Box<[TaskId]>,
    pub(crate) live: u32,
    pub(crate) ended_at: Wall,
}

impl State {
    pub(crate) fn key_bound(
        &mut self,
        at: Wall,
        key: KeyId,
        body: BodyDigest,
        tasks: &[TaskId],
    ) -> Result<(), ApplyError> {
        let live = u32::try_from(tasks.len()).map_err(|_| ApplyError::Key(key))?;
        let bound = Key { body, tasks: tasks.into(), live, ended_at: at };
        match self.keys.insert(key, bound) {
            None => Ok(()),
            Some(_) => Err(ApplyError::Key(key)),
        }
    }

    pub(crate) fn key_task_ended(
        &mut self,
        at: Wall,
        key: KeyId,
        work: &mut Worklist,
    ) -> Result<(), ApplyError> {
        let bound = self.keys.get_mut(&key).ok_or(ApplyError::Key(key))?;
        bound.live = bound.live.checked_sub(1).ok_or(ApplyError::Key(key))?;
        bound.ended_at = at;
        if bound.live == 0 {
            work.push_back(Consequence::KeyIdle(key));
        }
        Ok(())
    }

    pub(crate) fn key(&self, key: KeyId) -> Option<&Key> {
        self.keys.get(&key)
    }

    pub(crate) fn key_count(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = (KeyId, &Key)> {
        self.keys.iter().map(|(id, key)| (*id, key))
    }

    pub(crate) fn key_image(id: KeyId, key: &Key) -> KeyImage {
        KeyImage { key: id, body: key.body, tasks: key.tasks.clone(), live: key.live, ended_at: key.ended_at }
    }
}
