//! The filter of system calls: what Landlock does not guard.
//!
//! It refuses what leads to other processes of the same user past all files: Unix sockets by name (the container engine's, the
//! session's bus, the service manager's, Conductor's own), shared memory and message queues of System V and POSIX, the keyrings of
//! the kernel; and what has no use in a task and a history of faults: io_uring, BPF, performance counters, user faults.
//! Where TCP leads only to named ports, it refuses the other kinds of internet sockets with it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// The lower bits of a socket's type; those above are flags.
const TYPE_MASK: u64 = 0xf;
/// Marks the numbers of the x32 interface, which a kernel may offer beside the usual one.
const X32: i64 = 0x4000_0000;

const ALWAYS: [c_long; 9] = [
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];
const LOCAL: [c_long; 13] = [
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
];

/// Whether a filter can be made for this processor.
pub(super) fn is_supported() -> bool {
    TargetArch::try_from(std::env::consts::ARCH).is_ok()
}

/// The filter for a choice. It is made once in the life of a process: all runs of a keeper have the same few.
pub(super) fn program(local_ipc: bool, tcp_alone: bool) -> Result<&'static BpfProgram, BackendError> {
    static MADE: [OnceLock<BpfProgram>; 4] = [const { OnceLock::new() }; 4];
    let place = &MADE[usize::from(local_ipc) * 2 + usize::from(tcp_alone)];
    match place.get() {
        Some(known) => Ok(known),
        None => {
            let made = make(local_ipc, tcp_alone)?;
            Ok(place.get_or_init(|| made))
        }
    }
}

fn make(local_ipc: bool, tcp_alone: bool) -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for number in ALWAYS {
        rules.insert(number, Vec::new());
    }
    let mut sockets = vec![rule(&[family(libc::AF_VSOCK)?])?];
    if !local_ipc {
        for number in LOCAL {
            rules.insert(number, Vec::new());
        }
        sockets.push(rule(&[family(libc::AF_UNIX)?])?);
        // A pair of this type can be turned to any address.
        rules.insert(libc::SYS_socketpair, vec![rule(&[family(libc::AF_UNIX)?, kind(libc::SOCK_DGRAM)?])?]);
    }
    if tcp_alone {
        for of in [libc::AF_INET, libc::AF_INET6] {
            for other in [libc::SOCK_DGRAM, libc::SOCK_RAW, libc::SOCK_RDM, libc::SOCK_SEQPACKET] {
                sockets.push(rule(&[family(of)?, kind(other)?])?);
            }
            // Streams of other protocols, which no rule on TCP sees.
            sockets.push(rule(&[family(of)?, protocol_is_not(0)?, protocol_is_not(libc::IPPROTO_TCP)?])?);
        }
    }
    rules.insert(libc::SYS_socket, sockets);
    if cfg!(target_arch = "x86_64") {
        let x32: Vec<_> = rules.iter().map(|(number, rules)| (number | X32, rules.clone())).collect();
        rules.extend(x32);
    }
    let refuse = SeccompAction::Errno(u32::try_from(libc::EPERM).unwrap_or(1));
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, TargetArch::try_from(std::env::consts::ARCH)?)?
        .try_into()
}

fn rule(conditions: &[SeccompCondition]) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(conditions.to_vec())
}

fn condition(index: u8, operator: SeccompCmpOp, value: i32) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, u64::from(value.cast_unsigned()))
}

fn family(family: i32) -> Result<SeccompCondition, BackendError> {
    condition(0, SeccompCmpOp::Eq, family)
}

fn kind(kind: i32) -> Result<SeccompCondition, BackendError> {
    condition(1, SeccompCmpOp::MaskedEq(TYPE_MASK), kind)
}

fn protocol_is_not(protocol: i32) -> Result<SeccompCondition, BackendError> {
    condition(2, SeccompCmpOp::Ne, protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_can_be_made_for_every_choice() {
        let length = |local_ipc, tcp_alone| program(local_ipc, tcp_alone).unwrap().len();
        assert!(length(false, false) > length(true, false));
        assert!(length(true, true) > length(true, false));
    }
}
