//! The sandbox: what a task's processes may reach, held by the kernel whatever runs as their user.
//!
//! A keeper has a thread for each child that it makes. The thread gives up its capabilities, may gain none any more, takes the
//! rules of Landlock and a filter of system calls upon itself, and makes the child, which inherits all of it. A thread
//! costs some microseconds where a helper program would cost another `exec`, and the keeper itself stays as it was.
//!
//! [`Kernel`] says what this host can hold, [`Sandbox`] what is to be held of which run, [`Policy`] is what a keeper is told.

mod confine;
mod egress;
pub mod escapes;
mod filter;
mod grants;
mod kernel;
mod policy;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use conductor_protocol::agent::{Egress, LimitsView, SandboxMode, SandboxView};

pub(crate) use confine::{confine, limit_files, limit_processes};
pub use egress::Ways;
pub(crate) use grants::TOOLCHAINS;
pub use grants::{Error as GrantError, Needs};
pub use kernel::{Feature, Kernel};
use policy::Access;
pub use policy::Policy;

use crate::process::{Cgroups, KeeperProgram};

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
    ways: Ways,
    limits: Option<LimitsView>,
    cgroups: Option<Cgroups>,
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
    pub mode: SandboxMode,
    /// The version of Landlock's interface that is used; 0 is none.
    pub landlock_abi: u32,
    /// What holds, by name.
    pub holds: Vec<&'static str>,
    /// What this kernel cannot hold, by name.
    pub lacks: Vec<&'static str>,
    /// Where it may connect to, as far as it is held.
    pub egress: Egress,
    /// What it may take, its whole tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsView>,
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
        let (ways, limits, cgroups) = (Ways::default(), None, None);
        Ok(Self { mode, kernel, base, local_ipc, max_file_bytes, ways, limits, cgroups })
    }

    /// The same with ways to other hosts.
    #[must_use]
    pub fn with_ways(self, ways: Ways) -> Self {
        Self { ways, ..self }
    }

    /// The same with limits on what a run takes, and cgroups that hold them where there are some.
    #[must_use]
    pub fn with_limits(self, limits: LimitsView, cgroups: Option<Cgroups>) -> Self {
        Self { limits: Some(limits), cgroups, ..self }
    }

    /// Finds out whether runs can have a network of their own, where that is of use.
    pub fn look_for_network(&mut self, keeper: &KeeperProgram) {
        let is_held = self.mode != Some(SandboxMode::Off) && self.ways.egress != Egress::Open;
        if is_held {
            self.kernel = self.kernel.with_network(keeper);
        }
    }

    /// Removes what an earlier life of an agent left of cgroups.
    pub fn tidy(&self) {
        if let Some(cgroups) = &self.cgroups {
            cgroups.tidy();
        }
    }

    /// The cgroups that are the agent's own.
    pub(crate) fn cgroups(&self) -> Option<&Cgroups> {
        self.cgroups.as_ref()
    }

    /// The ways to other hosts.
    pub(crate) fn ways(&self) -> &Ways {
        &self.ways
    }

    /// Where runs of this kind may connect to, as far as this kernel holds it.
    pub(crate) fn egress(&self, kind: Kind) -> Egress {
        egress_of(self.mode(kind), self.ways.egress, self.kernel)
    }

    /// Whether runs can have a network of their own.
    pub(crate) fn has_own_network(&self) -> bool {
        self.kernel.own_network
    }

    /// The mode in which this kind is run.
    #[must_use]
    pub fn mode(&self, kind: Kind) -> SandboxMode {
        mode_of(self.mode, kind)
    }

    /// How runs of this kind are confined.
    #[must_use]
    pub fn held(&self, kind: Kind) -> Held {
        Held { limits: self.limits, ..held((self.mode, self.ways.egress), self.kernel, kind) }
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
            max_processes: self.limits.map(|limits| limits.processes).filter(|most| *most > 0),
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

/// What is held of where runs may connect to.
fn egress_of(mode: SandboxMode, egress: Egress, kernel: Kernel) -> Egress {
    match mode {
        SandboxMode::Required | SandboxMode::BestEffort if kernel.holds_egress() => egress,
        SandboxMode::Required | SandboxMode::BestEffort | SandboxMode::Off => Egress::Open,
    }
}

/// How runs of a kind are confined by what is configured, of which the mode may be unset, and by a kernel.
#[must_use]
pub fn held((mode, egress): (Option<SandboxMode>, Egress), kernel: Kernel, kind: Kind) -> Held {
    let open = Egress::Open;
    let held = egress_of(mode_of(mode, kind), egress, kernel);
    // With a network of its own a run needs no rule on ports.
    let needs_ports = egress != open && !kernel.own_network;
    let names = |features: Vec<Feature>| -> Vec<&'static str> {
        features.into_iter().filter(|it| *it != Feature::Tcp || needs_ports).map(Feature::name).collect()
    };
    let unheld = Held {
        mode: SandboxMode::Off,
        landlock_abi: 0,
        holds: Vec::new(),
        lacks: Vec::new(),
        egress: held,
        limits: None,
    };
    let mode = mode_of(mode, kind);
    if mode == SandboxMode::Off {
        return unheld;
    }
    let mut holds = names(kernel.holds());
    holds.extend((kernel.own_network && held != open).then_some("own_network"));
    Held { mode, landlock_abi: kernel.landlock, holds, lacks: names(kernel.lacks()), ..unheld }
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
            ways: Ways::default(),
            limits: None,
            cgroups: None,
        }
    }
}

