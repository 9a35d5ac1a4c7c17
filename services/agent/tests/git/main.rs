//! Repositories as workspaces, with the real git and keepers, and without an orchestrator.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod checkout;
mod hostile;
mod large;
mod many;
mod place;
mod private;
mod push;
mod rescue;
mod sent;
mod spare;
mod submodules;
