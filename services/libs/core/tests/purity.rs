//! The core depends on nothing and reaches nothing: no clock, no randomness, no input or output.

use std::path::{Path, PathBuf};

/// What a pure crate has no use for.
const FORBIDDEN: &[&str] = &[
    "std::time",
    "std::fs",
    "std::io",
    "std::net",
    "std::os",
    "std::env",
    "std::thread",
    "std::process",
    "std::sync::Mutex",
    "std::sync::atomic",
    "RandomState",
    "HashSet",
    "thread_local",
    "println!",
    "unsafe",
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

#[test]
fn the_core_depends_on_nothing() {
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let tables = manifest.lines().filter(|line| line.starts_with('[') && line.contains("dependencies"));
    assert_eq!(tables.collect::<Vec<_>>(), ["[dev-dependencies]"]);
}

#[test]
fn the_core_reaches_nothing() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(sources.len() > 20, "the sources are found");
    for path in sources {
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let found = FORBIDDEN.iter().find(|word| code.contains(**word));
            assert_eq!(found, None, "{}:{}", path.display(), number + 1);
        }
    }
}
