//! What reading records keeps between them.

use std::collections::HashSet;
use std::sync::Arc;

use conductor_core::{Actor, Name, NameError};

/// The most names that are shared; further ones are read all the same, each with memory of its own.
const MAX_SHARED_NAMES: usize = 4096;

/// The most actors that are shared.
const MAX_SHARED_ACTORS: usize = 16;

/// Why a record that reads is not a value of the core.
#[derive(Debug, thiserror::Error)]
pub(super) enum Invalid {
    #[error("{0}")]
    Name(NameError),
    #[error("{0} is not a priority")]
    Priority(u8),
}

/// Shares equal names and actors: a million tasks have a handful of them.
#[derive(Debug, Default)]
pub(super) struct Context {
    names: HashSet<Name>,
    actors: Vec<Arc<Actor>>,
}

impl Context {
    /// The name of a text.
    pub(super) fn name(&mut self, text: &str) -> Result<Name, Invalid> {
        if let Some(name) = self.names.get(text) {
            return Ok(name.clone());
        }
        let name = Name::new(text).map_err(Invalid::Name)?;
        if self.names.len() < MAX_SHARED_NAMES {
            self.names.insert(name.clone());
        }
        Ok(name)
    }

    /// The actor that `is_same` finds, or else the one that `make` makes.
    pub(super) fn actor(
        &mut self,
        is_same: impl Fn(&Actor) -> bool,
        make: impl FnOnce(&mut Self) -> Result<Actor, Invalid>,
    ) -> Result<Arc<Actor>, Invalid> {
        if let Some(actor) = self.actors.iter().find(|actor| is_same(actor)) {
            return Ok(Arc::clone(actor));
        }
        let actor = Arc::new(make(self)?);
        if self.actors.len() == MAX_SHARED_ACTORS {
            self.actors.remove(0);
        }
        self.actors.push(Arc::clone(&actor));
        Ok(actor)
    }
}
