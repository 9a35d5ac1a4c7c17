//! The appliance on a real Docker Engine: the compose files of this repository under names and ports of their own, so that
//! an installation beside it is left alone.
//!
//! The images are built before, by `scripts/test appliance` or `scripts/bench appliance`, and are named `conductor:test`,
//! `conductor-files:test` and `conductor-redis:test`.

mod browser;
mod http;
mod image;
mod options;
mod stack;
mod swarm;

use std::time::{Duration, Instant};

pub use browser::Browser;
pub use http::{Answer, Http, is_terminal};
pub use image::{IMAGE, inspected, own_bytes};
pub use options::Options;
pub use stack::{Process, Stack, docker, repository};
pub use swarm::Swarm;

/// Between two looks at something in a container.
const PAUSE: Duration = Duration::from_millis(100);

/// Looks until something is there.
///
/// # Panics
/// When it is not there in time.
pub fn until<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not within {} s: {what}", limit.as_secs());
        std::thread::sleep(PAUSE);
    }
}
