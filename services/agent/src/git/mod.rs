//! Git repositories as workspaces.
//!
//! ```text
//! private/git-mirrors/<digest>/repo.git   one bare repository for each address, fetched under a lock; nothing in it is
//!                                         ever thrown away while a run may borrow from it
//! private/git-mirrors/<digest>/spare/     a checkout that the next run takes; of a repository that was sent there is none
//! tasks/<id>/work/                        the checkout; its .git belongs to the task and borrows the mirror's objects
//! private/<id>/git/own.git                Conductor's own view of the same checkout, with an index of its own
//! private/<id>/git/plan.json              what the run started from and what is to become of it
//! tasks/<id>/attempts/N/commits.bundle    the commits that a run left, whether they are pushed or not
//! ```
//!
//! Git reads configuration, hooks and attributes wherever it works, and a task may write anything into its tree. So in a
//! tree that a task wrote, git runs with Conductor's own repository alone: no configuration but its own, no hooks, no file
//! monitor, no filters but Conductor's own, no external programs, and no step that would look into a repository that lies in the tree. What is
//! pushed passes a bundle into a clean bare repository first, and only the steps that reach a server see a credential.

mod checkout;
mod collect;
mod forge;
mod http;
mod large;
mod mirror;
mod modules;
mod objects;
mod plan;
mod program;
mod pull_request;
mod push;
mod remote;
mod settings;
mod snapshot;
mod spare;
mod submodules;
mod task_config;
mod tree;

pub use plan::Pending;
pub use program::Error;
pub(crate) use program::Git;
pub(crate) use push::may_help;
pub use settings::Settings;
pub(crate) use spare::{Maker, Spares};
pub(crate) use task_config::{config_of_tasks, write_config_of_tasks};
pub(crate) use tree::Tree;
pub use tree::{Asked, Place};

/// What became of a run's changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Outcome {
    /// The commit that the run started from.
    pub base: String,
    /// The last commit of the run; none when it changed nothing.
    pub commit: Option<String>,
    /// The branch that the commit is on.
    pub branch: Option<String>,
    pub pushed: bool,
    pub pull_request_url: Option<String>,
}
