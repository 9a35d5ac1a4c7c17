//! What is said of a run that took more than it may.

use super::outcome::{Failure, FailureReason};
use crate::process::overseer::Excess;

/// The failure that it ends with.
pub(super) fn failure(excess: Excess) -> Failure {
    let (reason, message, hint) = match excess {
        Excess::Processes { most } => (
            FailureReason::ProcessLimit,
            format!("it made more than {most} processes and threads and was ended"),
            "make fewer at the same time, or raise tasks.max_processes",
        ),
        Excess::Memory { most } => (
            FailureReason::Oom,
            format!("it took more memory than its {most} bytes and was ended"),
            "use less at the same time, or raise tasks.max_memory_bytes",
        ),
        Excess::OfHost => (
            FailureReason::Oom,
            "the kernel ended it, which was out of memory".to_owned(),
            "run fewer tasks at the same time, or lower tasks.max_memory_bytes, so that the one that takes most is ended",
        ),
        Excess::Disk { most } => (
            FailureReason::DiskFull,
            format!("it wrote more than {most} bytes to disk and was ended"),
            "leave less, or raise tasks.max_workspace_bytes",
        ),
        Excess::Depth => (
            FailureReason::DiskFull,
            "its folders lie in each other too deep to be measured, and it was ended".to_owned(),
            "make folders less deep",
        ),
    };
    Failure { reason, message, hint: hint.to_owned() }
}
