//! Processes: making them, keeping each run's tree together, and ending all of it.
//!
//! ```text
//! monitor            subreaper; starts the worker again when it dies, after ending all that it left
//!   worker           subreaper; the session, the slots, the mock
//!     keeper, one per slot   subreaper; makes the run's child, ends the run's whole tree
//!       child        leads a session of its own
//!         ...        whatever it makes, setsid and double fork or not
//! ```
//!
//! A process that loses its parent falls to the nearest subreaper above it, so all that a run makes stays
//! below its keeper, and a keeper that has no children left knows that nothing of the run is left. What
//! survives the death of all of them at once is found by [`leftover`] at the next start.

mod cgroup;
mod frame;
mod hunt;
pub mod keeper;
mod keepers;
pub mod leftover;
pub mod monitor;
pub(crate) mod overseer;
#[expect(unsafe_code, reason = "posix_spawn and the signal calls beside it have no safe wrapper")]
pub mod spawn;
pub(crate) mod table;
mod tree;

pub(crate) use cgroup::MARGIN;
pub use cgroup::{Cgroup, Cgroups};
pub use frame::{Exit, Reply};
pub use keepers::{
    Error as KeeperError, Keeper, KeeperProgram, KeeperStarter, Keepers, Stdio, may_have_own_network,
};
pub use table::boot_ms;
