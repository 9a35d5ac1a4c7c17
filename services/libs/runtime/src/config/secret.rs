//! `secrets.<name>.*`: which tasks may use a secret, and where it is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use config::ValueKind;
use serde::Deserialize;

use super::error::{Origin, Problem};
use super::layer::Leaf;
use crate::secrets::Name;

/// Stands for every group, or every runner.
const ANY: &str = "*";

/// `secrets.<name>.*`: a secret that tasks may use. Who is not named may not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretUse {
    /// The file that holds its value; unset, it is the one that `conductor secret set` keeps under this name.
    pub file: Option<PathBuf>,
    /// The groups whose tasks may use it; `*` is every one.
    pub groups: Vec<String>,
    /// The runners under which they may; `*` is every one.
    pub runners: Vec<String>,
}

impl SecretUse {
    /// Whether tasks of a group may use it.
    #[must_use]
    pub fn takes_group(&self, group: &str) -> bool {
        self.groups.iter().any(|known| known == ANY || known == group)
    }

    /// Whether runs of a runner may use it.
    #[must_use]
    pub fn takes_runner(&self, runner: &str) -> bool {
        self.runners.iter().any(|known| known == ANY || known == runner)
    }
}

/// Finds names that no secret can have.
pub(super) fn contradictions(values: &BTreeMap<Vec<String>, Leaf>) -> Vec<Problem> {
    let mut found = BTreeMap::new();
    for (path, leaf) in values {
        let [section, name, ..] = path.as_slice() else { continue };
        if section != "secrets" || leaf.origin == Origin::Default || leaf.value == ValueKind::Nil {
            continue;
        }
        if let Err(error) = name.parse::<Name>() {
            let key = leaf.path[..2].join(".");
            let problem = Problem::Bad { key, origin: leaf.origin.clone(), why: error.to_string() };
            found.entry(name).or_insert(problem);
        }
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests {
    use crate::config::{Loaded, Sources, load};

    fn loaded(yaml: &str) -> Result<Loaded, crate::config::Error> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("conductor.yaml");
        std::fs::write(&file, yaml).unwrap();
        let home = folder.path().to_str().unwrap().to_owned();
        let env = vec![("CONDUCTOR_HOME".to_owned(), home)];
        load(&Sources { file: Some(file), env, flags: Vec::new() })
    }

    #[test]
    fn a_secret_is_for_whom_it_names_and_for_nobody_else() {
        let yaml = "secrets:\n  NPM_TOKEN: {file: /run/npm, groups: [web], runners: ['*']}\n  other: {groups: ['*']}\n";
        let secrets = loaded(yaml).unwrap().config.secrets;
        let npm = &secrets["NPM_TOKEN"];
        assert!(npm.takes_group("web") && !npm.takes_group("default") && npm.takes_runner("claude"));
        assert_eq!(npm.file.as_deref(), Some("/run/npm".as_ref()));
        assert!(secrets["other"].takes_group("x") && !secrets["other"].takes_runner("claude"));
    }

    #[test]
    fn a_name_that_no_secret_can_have_is_refused_by_its_key() {
        for (yaml, said) in [
            ("secrets: {'../x': {groups: ['*']}}", "secrets.../x"),
            ("secrets: {NPM: {file: npm}}", "secrets.NPM.file"),
            ("secrets: {NPM: {value: abc}}", "secrets.NPM.value"),
        ] {
            let error = loaded(yaml).unwrap_err().to_string();
            assert!(error.contains(said), "{yaml}: {error}");
        }
    }
}
