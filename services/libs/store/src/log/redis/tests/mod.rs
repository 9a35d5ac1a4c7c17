//! What is Redis's own; the rest is in the suite that every log passes. Each test starts a server, and passes without one
//! where none is installed, saying so.

mod away;
mod kills;
mod lease;
mod lost;
mod moved;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::log::{RedisLog, open};
use super::{OpenError, Options};
use crate::conformance::redis_server::RedisServer;
use crate::conformance::{self, LogPlace};
use crate::log::EventLog;
use crate::log::trial::crash::{self, Writing};
use crate::log::trial::generated::{self, Subject};
use crate::log::trial::scratch;
use crate::state_dir::StateDir;

/// A state directory and a log of its own on a server.
struct Place {
    dir: Arc<StateDir>,
    options: Options,
    _temp: tempfile::TempDir,
}

static PLACES: AtomicU32 = AtomicU32::new(0);

impl Place {
    /// One that has nothing in common with others on the same server.
    fn new(server: &RedisServer) -> Self {
        let number = PLACES.fetch_add(1, Ordering::Relaxed);
        Self::called(server, &format!("{{test-{number}}}"))
    }

    /// One whose keys begin with this.
    fn called(server: &RedisServer, prefix: &str) -> Self {
        let temp = scratch();
        let dir = Arc::new(StateDir::lock(temp.path()).unwrap());
        let options = Options { prefix: prefix.to_owned(), ..Options::new(server.url()) };
        Self { dir, options, _temp: temp }
    }

    fn try_open(&self) -> Result<RedisLog, OpenError> {
        open(&self.dir, &self.options)
    }

    fn log(&self) -> RedisLog {
        self.try_open().unwrap()
    }
}

impl LogPlace for Place {
    fn open(&self) -> Arc<dyn EventLog> {
        Arc::new(self.log())
    }
}

impl Subject for RedisLog {
    fn leave(&self) {
        Self::leave(self);
    }

    /// Redis does so by itself.
    fn move_pages(&self) {}
}

#[test]
fn the_log_in_redis_does_what_every_log_does() {
    let temp = scratch();
    let Some(server) = RedisServer::start(temp.path(), &[]) else { return };
    conformance::event_log(|| Place::new(&server));
}

proptest! {
    #![proptest_config(generated::config(1))]

    #[test]
    fn a_log_in_redis_holds_what_was_acknowledged_whatever_happens_to_it(
        lives in proptest::collection::vec(generated::steps(), 24),
    ) {
        let temp = scratch();
        let Some(server) = RedisServer::start(temp.path(), &[]) else { return Ok(()) };
        for steps in lives {
            let place = Place::new(&server);
            generated::live(steps, || place.log());
        }
    }
}

/// Set for the child: where it writes, and to which server.
const DIRECTORY: &str = "CONDUCTOR_TEST_REDIS_CRASH_DIRECTORY";
const SERVER: &str = "CONDUCTOR_TEST_REDIS_CRASH_SERVER";

fn open_in(dir: &Path, url: &str) -> Box<dyn EventLog> {
    Box::new(open(&Arc::new(StateDir::lock(dir).unwrap()), &Options::new(url)).unwrap())
}

/// What the killed process runs. Not a test by itself.
#[test]
fn the_child_that_is_killed() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let url = std::env::var(SERVER).unwrap();
    crash::write_until_killed(|| open_in(Path::new(&dir), &url));
}

#[test]
fn what_was_acknowledged_is_in_redis_after_a_kill_of_the_orchestrator() {
    let (temp, state) = (scratch(), scratch());
    let Some(server) = RedisServer::start(temp.path(), &[]) else { return };
    let url = server.url();
    let child = Writing {
        test: "log::redis::tests::the_child_that_is_killed",
        environment: &[(DIRECTORY, state.path().as_os_str()), (SERVER, url.as_ref())],
    };
    crash::kill_and_check(&child, || open_in(state.path(), &url));
}
