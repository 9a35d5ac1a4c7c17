//! Connections for readers, each used by one at a time.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use super::open;

/// Connections that are kept; more are opened when more read at once.
const MAX_IDLE: usize = 4;

/// The connections of a file.
#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    cache_kib: i32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Connection>,
    closed: bool,
}

/// The file was closed.
#[derive(Debug)]
pub(crate) struct Closed;

impl Readers {
    pub(crate) fn new(path: PathBuf, cache_kib: i32) -> Self {
        Self { path, cache_kib, state: Mutex::default() }
    }

    /// Reads with a connection that nobody else uses meanwhile.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<rusqlite::Result<T>, Closed> {
        let idle = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.closed {
                return Err(Closed);
            }
            state.idle.pop()
        };
        let connection = match idle.map_or_else(|| open::reader(&self.path, self.cache_kib), Ok) {
            Ok(connection) => connection,
            Err(error) => return Ok(Err(error)),
        };
        let result = read(&connection);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.closed && state.idle.len() < MAX_IDLE {
            state.idle.push(connection);
        }
        Ok(result)
    }

    /// Closes what is idle and lets nobody read any more.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        state.idle.clear();
    }
}
