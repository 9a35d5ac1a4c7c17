//! What the kernel of this host can hold.

use crate::process::{KeeperProgram, may_have_own_network, spawn};

/// The oldest interface of Landlock with all that `required` asks for.
const REQUIRED_ABI: u32 = 6;
/// The newest interface that is used.
const NEWEST_ABI: u32 = 8;

/// What the kernel of this host offers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kernel {
    /// The version of Landlock's interface; 0 is none.
    pub landlock: u32,
    /// Whether system calls can be filtered.
    pub filter: bool,
    /// Whether runs can have a network of their own, in which there is nothing but what answers from outside.
    pub own_network: bool,
}

/// Something that a sandbox holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// Which files are read, written and executed.
    Files,
    /// No look into the memory or environment of processes outside.
    Ptrace,
    /// Files outside are not emptied, and those inside are moved freely.
    Truncate,
    /// Where TCP leads.
    Tcp,
    /// No commands to devices.
    DeviceIoctl,
    /// No signals to processes outside.
    Signals,
    /// No abstract Unix sockets of processes outside.
    AbstractSockets,
    /// No Unix sockets, shared memory and message queues of processes outside.
    LocalSockets,
}

impl Feature {
    const ALL: [Self; 8] = [
        Self::Files,
        Self::Ptrace,
        Self::Truncate,
        Self::Tcp,
        Self::DeviceIoctl,
        Self::Signals,
        Self::AbstractSockets,
        Self::LocalSockets,
    ];

    /// The name by which programs know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Ptrace => "ptrace",
            Self::Truncate => "truncate",
            Self::Tcp => "tcp",
            Self::DeviceIoctl => "device_ioctl",
            Self::Signals => "signals",
            Self::AbstractSockets => "abstract_sockets",
            Self::LocalSockets => "local_sockets",
        }
    }

    /// What it is, and what a kernel needs for it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Files => "rules on files (Landlock ABI 1, Linux 5.13)",
            Self::Ptrace => "rules on looking into processes (Landlock ABI 1, Linux 5.13)",
            Self::Truncate => "rules on truncation and moves (Landlock ABI 3, Linux 6.2)",
            Self::Tcp => "rules on TCP (Landlock ABI 4, Linux 6.7)",
            Self::DeviceIoctl => "rules on devices (Landlock ABI 5, Linux 6.10)",
            Self::Signals => "the scope of signals (Landlock ABI 6, Linux 6.12)",
            Self::AbstractSockets => "the scope of abstract sockets (Landlock ABI 6, Linux 6.12)",
            Self::LocalSockets => "the filter of system calls (seccomp)",
        }
    }

    fn abi(self) -> Option<u32> {
        match self {
            Self::Files | Self::Ptrace => Some(1),
            Self::Truncate => Some(3),
            Self::Tcp => Some(4),
            Self::DeviceIoctl => Some(5),
            Self::Signals | Self::AbstractSockets => Some(6),
            Self::LocalSockets => None,
        }
    }
}

impl Kernel {
    /// Asks this host.
    #[must_use]
    pub fn probe() -> Self {
        Self {
            landlock: spawn::landlock_abi().min(NEWEST_ABI),
            filter: super::filter::is_supported() && rustix::thread::secure_computing_mode().is_ok(),
            own_network: false,
        }
    }

    /// The same kernel, asked whether runs can have a network of their own. That takes a process, which ends at once.
    #[must_use]
    pub fn with_network(self, keeper: &KeeperProgram) -> Self {
        Self { own_network: may_have_own_network(keeper), ..self }
    }

    /// Whether it holds where a run connects to.
    pub(super) fn holds_egress(self) -> bool {
        self.own_network || self.has(Feature::Tcp)
    }

    /// The same kernel with an older Landlock.
    #[must_use]
    pub fn capped(self, landlock: u32) -> Self {
        Self { landlock: self.landlock.min(landlock), ..self }
    }

    pub(super) fn holds(self) -> Vec<Feature> {
        Feature::ALL.into_iter().filter(|feature| self.has(*feature)).collect()
    }

    pub(super) fn lacks(self) -> Vec<Feature> {
        Feature::ALL.into_iter().filter(|feature| !self.has(*feature)).collect()
    }

    /// What `required` asks for that is not there. TCP is not among it: ports are guarded by tokens and keys as well.
    pub(super) fn missing(self) -> Vec<Feature> {
        let is_needed = |feature: &Feature| feature.abi().is_none_or(|abi| abi <= REQUIRED_ABI);
        self.lacks().into_iter().filter(|it| is_needed(it) && *it != Feature::Tcp).collect()
    }

    /// What is missing for `required`, in a sentence; none where all is there.
    #[must_use]
    pub fn shortfall(self) -> Option<String> {
        let words: Vec<_> = self.missing().into_iter().map(Feature::words).collect();
        (!words.is_empty()).then(|| format!("this kernel cannot hold: {}", words.join("; ")))
    }

    fn has(self, feature: Feature) -> bool {
        match feature.abi() {
            Some(abi) => self.landlock >= abi,
            None => self.filter,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_asks_for_the_scopes_and_the_filter_and_not_for_tcp() {
        let names = |landlock, filter| {
            let kernel = Kernel { landlock, filter, own_network: false };
            kernel.missing().into_iter().map(Feature::name).collect::<Vec<_>>()
        };
        assert_eq!(names(6, true), [""; 0]);
        assert_eq!(names(7, false), ["local_sockets"]);
        assert_eq!(names(3, true), ["device_ioctl", "signals", "abstract_sockets"]);
        assert_eq!(names(0, true).len(), 6);
    }

    #[test]
    fn this_host_is_asked_and_can_be_taken_for_an_older_one() {
        let kernel = Kernel::probe();
        assert_eq!(kernel.capped(1).landlock, kernel.landlock.min(1));
        assert_eq!(kernel.capped(99), kernel);
    }
}
