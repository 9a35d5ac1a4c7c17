//! Holds the documents together: a link leads to a file and a heading that exist, and the page on configuration names
//! every key, and the pages on containers every variable.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const MIN_DOCUMENTS: usize = 8;

fn root() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3);
    folder.expect("testkit lies three folders below the root").to_path_buf()
}

fn documents() -> Vec<PathBuf> {
    let folders = [root(), root().join("docs")];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("the folder can be read"));
    let paths = entries.map(|entry| entry.expect("the folder can be listed").path());
    let mut found: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    found.sort();
    found
}

/// The targets of the Markdown links in a text, those to other sites left out.
fn local_links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// The anchor that a heading gets: lower case, words parted by hyphens, punctuation left out.
fn anchor(heading: &str) -> String {
    let title = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = title.chars().filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'));
    kept.map(|it| if it == ' ' { '-' } else { it }).collect()
}

fn has_anchor(text: &str, wanted: &str) -> bool {
    text.lines().any(|line| line.starts_with('#') && anchor(line) == wanted)
}

/// Why a link from a document leads nowhere, if it does.
fn broken(document: &Path, text: &str, link: &str) -> Option<String> {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let folder = document.parent().expect("a document lies in a folder");
    let target = if file.is_empty() { document.to_path_buf() } else { folder.join(file) };
    if !target.exists() {
        return Some(format!("{}: {link}: there is no such file", document.display()));
    }
    let linked = if file.is_empty() { Ok(text.to_owned()) } else { fs::read_to_string(&target) };
    let found = heading.is_empty() || linked.is_ok_and(|text| has_anchor(&text, heading));
    (!found).then(|| format!("{}: {link}: there is no such heading", document.display()))
}

/// The keys of the defaults, as dotted paths; a section that the user fills by name counts as one key.
fn keys(yaml: &str) -> BTreeSet<String> {
    let mut sections: Vec<&str> = Vec::new();
    let mut found = BTreeSet::new();
    for line in yaml.lines() {
        let Some((name, value)) = line.trim_start().split_once(':') else { continue };
        if name.starts_with('#') {
            continue;
        }
        sections.truncate((line.len() - line.trim_start().len()) / 2);
        sections.push(name);
        if sections[0] == "task_types" {
            // Each is named by the page on types, and their texts look like anything.
            found.insert("task_types".to_owned());
            continue;
        }
        let value = value.split(" #").next().unwrap_or_default().trim();
        if !value.is_empty() {
            found.insert(sections.join("."));
        }
    }
    found
}

/// Whether the page names this key, or one below it.
fn names_key(page: &str, key: &str) -> bool {
    page.contains(&format!("`{key}`")) || page.contains(&format!("`{key}.<"))
}

/// The names in backticks that look like a key of one of the sections.
fn named_keys<'a>(page: &'a str, keys: &BTreeSet<String>) -> Vec<&'a str> {
    let of_section = |name: &&str| {
        let section = name.split('.').next().unwrap_or_default();
        name.contains('.') && keys.iter().any(|key| key.split('.').next() == Some(section))
    };
    page.split('`').skip(1).step_by(2).filter(of_section).collect()
}

#[test]
fn the_page_on_configuration_names_every_key_and_no_other() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("the file is there");
    let keys = keys(&read("services/libs/runtime/src/config/defaults.yaml"));
    let page = read("docs/configuration.md");
    assert!(keys.contains("tasks.crash_limit") && keys.contains("groups"), "{keys:?}");
    let missing: Vec<_> = keys.iter().filter(|key| !names_key(&page, key)).collect();
    assert!(missing.is_empty(), "docs/configuration.md does not name {missing:?}");
    let is_known = |name: &str| keys.iter().any(|key| name == key || name.starts_with(&format!("{key}.<")));
    let unknown: Vec<_> = named_keys(&page, &keys).into_iter().filter(|name| !is_known(name)).collect();
    assert!(unknown.is_empty(), "docs/configuration.md names {unknown:?}, which are no keys");
}

/// The variables that a compose file takes from its environment.
fn taken(text: &str) -> BTreeSet<&str> {
    let is_part = |it: char| it.is_ascii_alphanumeric() || it == '_';
    let names = text.split("${").skip(1).filter_map(|rest| rest.split(|it: char| !is_part(it)).next());
    names.filter(|name| !name.is_empty()).collect()
}

#[test]
fn every_variable_of_a_compose_file_has_its_word_where_people_look_for_it() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("the file is there");
    let compose = ["docker-compose.yml", "docker-compose.redis.yml", "docker-compose.override.yml.example"];
    let (example, page) = (read(".env.example"), read("docs/docker.md"));
    let mut missing = Vec::new();
    for file in compose {
        for name in taken(&read(file)) {
            let is_in_example = example.contains(&format!("#{name}="));
            if !is_in_example || !page.contains(&format!("`{name}`")) {
                missing.push(format!("{file}: {name}"));
            }
        }
    }
    let (stack, page) = (read("docker-stack.yml"), read("docs/swarm.md"));
    let unnamed = taken(&stack).into_iter().filter(|name| !page.contains(&format!("`{name}`")));
    missing.extend(unnamed.map(|name| format!("docker-stack.yml: {name}")));
    assert!(missing.is_empty(), "without a word of explanation: {missing:?}");
    assert!(taken(&stack).contains("CONDUCTOR_EXPECT_STATE"), "the variables are found");
}

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    let documents = documents();
    assert!(documents.len() >= MIN_DOCUMENTS, "only {documents:?} were found");
    let mut found = Vec::new();
    for document in &documents {
        let text = fs::read_to_string(document).expect("a document is text");
        found.extend(local_links(&text).into_iter().filter_map(|link| broken(document, &text, link)));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let document = root().join("README.md");
    let text =
        "# The title\n[a](LICENSE) [b](#the-title) [c](none.md) [d](#none) [e](https://example.org/none)\n";
    let links = local_links(text);
    let found: Vec<bool> = links.iter().map(|link| broken(&document, text, link).is_some()).collect();
    assert_eq!(links, ["LICENSE", "#the-title", "none.md", "#none"]);
    assert_eq!(found, [false, false, true, true]);
}
