//! What the machine offers.

use std::path::PathBuf;

use conductor_agent::process::Cgroups;
use conductor_agent::sandbox::Kernel;
use rustix::process::{Resource, getrlimit};

use super::{Check, Health};

/// Open files that many tasks at once need.
const ENOUGH_FILES: u64 = 4_096;
/// Looks at the machine, and at cgroups that the configuration names.
pub fn checks(named: &[PathBuf]) -> Vec<Check> {
    let system = rustix::system::uname();
    let release = system.release().to_string_lossy();
    let name = system.sysname().to_string_lossy();
    let version = env!("CARGO_PKG_VERSION");
    let mut checks = vec![Check::new("conductor", Health::Ok, format!("{version} on {name} {release}"))];
    checks.push(sandbox(&name, Kernel::probe()));
    checks.push(cgroup(named));
    checks.push(open_files(getrlimit(Resource::Nofile).current));
    checks
}

fn sandbox(system: &str, kernel: Kernel) -> Check {
    let check = |health, found: String| Check::new("sandbox", health, found);
    if system != "Linux" {
        return check(Health::Warning, format!("{system} has no Landlock; tasks cannot be confined here"));
    }
    let by = format!("Landlock ABI {}", kernel.landlock);
    match kernel.shortfall() {
        None => check(Health::Ok, format!("{by}: all that sandbox.mode required asks for")),
        Some(shortfall) => check(Health::Warning, format!("{by}; {shortfall}")).advice(
            "coding agents do not run here unless sandbox.mode is best_effort or off; Linux 6.12 with landlock in its \
             lsm= list has all of it",
        ),
    }
}

/// The groups of processes by which the kernel itself would hold runs to their limits.
fn cgroup(named: &[PathBuf]) -> Check {
    match Cgroups::look(named) {
        Ok(Some(groups)) => Check::new("cgroup", Health::Ok, groups.text()),
        Ok(None) => Check::new(
            "cgroup",
            Health::Note,
            "none is delegated to the agent; runs are held to their limits by being looked at four times a second",
        ),
        Err(why) => Check::new("cgroup", Health::Broken, why).advice("correct sandbox.cgroups"),
    }
}

fn open_files(limit: Option<u64>) -> Check {
    match limit {
        Some(limit) if limit < ENOUGH_FILES => {
            Check::new("open files", Health::Warning, format!("at most {limit} for a process"))
                .advice(format!("allow {ENOUGH_FILES}: ulimit -n {ENOUGH_FILES}"))
        }
        Some(limit) => Check::new("open files", Health::Ok, format!("at most {limit} for a process")),
        None => Check::new("open files", Health::Ok, "without a limit"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_cannot_hold_is_a_warning_that_names_it() {
        let whole = Kernel { landlock: 7, filter: true, own_network: false };
        assert_eq!(sandbox("Linux", whole).health, Health::Ok);
        let old = sandbox("Linux", whole.capped(3));
        assert_eq!(old.health, Health::Warning);
        assert!(
            old.found.contains("ABI 3; this kernel cannot hold") && old.found.contains("signals"),
            "{}",
            old.found
        );
        assert_eq!(sandbox("Darwin", whole).health, Health::Warning);
    }

    #[test]
    fn few_open_files_are_a_warning_with_advice() {
        assert_eq!(open_files(Some(256)).health, Health::Warning);
        assert_eq!(open_files(Some(65_536)).health, Health::Ok);
        assert_eq!(open_files(None).health, Health::Ok);
    }
}
