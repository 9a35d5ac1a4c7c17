//! The types of tasks: `task_types.<name>.*`, what a task has where its submit says nothing.

use std::collections::BTreeMap;

use conductor_protocol::submit::{Permission, Preset, is_model};
use config::ValueKind;
use serde::Deserialize;

use super::error::{Origin, Problem};
use super::layer::Leaf;
use super::runner::{BUILT_IN, INSIDE};

/// One type of tasks.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskType {
    /// What it is for, in a line for people.
    pub description: Option<String>,
    /// What a coding agent is told; `{prompt}` in it stands for what was asked.
    pub prompt: Option<String>,
    /// Who does it.
    pub runner: Option<String>,
    /// The most that the program may do without asking; a runner may allow less.
    pub permission: Option<Permission>,
    /// Whether the work is only to be read.
    pub read_only: bool,
    /// How long an attempt may run.
    pub timeout_seconds: Option<u64>,
    /// How urgent it is.
    pub priority: Option<u8>,
    /// How many failed attempts end it.
    pub max_attempts: Option<u16>,
    /// The most turns of a coding agent.
    pub max_turns: Option<u32>,
    /// What it may cost, in US dollars.
    pub budget_usd: Option<f64>,
    /// The tokens that it may use.
    pub budget_tokens: Option<u64>,
    /// The model of a coding agent.
    pub model: Option<String>,
    /// What must succeed afterwards.
    pub verify: Option<Vec<String>>,
}

/// Finds types that cannot be.
pub(super) fn contradictions(values: &BTreeMap<Vec<String>, Leaf>) -> Vec<Problem> {
    values.values().filter_map(|leaf| contradiction(leaf, values)).collect()
}

fn contradiction(leaf: &Leaf, values: &BTreeMap<Vec<String>, Leaf>) -> Option<Problem> {
    let [section, _, key] = leaf.path.as_slice() else { return None };
    if section != "task_types" || leaf.origin == Origin::Default {
        return None;
    }
    let why = match (key.as_str(), &leaf.value) {
        ("prompt", ValueKind::String(text)) if !Preset::takes(text) => {
            "it has no place for what is asked; write {prompt} there".to_owned()
        }
        ("runner", ValueKind::String(runner)) if runner == "command" => {
            "the command runner takes no prompt, and a type says nothing of commands".to_owned()
        }
        ("runner", ValueKind::String(runner)) if !is_runner(runner, values) => {
            format!("there is no runner {runner:?}")
        }
        ("budget_usd", ValueKind::Float(usd)) if *usd <= 0.0 => "more than 0 US dollars".to_owned(),
        ("model", ValueKind::String(model)) if !is_model(model) => "not the name of a model".to_owned(),
        ("verify", ValueKind::Array(words)) if words.is_empty() => "it names no program".to_owned(),
        _ => return None,
    };
    Some(Problem::Bad { key: leaf.path.join("."), origin: leaf.origin.clone(), why })
}

/// Tells whether a runner is there, built in or configured.
pub(super) fn is_runner(name: &str, values: &BTreeMap<Vec<String>, Leaf>) -> bool {
    let is_set = |key: &str| values.contains_key(&["runners", name, key].map(str::to_owned)[..]);
    INSIDE.contains(&name) || BUILT_IN.contains(&name) || is_set("preset") || is_set("command")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    fn types(yaml: &str) -> Result<BTreeMap<String, TaskType>, super::super::Error> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("conductor.yaml");
        std::fs::write(&file, yaml).unwrap();
        let home = folder.path().to_str().unwrap().to_owned();
        let env = vec![("CONDUCTOR_HOME".to_owned(), home)];
        Ok(load(&Sources { file: Some(file), env, flags: Vec::new() })?.config.task_types)
    }

    #[test]
    fn five_types_are_there_without_being_configured() {
        let types = types("").unwrap();
        let names: Vec<_> = types.keys().map(String::as_str).collect();
        assert_eq!(names, ["analysis", "code_review", "generic", "refactor", "test_generation"]);
        let review = &types["code_review"];
        assert!(review.read_only && review.permission == Some(Permission::Plan));
        for (name, kind) in types {
            assert!(kind.description.is_some_and(|text| !text.contains('\n')), "{name}");
            assert!(kind.prompt.is_none_or(|text| Preset::takes(&text)), "{name}");
        }
    }

    #[test]
    fn a_key_changes_a_type_and_a_new_name_makes_one() {
        let types = types(
            "task_types:\n  code_review: {model: opus, read_only: false}\n  docs: {prompt: 'Write: {prompt}', runner: gemini, verify: [make, docs]}\n",
        )
        .unwrap();
        let review = &types["code_review"];
        assert_eq!((review.model.as_deref(), review.read_only), (Some("opus"), false));
        assert!(review.prompt.is_some(), "the rest stays");
        assert_eq!(types["docs"].runner.as_deref(), Some("gemini"));
        assert_eq!(types["docs"].verify.as_deref(), Some(&["make".to_owned(), "docs".to_owned()][..]));
    }

    #[test]
    fn what_can_be_no_type_is_refused_by_its_key() {
        for (yaml, said) in [
            ("task_types: {docs: {prompt: Write}}", "task_types.docs.prompt"),
            ("task_types: {docs: {runner: cluade}}", "there is no runner \"cluade\""),
            ("task_types: {docs: {runner: command}}", "takes no prompt"),
            ("task_types: {docs: {verify: []}}", "names no program"),
            ("task_types: {docs: {permission: all}}", "task_types.docs.permission"),
            ("task_types: {docs: {model: --x}}", "not the name of a model"),
            ("task_types: {docs: {tools: x}}", "task_types.docs.tools"),
        ] {
            let error = types(yaml).unwrap_err().to_string();
            assert!(error.contains(said), "{yaml}: {error}");
        }
        types("runners: {own: {command: [x]}}\ntask_types: {docs: {runner: own}}").unwrap();
    }
}
