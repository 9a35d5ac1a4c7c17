//! Confining a thread, which then makes a child that inherits it.

use std::path::Path;
use std::sync::OnceLock;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, NetPort, PathBeneath, PathFd, PathFdError, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, Scope,
};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::filter;
use super::policy::{Access, Policy};
use crate::process::MARGIN;

/// The highest number of a capability that a kernel may know.
const LAST_CAPABILITY: u32 = 63;

/// Why a thread could not be confined, by the step that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("give up capabilities: {0}")]
    Capabilities(Errno),
    #[error("give up new privileges: {0}")]
    Privileges(Errno),
    #[error("make the rules: {0}")]
    Rules(String),
    #[error("allow {path}: {why}")]
    Path { path: String, why: String },
    #[error("take the filter of system calls: {0}")]
    Filter(String),
}

/// Confines the calling thread for good, and whatever it makes from now on.
///
/// # Errors
/// Names the step that failed; the thread is then partly confined and to be left.
pub(crate) fn confine(policy: &Policy) -> Result<(), Error> {
    give_up_capabilities()?;
    rustix::thread::set_no_new_privs(true).map_err(Error::Privileges)?;
    if policy.abi > 0 {
        take_rules(policy)?;
    }
    if policy.filter {
        let failed = |error: &dyn std::fmt::Display| Error::Filter(error.to_string());
        let program =
            filter::program(policy.local_ipc, policy.ports.is_some()).map_err(|error| failed(&error))?;
        seccompiler::apply_filter(program).map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// Bounds the files of all children that this process makes from now on, and lets none of them leave a core.
pub(crate) fn limit_files(max_bytes: Option<u64>) {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // What is refused was lower before.
    let _ = setrlimit(Resource::Core, none);
    let limit = Rlimit { current: max_bytes, maximum: max_bytes };
    if max_bytes.is_some() && getrlimit(Resource::Fsize) != limit {
        let _ = setrlimit(Resource::Fsize, limit);
    }
}

/// Bounds how many processes this one's user may have as far as it and its children make them.
///
/// In a user namespace of its own the kernel counts those of the namespace, which are the run's. Elsewhere it counts all of the user,
/// so there it is half of what the user may have: one run cannot keep everything else from making any.
pub(crate) fn limit_processes(most: Option<u64>, is_counted_alone: bool) {
    static SET: OnceLock<()> = OnceLock::new();
    SET.get_or_init(|| {
        let own = getrlimit(Resource::Nproc).current.or_else(threads_of_host);
        let limit = match is_counted_alone {
            true => most.map(|most| most.saturating_add(MARGIN)),
            false => own.map(|own| own / 2),
        };
        if let Some(limit) = limit {
            // What is refused was lower before.
            let _ = setrlimit(Resource::Nproc, Rlimit { current: Some(limit), maximum: Some(limit) });
        }
    });
}

fn threads_of_host() -> Option<u64> {
    std::fs::read_to_string("/proc/sys/kernel/threads-max").ok()?.trim().parse().ok()
}

fn give_up_capabilities() -> Result<(), Error> {
    let failed = Error::Capabilities;
    let sets = rustix::thread::capabilities(None).map_err(failed)?;
    let may_bound = sets.effective.contains(CapabilitySet::SETPCAP);
    for number in 0..=LAST_CAPABILITY {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::capability_is_in_bounding_set(capability) {
            // A thread without this right has no capability that the set could give back: it may gain no privileges.
            Ok(true) if may_bound => {
                rustix::thread::remove_capability_from_bounding_set(capability).map_err(failed)?;
            }
            Ok(_) => {}
            // The kernel knows none beyond.
            Err(_) => break,
        }
    }
    // A kernel before 4.3 has no such set.
    let _ = rustix::thread::clear_ambient_capability_set();
    let empty = CapabilitySet::empty();
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: empty, permitted: empty, inheritable: empty },
    )
    .map_err(failed)
}

fn take_rules(policy: &Policy) -> Result<(), Error> {
    let rules = |error: RulesetError| Error::Rules(error.to_string());
    let abi = ABI::from(i32::try_from(policy.abi).unwrap_or(i32::MAX));
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(abi)).map_err(rules)?;
    if policy.ports.is_some() && policy.abi >= 4 {
        ruleset = ruleset.handle_access(AccessNet::from_all(ABI::V4)).map_err(rules)?;
    }
    if policy.abi >= 6 {
        ruleset = ruleset.scope(Scope::from_all(ABI::V6)).map_err(rules)?;
    }
    let mut created = ruleset.create().map_err(rules)?;
    for (access, path) in &policy.own {
        let opened = match PathFd::new(path) {
            Ok(opened) => opened,
            Err(error) if *access == Access::Write => return Err(path_error(path, &error)),
            Err(_) => continue,
        };
        created = created
            .add_rule(PathBeneath::new(opened, rights(*access, abi)))
            .map_err(|error| Error::Path { path: path.display().to_string(), why: error.to_string() })?;
    }
    if let Some(ports) = policy.ports.as_ref().filter(|_| policy.abi >= 4) {
        // A port that the kernel chooses is nobody else's.
        created = created.add_rule(NetPort::new(0, AccessNet::BindTcp)).map_err(rules)?;
        for port in ports {
            created = created.add_rule(NetPort::new(*port, AccessNet::ConnectTcp)).map_err(rules)?;
        }
    }
    created.restrict_self().map(drop).map_err(rules)
}

fn path_error(path: &Path, error: &PathFdError) -> Error {
    Error::Path { path: path.display().to_string(), why: error.to_string() }
}

/// The rights that stand for an access. What a file cannot have is left out by the library.
fn rights(access: Access, abi: ABI) -> BitFlags<AccessFs> {
    let read = AccessFs::from_read(abi);
    let write = AccessFs::from_write(abi);
    match access {
        Access::Read => read,
        Access::Write | Access::WriteIfThere => {
            (read | write) & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev)
        }
        Access::Device => {
            (AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev)
                & (read | write)
        }
    }
}
