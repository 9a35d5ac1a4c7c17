//! Holds the rules on who may import whom, and those on purity, names and sizes that a compiler does not see.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

const MAX_MAIN_LINES: usize = 40;
const MAX_FILE_LINES: usize = 800;
const VAGUE_NAMES: [&str; 5] = ["common", "helper", "helpers", "util", "utils"];

/// Which of our crates each library may import. A new library needs a line here.
const LIBRARY_IMPORTS: [(&str, &[&str]); 10] = [
    ("conductor-core", &[]),
    ("conductor-protocol", &["conductor-core"]),
    ("conductor-store", &["conductor-core"]),
    ("conductor-runtime", &["conductor-protocol"]),
    ("conductor-outbound", &["conductor-runtime"]),
    ("conductor-redact", &[]),
    ("conductor-gateway", &["conductor-outbound", "conductor-runtime"]),
    ("conductor-client", &["conductor-core", "conductor-protocol", "conductor-runtime"]),
    ("conductor-web", &["conductor-core", "conductor-protocol", "conductor-runtime", "conductor-client"]),
    (
        "conductor-testkit",
        &["conductor-core", "conductor-protocol", "conductor-store", "conductor-runtime", "conductor-client"],
    ),
];

/// The crate that tests alone may import.
const TESTKIT: &str = "conductor-testkit";
/// The one service that may import others, for `conductor up`.
const CLI: &str = "conductor-cli";
/// The one crate that may hold unsafe code, for `posix_spawn`.
const UNSAFE_CRATE: &str = "conductor-agent";

/// What would let a clock, randomness or I/O into the core.
const IMPURE: [&str; 13] = [
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "Instant::now",
    "RandomState",
    "SystemTime",
    "println!",
    "dbg!",
    "async fn",
];

/// One of our crates, as the rules see it.
#[derive(Debug)]
struct Member {
    name: String,
    folder: PathBuf,
    is_library: bool,
    /// Everything that it imports outside its tests.
    dependencies: BTreeSet<String>,
    /// Everything that its tests import besides.
    test_dependencies: BTreeSet<String>,
}

fn root() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3);
    folder.expect("testkit lies three folders below the root").to_path_buf()
}

fn members() -> Vec<Member> {
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml")).no_deps();
    let metadata = command.exec().expect("cargo metadata describes the workspace");
    metadata.packages.iter().map(member).collect()
}

fn member(package: &Package) -> Member {
    let folder: PathBuf = package.manifest_path.parent().expect("a manifest lies in a folder").into();
    let names = |in_tests: bool| -> BTreeSet<String> {
        let wanted = |kind| (kind == DependencyKind::Development) == in_tests;
        package.dependencies.iter().filter(|it| wanted(it.kind)).map(|it| it.name.clone()).collect()
    };
    Member {
        name: package.name.to_string(),
        is_library: folder.starts_with(root().join("services/libs")),
        folder,
        dependencies: names(false),
        test_dependencies: names(true),
    }
}

