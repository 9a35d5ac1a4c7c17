//! The processes of a drill, as the system lists them.

use std::fs;
use std::path::Path;

/// The processes below one.
pub fn children(parent: u32) -> Vec<u32> {
    pids().filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

/// The processes that work in a folder, or were started with it as their home.
pub fn below(folder: &Path) -> Vec<u32> {
    let home = format!("CONDUCTOR_HOME={}", folder.display());
    let own = std::process::id();
    let is_below = |pid: &u32| {
        let works = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|path| path.starts_with(folder));
        let environment = || fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        works || environment().split(|byte| *byte == 0).any(|variable| variable == home.as_bytes())
    };
    pids().filter(|pid| *pid != own).filter(is_below).collect()
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_found_by_its_parent_its_folder_and_its_home() {
        let folder = tempfile::tempdir().unwrap();
        let start = |command: &mut Command| command.stdin(Stdio::null()).spawn().unwrap();
        let mut inside = start(Command::new("sleep").arg("60").current_dir(folder.path()));
        let mut marked = start(Command::new("sleep").arg("60").env("CONDUCTOR_HOME", folder.path()));
        let mut other = start(Command::new("sleep").arg("60"));
        let mut found = below(folder.path());
        found.sort_unstable();
        let mut wanted = [inside.id(), marked.id()];
        wanted.sort_unstable();
        assert_eq!(found, wanted);
        assert!(children(std::process::id()).contains(&other.id()));
        for child in [&mut inside, &mut marked, &mut other] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(below(folder.path()), [0; 0]);
    }
}
