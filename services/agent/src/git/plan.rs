//! What a run started from and what is to become of its changes, as it is kept beside the run.

use std::fs;
use std::path::{Path, PathBuf};

use conductor_protocol::submit::GitWorkspace;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::program::Error;
use crate::runner::Usage;

const NAME: &str = "plan.json";
/// The version of the file's form.
const VERSION: u32 = 2;
/// The version that named the mirrors of submodules in a list of their own.
const MIRRORS_APART: u32 = 1;

/// What a run started from and what is to become of its changes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Plan {
    pub version: u32,
    pub workspace: GitWorkspace,
    /// Whether the repository was sent with the task.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sent: bool,
    /// The name of the mirror that the run borrows from.
    pub mirror: String,
    /// Its submodules, as they were checked out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<Module>,
    /// The commit of the mirror from which everything that was made since is counted.
    pub origin: String,
    /// The commit that the diff is against: the origin, or what was pushed before a run that goes on, or the origin with
    /// what was not committed where the repository was sent.
    pub base: String,
    /// The branch that the run's commits are on.
    pub branch: String,
    /// Whether nobody else writes to that branch.
    pub is_own_branch: bool,
    /// The branch of the repository that the run started from.
    pub start_branch: Option<String>,
    /// The title of its commit and its pull request.
    pub title: String,
    /// The last commit that was made.
    pub tip: Option<String>,
    pub pushed: bool,
    pub pull_request_url: Option<String>,
    /// Set while a finished run waits to be pushed.
    pub pending: Option<Pending>,
}

/// A submodule that was checked out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Module {
    /// Where it lies in the work folder.
    pub path: String,
    /// The commit that it started at.
    pub commit: String,
    /// The name of the mirror that it borrows from.
    pub mirror: String,
}

impl Module {
    /// The repository that it borrows from.
    pub fn repository(&self, mirrors: &Path) -> PathBuf {
        mirrors.join(&self.mirror).join("repo.git")
    }
}

/// What is known of a finished run whose commits are not pushed yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    pub summary: String,
    pub exit_code: Option<i32>,
    pub verified: Option<bool>,
    pub usage: Usage,
}

impl Plan {
    pub const VERSION: u32 = VERSION;

    /// Reads the plan of a run; none when the run has no repository.
    pub fn read(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join(NAME);
        let read = match fs::read(&path) {
            Ok(bytes) => Self::parse(&bytes).map_err(std::io::Error::other),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => Err(error),
        };
        let plan = read.map_err(Error::disk(format!("read {}", path.display())))?;
        if plan.version > VERSION {
            let why = format!("{} was written by a newer release", path.display());
            return Err(Error::Workspace { why, hint: "" });
        }
        Ok(Some(plan))
    }

    fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        let mut plan: Value = serde_json::from_slice(bytes)?;
        if plan["version"] == MIRRORS_APART {
            let mirrors = plan["submodules"].take();
            let modules = plan["modules"].as_array_mut().into_iter().flatten();
            for (module, mirror) in modules.zip(mirrors.as_array().into_iter().flatten()) {
                module["mirror"] = mirror.clone();
            }
            plan["version"] = VERSION.into();
        }
        serde_json::from_value(plan)
    }

    /// Whether the repository was sent with the task; an address says then where to push to.
    pub fn was_sent(&self) -> bool {
        self.sent || self.workspace.url.is_empty()
    }

    /// The commit that the run's own commits come after.
    pub fn root(&self) -> &str {
        if self.was_sent() { &self.origin } else { &self.base }
    }

    /// Writes the plan, whole or not at all.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let json = serde_json::to_vec_pretty(self).expect("a plan has string keys alone");
        let temporary = folder.join("plan.json.new");
        let written = fs::write(&temporary, json).and_then(|()| fs::rename(&temporary, folder.join(NAME)));
        written.map_err(Error::disk(format!("write the plan in {}", folder.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_of_before_names_the_mirrors_of_its_submodules_in_a_list_of_their_own() {
        let module = |name: &str, mirror: &str| Module {
            path: format!("deps/{name}"),
            commit: "c1".to_owned(),
            mirror: mirror.to_owned(),
        };
        let plan = Plan::parse(include_bytes!("../../tests/git/plan-v1.json")).unwrap();
        assert_eq!((plan.version, plan.tip.as_deref()), (VERSION, Some("t1")));
        assert_eq!(plan.modules, [module("a", "m1"), module("b", "m2")]);
        let now = serde_json::to_vec(&plan).unwrap();
        assert_eq!(Plan::parse(&now).unwrap().modules, plan.modules);
    }
}
