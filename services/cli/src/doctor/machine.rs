//! What the machine offers.

use std::path::Path;

use rustix::process::{Resource, getrlimit};

use super::{Check, Health};

/// Open files that many tasks at once need.
const ENOUGH_FILES: u64 = 4_096;
/// Kernels that brought a version of Landlock, newest first.
const LANDLOCK: [((u32, u32), u32); 6] =
    [((6, 12), 6), ((6, 10), 5), ((6, 7), 4), ((6, 2), 3), ((5, 19), 2), ((5, 13), 1)];

/// Looks at the machine.
pub fn checks() -> Vec<Check> {
    let system = rustix::system::uname();
    let release = system.release().to_string_lossy();
    let name = system.sysname().to_string_lossy();
    let version = env!("CARGO_PKG_VERSION");
    let mut checks = vec![Check::new("conductor", Health::Ok, format!("{version} on {name} {release}"))];
    checks.push(landlock(
        &name,
        &release,
        std::fs::read_to_string("/sys/kernel/security/lsm").ok().as_deref(),
    ));
    checks.push(cgroup(Path::new("/sys/fs/cgroup")));
    checks.push(open_files(getrlimit(Resource::Nofile).current));
    checks
}

fn landlock(system: &str, release: &str, modules: Option<&str>) -> Check {
    let check = |health, found: String| Check::new("sandbox", health, found);
    if system != "Linux" {
        return check(Health::Warning, format!("{system} has no Landlock; tasks cannot be confined here"));
    }
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let kernel = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let abi = LANDLOCK.iter().find(|(first, _)| kernel >= *first).map(|(_, abi)| *abi);
    let is_on = modules.map(|modules| modules.split(',').any(|module| module.trim() == "landlock"));
    match (abi, is_on) {
        (None, _) => check(Health::Note, "this kernel has no Landlock".to_owned())
            .advice("a later release confines tasks with it; Linux 6.12 has all that it needs"),
        (Some(_), Some(false)) => check(Health::Note, "Landlock is switched off in this kernel".to_owned())
            .advice("a later release confines tasks with it; add landlock to the kernel's lsm= list"),
        (Some(abi), _) => {
            let found =
                format!("this kernel has Landlock ABI {abi} or newer; nothing uses it in this release");
            check(Health::Note, found)
        }
    }
}

fn cgroup(root: &Path) -> Check {
    let found = match std::fs::read_to_string(root.join("cgroup.controllers")) {
        Ok(controllers) if controllers.trim().is_empty() => "version 2, without controllers".to_owned(),
        Ok(controllers) => format!("version 2 with {}", controllers.trim()),
        Err(_) => "no version 2 hierarchy is mounted".to_owned(),
    };
    Check::new("cgroup", Health::Note, found)
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
    fn the_kernel_tells_what_landlock_it_has() {
        for (release, modules, part) in [
            ("6.12.3-generic", Some("lockdown,landlock,apparmor\n"), "ABI 6"),
            ("6.8.0", None, "ABI 4"),
            ("5.10.0", None, "no Landlock"),
            ("6.12.0", Some("capability"), "switched off"),
        ] {
            let check = landlock("Linux", release, modules);
            assert!(check.found.contains(part), "{release}: {}", check.found);
        }
        assert_eq!(landlock("Darwin", "24.0", None).health, Health::Warning);
    }

    #[test]
    fn few_open_files_are_a_warning_with_advice() {
        assert_eq!(open_files(Some(256)).health, Health::Warning);
        assert_eq!(open_files(Some(65_536)).health, Health::Ok);
        assert_eq!(open_files(None).health, Health::Ok);
    }
}
