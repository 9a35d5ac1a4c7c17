//! Runs that take more than they may, as commands that a task can be. Each takes a little more than a limit and no more.

use conductor_protocol::agent::LimitsView;

/// A run that takes too much of something.
#[derive(Debug, Clone)]
pub struct Hog {
    pub name: &'static str,
    /// What a task that is it runs.
    pub command: Vec<String>,
    /// The reason for which it is to fail.
    pub reason: &'static str,
    /// How many bytes, or processes, it takes.
    pub takes: u64,
}

/// The runs that take more than these limits allow. One that is not ended exits with the code of an escape,
/// and one to which the kernel refused more with [`REFUSED`](super::REFUSED).
#[must_use]
pub fn hogs(limits: LimitsView) -> Vec<Hog> {
    const MIB: u64 = 1 << 20;
    let hog = |name, reason, takes: u64, count: u64, script: &str| {
        let script = script.replace("COUNT", &count.to_string());
        Hog { name, command: ["sh", "-c", &script].map(str::to_owned).into(), reason, takes }
    };
    let processes = limits.processes.saturating_add(limits.processes / 20).saturating_add(20);
    let memory = limits.memory_bytes.saturating_add(limits.memory_bytes / 10).saturating_add(32 * MIB);
    let disk = limits.disk_bytes.saturating_add(limits.disk_bytes / 10).saturating_add(32 * MIB);
    let output = limits.output_bytes.saturating_add(limits.output_bytes / 10).saturating_add(MIB);
    vec![
        hog(
            "a fork bomb",
            "process_limit",
            processes,
            processes,
            // A shell that is refused a process says so and ends; the one outside needs none to read that.
            "sh -c 'i=0; while [ $i -lt COUNT ]; do sleep 60 & i=$((i+1)); done; sleep 20; exit 10' 2>said; code=$?
             while read -r line; do case $line in *fork*) echo \"$line\"; exit 12;; esac; done < said
             [ $code = 10 ] && exit 10; exit 11",
        ),
        hog(
            "a memory hog",
            "oom",
            memory,
            memory / MIB,
            "command -v perl >/dev/null || exit 11
             perl -e 'push @a, \"x\" x (1 << 20) for 1..COUNT; sleep 20'; exit 10",
        ),
        hog(
            "a disk filler",
            "disk_full",
            disk,
            disk / MIB / 16 + 1,
            "i=0; while [ $i -lt COUNT ]; do dd if=/dev/zero of=fill-$i bs=1048576 count=16 2>/dev/null; i=$((i+1)); done
             sleep 20; exit 10",
        ),
        hog("an endless printer", "output_limit", output, output / 4 + 1, "yes all | head -n COUNT; sleep 5; exit 10"),
    ]
}
