//! The programs under test: they lie beside the test's own folder in the target folder, and are built when they are not
//! there or are older than their sources.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// Names a folder whose programs are used as they are.
const PROGRAMS: &str = "CONDUCTOR_TEST_PROGRAMS";
/// The programs, each with its package.
const ALL: [(&str, &str); 3] = [
    ("conductor-orchestrator", "conductor-orchestrator"),
    ("conductor-agent", "conductor-agent"),
    ("conductor", "conductor-cli"),
];

/// What they are built with beside what they have on a laptop.
const FEATURES: &str = "conductor-orchestrator/redis,conductor-cli/redis";

/// Where a program is.
pub(super) fn path(program: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(folder).join(program)
}

fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os(PROGRAMS) {
        return folder.into();
    }
    let test = std::env::current_exe().expect("a test knows its own file");
    // <target>/<profile>/deps/<test>
    let folder = test.ancestors().nth(2).expect("a test lies in the target folder").to_path_buf();
    if ALL.iter().any(|(program, _)| is_stale(&folder, program)) {
        build(&folder);
    }
    folder
}

/// Builds all of them, once however many tests want them.
fn build(folder: &Path) {
    let lock = File::create(folder.join(".test-programs.lock")).expect("the target folder can be written");
    lock.lock().expect("a file of the target folder can be locked");
    if !ALL.iter().any(|(program, _)| is_stale(folder, program)) {
        return;
    }
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--quiet", "--profile", profile]);
    command.arg("--target-dir").arg(folder.parent().expect("a profile's folder lies in the target folder"));
    for (_, package) in ALL {
        command.args(["--package", package]);
    }
    command.args(["--features", FEATURES]);
    let status = command.status().expect("cargo can be started");
    assert!(status.success(), "the programs under test cannot be built: {status}");
}

/// Whether a program is missing or older than a source that it was built from.
fn is_stale(folder: &Path, program: &str) -> bool {
    let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let Some(built) = changed(&folder.join(program)) else { return true };
    let Ok(sources) = fs::read_to_string(folder.join(format!("{program}.d"))) else { return true };
    let newer = |path: &Path| changed(path).is_none_or(|changed: SystemTime| changed > built);
    sources_of(&sources).iter().any(|path| newer(path))
}

/// The paths that cargo's list of sources names: `<program>: <source> <source>`, with spaces in paths escaped.
fn sources_of(list: &str) -> Vec<PathBuf> {
    let Some((_, sources)) = list.lines().next().and_then(|line| line.split_once(": ")) else {
        return Vec::new();
    };
    let marked = sources.replace("\\ ", "\0");
    marked.split(' ').filter(|path| !path.is_empty()).map(|path| path.replace('\0', " ").into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_from_cargos_list_also_with_spaces_in_their_paths() {
        let list = "/t/debug/x: /a/b.rs /with\\ space/c.rs\n\n/a/b.rs:\n";
        assert_eq!(sources_of(list), [PathBuf::from("/a/b.rs"), PathBuf::from("/with space/c.rs")]);
        assert_eq!(sources_of(""), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_program_is_stale_when_it_is_missing_or_older_than_a_source() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("a.rs");
        let stale = || is_stale(folder.path(), "x");
        assert!(stale());
        fs::write(&source, "").unwrap();
        fs::write(folder.path().join("x.d"), format!("x: {}\n", source.display())).unwrap();
        assert!(stale());
        fs::write(folder.path().join("x"), "").unwrap();
        assert!(!stale());
        let later = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1 << 33);
        File::options().write(true).open(&source).unwrap().set_modified(later).unwrap();
        assert!(stale());
    }
}