impl Held {
    /// Says it in a line.
    #[must_use]
    pub fn text(&self) -> String {
        if self.mode == SandboxMode::Off {
            return UNSANDBOXED.to_owned();
        }
        let by = match self.landlock_abi {
            0 => "no Landlock".to_owned(),
            abi => format!("Landlock ABI {abi}"),
        };
        let egress = match (self.egress, self.holds.contains(&"own_network")) {
            (Egress::Open, _) => "the network open".to_owned(),
            (egress, true) => format!("egress {}, own network", egress.as_str()),
            (egress, false) => format!("egress {}", egress.as_str()),
        };
        match self.lacks.as_slice() {
            [] => format!("{}, {by}, {egress}", self.mode.as_str()),
            lacks => format!("{}, {by}, {egress}, without {}", self.mode.as_str(), lacks.join(", ")),
        }
    }

    /// Says it to other programs.
    #[must_use]
    pub fn view(&self) -> SandboxView {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        SandboxView {
            mode: self.mode,
            holds: owned(&self.holds),
            lacks: owned(&self.lacks),
            egress: Some(self.egress),
            limits: self.limits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox(mode: Option<SandboxMode>, landlock: u32) -> Sandbox {
        Sandbox { mode, kernel: Kernel { landlock, filter: true, own_network: false }, ..Sandbox::default() }
    }

    #[test]
    fn unset_the_mode_is_required_for_programs_and_best_effort_for_commands() {
        let old = sandbox(None, 3);
        let refusal = old.refusal(Kind::Program).unwrap();
        assert!(refusal.contains("Landlock ABI 6"), "{refusal}");
        assert_eq!(old.refusal(Kind::Command), None);
        assert_eq!(old.held(Kind::Command).mode, SandboxMode::BestEffort);
        assert_eq!(sandbox(None, 6).refusal(Kind::Program), None);
        assert!(sandbox(Some(SandboxMode::Required), 5).refusal(Kind::Command).is_some());
        assert_eq!(sandbox(Some(SandboxMode::Off), 0).refusal(Kind::Program), None);
    }

    #[test]
    fn what_a_kernel_lacks_is_named() {
        let held = sandbox(None, 3).held(Kind::Command);
        assert_eq!(
            held.text(),
            "best_effort, Landlock ABI 3, the network open, without tcp, device_ioctl, signals, abstract_sockets"
        );
        assert_eq!(sandbox(None, 7).held(Kind::Program).text(), "required, Landlock ABI 7, egress allowlist");
        assert_eq!(sandbox(Some(SandboxMode::Off), 7).held(Kind::Program).text(), UNSANDBOXED);
        let nothing = Sandbox { kernel: Kernel::default(), mode: None, ..Sandbox::default() };
        let text = nothing.held(Kind::Command).text();
        assert!(text.starts_with("best_effort, no Landlock, the network open, without files"), "{text}");
    }

    #[test]
    fn a_network_of_its_own_holds_egress_on_any_kernel() {
        let mut old = sandbox(None, 3);
        assert_eq!(old.egress(Kind::Command), Egress::Open);
        old.kernel.own_network = true;
        let held = old.held(Kind::Command);
        assert_eq!((old.egress(Kind::Command), held.egress), (Egress::Allowlist, Egress::Allowlist));
        assert!(held.holds.contains(&"own_network") && !held.lacks.contains(&"tcp"), "{held:?}");
        let open = Sandbox { ways: Ways { egress: Egress::Open, ..Ways::default() }, ..sandbox(None, 7) };
        let held = open.held(Kind::Command);
        assert!(held.egress == Egress::Open && !held.holds.contains(&"tcp"), "{held:?}");
    }
}
