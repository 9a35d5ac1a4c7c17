//! The sandbox: what a task's processes may reach, held by the kernel whatever runs as their user.
//!
//! A keeper has a thread for each child that it makes. The thread gives up its capabilities, may gain none any more, takes the
//! rules of Landlock and a filter of system calls upon itself, and makes the child, which inherits all of it. A thread
//! costs some microseconds where a helper program would cost another `exec`, and the keeper itself stays as it was.
//!
//! [`Kernel`] says what this host can hold, [`Sandbox`] what is to be held of which run, [`Policy`] is what a keeper is told.

mod confine;
pub mod escapes;
mod filter;
mod grants;
mod kernel;
mod policy;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use conductor_protocol::agent;
use conductor_runtime::config::SandboxMode;

pub(crate) use confine::{confine, limit_files};
pub use grants::{Error as GrantError, Needs};
pub use kernel::{Feature, Kernel};
use policy::Access;
pub use policy::Policy;

/// How runs are said to be confined where nothing confines them.
pub const UNSANDBOXED: &str = "unsandboxed";

/// What runs of an agent are confined to.
#[derive(Debug, Clone)]
pub struct Sandbox {
    mode: Option<SandboxMode>,
    kernel: Kernel,
    /// What every run may reach, as a keeper is told.
    base: Arc<[Vec<u8>]>,
    local_ipc: bool,
    max_file_bytes: Option<u64>,
}

/// What is confined: the less it was written by somebody who knows what it does, the more it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A program that does what a model says.
    Program,
    /// A command that a person wrote.
    Command,
}

/// How a run is confined.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Held {
    pub mode: agent::SandboxMode,
    /// The version of Landlock's interface that is used; 0 is none.
    pub landlock_abi: u32,
    /// What holds, by name.
    pub holds: Vec<&'static str>,
    /// What this kernel cannot hold, by name.
    pub lacks: Vec<&'static str>,
}

/// The folders of one run.
#[derive(Debug, Clone)]
pub(crate) struct Place<'a> {
    /// What it may write; each must be there.
    pub writes: Vec<&'a Path>,
    /// What it may read besides what all may.
    pub reads: Vec<PathBuf>,
    /// The ports that it may connect to; none where no rule holds it.
    pub ports: Option<Vec<u16>>,
}

impl Sandbox {
    /// A sandbox on this kernel.
    ///
    /// # Errors
    /// When what the owner lets tasks read or write holds what no task may reach.
    pub fn new(mode: Option<SandboxMode>, kernel: Kernel, needs: &Needs<'_>) -> Result<Self, GrantError> {
        let base = match mode {
            Some(SandboxMode::Off) => Vec::new(),
            Some(SandboxMode::Required | SandboxMode::BestEffort) | None => grants::base(needs)?,
        };
        let base = base.iter().map(|(access, path)| policy::line(*access, path)).collect();
        let (local_ipc, max_file_bytes) = (needs.local_ipc, needs.max_file_bytes);
        Ok(Self { mode, kernel, base, local_ipc, max_file_bytes })
    }

    /// The mode in which this kind is run.
    #[must_use]
    pub fn mode(&self, kind: Kind) -> SandboxMode {
        mode_of(self.mode, kind)
    }

    /// How runs of this kind are confined.
    #[must_use]
    pub fn held(&self, kind: Kind) -> Held {
        held(self.mode, self.kernel, kind)
    }

    /// Why runs of this kind are refused, if so.
    #[must_use]
    pub fn refusal(&self, kind: Kind) -> Option<String> {
        match self.mode(kind) {
            SandboxMode::Required => {
                self.kernel.shortfall().map(|lacks| format!("the sandbox is required, and {lacks}"))
            }
            SandboxMode::BestEffort | SandboxMode::Off => None,
        }
    }

    /// What a keeper is told to confine a run of this kind to; none where it is not confined.
    pub(crate) fn policy(&self, kind: Kind, place: Place<'_>) -> Option<Policy> {
        (self.mode(kind) != SandboxMode::Off).then(|| self.confining(place))
    }

    /// The same for what Conductor itself runs in a tree that a task wrote.
    pub(crate) fn policy_of_own(&self, place: Place<'_>) -> Option<Policy> {
        (self.mode != Some(SandboxMode::Off)).then(|| self.confining(place))
    }

