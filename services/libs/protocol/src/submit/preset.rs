//! What a task's type adds to what its submit says. The orchestrator writes it into the body once, at the submit, so that
//! every attempt and every retry of the task runs the same, whatever becomes of the configuration.

use serde::{Deserialize, Serialize};

/// Stands for what was asked in the text that the agent is given.
const ASKED: &str = "{prompt}";

/// What a program may do without a person, each less than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Everything.
    Skip,
    /// Changing files.
    Edit,
    /// Reading; for anything else it asks a person, and waits for the answer.
    Ask,
    /// Reading, and there is nobody to ask for more.
    Plan,
}

/// What a task has of its type beside the fields that a submit may name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Preset {
    /// What a coding agent is told; `{prompt}` in it stands for what was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The most that the program may do without asking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<Permission>,
    /// Whether the work is only to be read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

impl Permission {
    /// All of them, the widest first.
    pub const ALL: [Self; 4] = [Self::Skip, Self::Edit, Self::Ask, Self::Plan];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Edit => "edit",
            Self::Ask => "ask",
            Self::Plan => "plan",
        }
    }

    /// Reads the word on the wire.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.as_str() == text)
    }

    /// The one of two that narrows more: none says nothing.
    #[must_use]
    pub fn narrower(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        one.max(other)
    }
}

impl Preset {
    /// Whether a text has a place for what was asked.
    #[must_use]
    pub fn takes(template: &str) -> bool {
        template.contains(ASKED)
    }

    /// What a coding agent is told.
    #[must_use]
    pub fn told(&self, asked: &str) -> String {
        match &self.prompt {
            Some(template) => template.replace(ASKED, asked),
            None => asked.to_owned(),
        }
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_is_told_the_template_around_what_was_asked() {
        let preset =
            Preset { prompt: Some("Review: {prompt}\n(again: {prompt})".into()), ..Preset::default() };
        assert_eq!(preset.told("a {prompt} b"), "Review: a {prompt} b\n(again: a {prompt} b)");
        assert_eq!(Preset::default().told("as it is"), "as it is");
    }

    #[test]
    fn what_narrows_most_is_the_greatest() {
        assert!(
            Permission::Skip < Permission::Edit
                && Permission::Edit < Permission::Ask
                && Permission::Ask < Permission::Plan
        );
    }
}