/// What the imports of the crates break, one line each.
fn import_violations(members: &[Member]) -> Vec<String> {
    let rules: BTreeMap<&str, &[&str]> = LIBRARY_IMPORTS.into_iter().collect();
    let is_ours = |name: &str| members.iter().any(|it| it.name == name);
    let is_service = |name: &str| members.iter().any(|it| it.name == name && !it.is_library);
    let mut found = Vec::new();
    for member in members {
        let name = member.name.as_str();
        let rule = rules.get(name);
        if member.is_library && rule.is_none() {
            found.push(format!("{name} is a library without a line in LIBRARY_IMPORTS"));
        }
        for import in member.dependencies.iter().map(String::as_str).filter(|it| is_ours(it)) {
            let allowed = match rule {
                Some(allowed) => allowed.contains(&import),
                None => import != TESTKIT && (name == CLI || !is_service(import)),
            };
            if !allowed {
                found.push(format!("{name} imports {import}"));
            }
        }
        for import in member.test_dependencies.iter().map(String::as_str) {
            if member.is_library && is_service(import) {
                found.push(format!("the tests of {name} import {import}"));
            }
        }
    }
    found
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a source folder can be read") {
            let path = entry.expect("a source folder can be listed").path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn source_files() -> Vec<PathBuf> {
    let files = rust_files(&root().join("services"));
    assert!(files.len() >= members().len(), "every crate has a source file");
    files
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn lines_above(files: &[PathBuf], limit: usize) -> Vec<String> {
    let sizes = files.iter().map(|path| (path, read(path).lines().count()));
    sizes
        .filter(|(_, lines)| *lines > limit)
        .map(|(path, lines)| format!("{}: {lines} lines, at most {limit}", path.display()))
        .collect()
}

/// The lines of a source that name something impure, comments left out.
fn impurities(source: &str) -> Vec<String> {
    let code = source.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.enumerate()
        .filter(|(_, line)| IMPURE.iter().any(|impure| line.contains(impure)))
        .map(|(index, line)| format!("line {}: {}", index + 1, line.trim()))
        .collect()
}

#[test]
fn crates_import_only_what_the_design_allows() {
    let found = import_violations(&members());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn core_depends_on_nothing() {
    let members = members();
    let core = members.iter().find(|it| it.name == "conductor-core").expect("the core is a member");
    assert_eq!(core.dependencies, BTreeSet::new());
    let ours: Vec<_> = core.test_dependencies.iter().filter(|name| name.starts_with("conductor-")).collect();
    assert!(ours.is_empty(), "the tests of the core import {ours:?}");
}

#[test]
fn core_source_reaches_no_clock_no_randomness_and_no_io() {
    for path in rust_files(&root().join("services/libs/core/src")) {
        let found = impurities(&read(&path));
        assert!(found.is_empty(), "{}:\n{}", path.display(), found.join("\n"));
    }
}

#[test]
fn main_files_are_short() {
    let is_main = |path: &PathBuf| path.ends_with("src/main.rs");
    let mains: Vec<PathBuf> = source_files().into_iter().filter(is_main).collect();
    assert!(!mains.is_empty(), "no program was found");
    let found = lines_above(&mains, MAX_MAIN_LINES);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn source_files_are_not_too_long() {
    let found = lines_above(&source_files(), MAX_FILE_LINES);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_module_or_crate_has_a_vague_name() {
    let vague = |name: &str| VAGUE_NAMES.contains(&name);
    for member in members() {
        let name = member.name.trim_start_matches("conductor-");
        assert!(!vague(name), "{} says nothing about what it is for", member.name);
    }
    for path in source_files() {
        let mut names = path.iter().rev().take(2).filter_map(|name| name.to_str());
        let found = names.any(|name| vague(name.trim_end_matches(".rs")));
        assert!(!found, "{} says nothing about what it is for", path.display());
    }
}

#[test]
fn only_one_crate_may_relax_the_lints_of_the_workspace() {
    for member in members().iter().filter(|it| it.name != UNSAFE_CRATE) {
        let manifest = read(&member.folder.join("Cargo.toml"));
        let inherits = manifest.contains("[lints]\nworkspace = true");
        assert!(inherits, "{} does not take its lints from the workspace", member.name);
    }
}

mod rules {
    use super::*;

    fn made_up(name: &str, is_library: bool, imports: &[&str]) -> Member {
        Member {
            name: name.to_owned(),
            folder: PathBuf::new(),
            is_library,
            dependencies: imports.iter().map(|import| (*import).to_owned()).collect(),
            test_dependencies: BTreeSet::new(),
        }
    }

    #[test]
    fn a_service_that_imports_a_service_is_found() {
        let members = [
            made_up("conductor-api", false, &["tokio", "conductor-orchestrator"]),
            made_up("conductor-orchestrator", false, &["tokio"]),
            made_up(CLI, false, &["conductor-orchestrator"]),
        ];
        assert_eq!(import_violations(&members), ["conductor-api imports conductor-orchestrator"]);
    }

    #[test]
    fn a_library_that_imports_more_than_its_line_is_found() {
        let members = [
            made_up("conductor-core", true, &[]),
            made_up("conductor-protocol", true, &["conductor-core", "conductor-store"]),
            made_up("conductor-store", true, &["conductor-core"]),
        ];
        assert_eq!(import_violations(&members), ["conductor-protocol imports conductor-store"]);
    }

    #[test]
    fn a_library_whose_tests_import_a_service_is_found() {
        let mut store = made_up("conductor-store", true, &[]);
        store.test_dependencies.insert("conductor-agent".to_owned());
        let members = [store, made_up("conductor-agent", false, &[])];
        assert_eq!(import_violations(&members), ["the tests of conductor-store import conductor-agent"]);
    }

    #[test]
    fn a_library_without_a_line_is_found() {
        let members = [made_up("conductor-newcomer", true, &[])];
        let expected = ["conductor-newcomer is a library without a line in LIBRARY_IMPORTS"];
        assert_eq!(import_violations(&members), expected);
    }

    #[test]
    fn a_program_that_imports_the_testkit_is_found() {
        let members = [made_up("conductor-agent", false, &[TESTKIT]), made_up(TESTKIT, true, &[])];
        assert_eq!(import_violations(&members), ["conductor-agent imports conductor-testkit"]);
    }

    #[test]
    fn impure_code_is_found_and_a_comment_is_not() {
        let source = "use std::time::Duration; // SystemTime stays outside\nlet now = Instant::now();\n";
        assert_eq!(impurities(source), ["line 2: let now = Instant::now();"]);
    }
}