    fn confining(&self, place: Place<'_>) -> Policy {
        let Place { writes, reads, ports } = place;
        let own = writes.into_iter().map(|path| (Access::Write, path.to_owned()));
        let own = own.chain(reads.into_iter().map(|path| (Access::Read, path))).collect();
        Policy {
            abi: self.kernel.landlock,
            filter: self.kernel.filter,
            local_ipc: self.local_ipc,
            max_file_bytes: self.max_file_bytes,
            ports,
            base: Arc::clone(&self.base),
            own,
        }
    }
}

fn mode_of(mode: Option<SandboxMode>, kind: Kind) -> SandboxMode {
    match (mode, kind) {
        (Some(mode), _) => mode,
        (None, Kind::Program) => SandboxMode::Required,
        (None, Kind::Command) => SandboxMode::BestEffort,
    }
}

/// How runs of a kind are confined in a mode, which may be unset, by a kernel.
#[must_use]
pub fn held(mode: Option<SandboxMode>, kernel: Kernel, kind: Kind) -> Held {
    let names = |features: Vec<Feature>| features.into_iter().map(Feature::name).collect();
    match mode_of(mode, kind) {
        SandboxMode::Off => {
            Held { mode: agent::SandboxMode::Off, landlock_abi: 0, holds: Vec::new(), lacks: Vec::new() }
        }
        mode @ (SandboxMode::Required | SandboxMode::BestEffort) => Held {
            mode: match mode {
                SandboxMode::Required => agent::SandboxMode::Required,
                SandboxMode::BestEffort | SandboxMode::Off => agent::SandboxMode::BestEffort,
            },
            landlock_abi: kernel.landlock,
            holds: names(kernel.holds()),
            lacks: names(kernel.lacks()),
        },
    }
}

impl Default for Sandbox {
    /// Nothing is confined.
    fn default() -> Self {
        Self {
            mode: Some(SandboxMode::Off),
            kernel: Kernel::default(),
            base: Arc::default(),
            local_ipc: true,
            max_file_bytes: None,
        }
    }
}

impl Held {
    /// Says it in a line.
    #[must_use]
    pub fn text(&self) -> String {
        if self.mode == agent::SandboxMode::Off {
            return UNSANDBOXED.to_owned();
        }
        let by = match self.landlock_abi {
            0 => "no Landlock".to_owned(),
            abi => format!("Landlock ABI {abi}"),
        };
        match self.lacks.as_slice() {
            [] => format!("{}, {by}", self.mode.as_str()),
            lacks => format!("{}, {by}, without {}", self.mode.as_str(), lacks.join(", ")),
        }
    }

    /// Says it to other programs.
    #[must_use]
    pub fn view(&self) -> agent::SandboxView {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        agent::SandboxView { mode: self.mode, holds: owned(&self.holds), lacks: owned(&self.lacks) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox(mode: Option<SandboxMode>, landlock: u32) -> Sandbox {
        Sandbox { mode, kernel: Kernel { landlock, filter: true }, ..Sandbox::default() }
    }

    #[test]
    fn unset_the_mode_is_required_for_programs_and_best_effort_for_commands() {
        let old = sandbox(None, 3);
        let refusal = old.refusal(Kind::Program).unwrap();
        assert!(refusal.contains("Landlock ABI 6"), "{refusal}");
        assert_eq!(old.refusal(Kind::Command), None);
        assert_eq!(old.held(Kind::Command).mode, agent::SandboxMode::BestEffort);
        assert_eq!(sandbox(None, 6).refusal(Kind::Program), None);
        assert!(sandbox(Some(SandboxMode::Required), 5).refusal(Kind::Command).is_some());
        assert_eq!(sandbox(Some(SandboxMode::Off), 0).refusal(Kind::Program), None);
    }

    #[test]
    fn what_a_kernel_lacks_is_named() {
        let held = sandbox(None, 3).held(Kind::Command);
        assert_eq!(
            held.text(),
            "best_effort, Landlock ABI 3, without tcp, device_ioctl, signals, abstract_sockets"
        );
        assert_eq!(sandbox(None, 7).held(Kind::Program).text(), "required, Landlock ABI 7");
        assert_eq!(sandbox(Some(SandboxMode::Off), 7).held(Kind::Program).text(), UNSANDBOXED);
        let nothing = Sandbox { kernel: Kernel::default(), mode: None, ..Sandbox::default() };
        assert!(nothing.held(Kind::Command).text().starts_with("best_effort, no Landlock, without files"));
    }
}
