//! A task as people submit it, and what is checked of it before it goes any further.

use std::collections::BTreeMap;
use std::fmt;

use conductor_core::TaskId;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::json;
use crate::problem::Problem;

mod check;
mod git;
mod preset;
#[cfg(feature = "schema")]
mod schema;

pub use check::{check, check_path, is_model};
pub use git::{GitWorkspace, PullRequest, Push};
pub use preset::{Permission, Preset};

/// A task to submit. The body of `POST /v1/tasks`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the fields are the contract's; docs/http.md and the contract tell them")]
pub struct SubmitTask {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub task_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<InputFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<Workspace>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_timeout_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_dependency_failure: Option<OnDependencyFailure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_at: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_usd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<Permission>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub may_submit: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<SubmitTask>, no_recursion))]
    pub subtasks: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// What its type adds; written by the orchestrator, refused of everybody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(ignore))]
    pub preset: Option<Box<Preset>>,
}

/// A file that the task finds in its work folder. Exactly one of the three sources is given.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct InputFile {
    /// Where, relative to the work folder.
    pub path: String,
    /// Its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Its bytes as base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// An upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<String>,
    /// Whether it may be executed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

/// What the work folder starts from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Workspace {
    /// A git repository.
    Git(Box<GitWorkspace>),
    /// A copy of a folder on the agent's host.
    Copy(String),
    /// A copy of the work of a terminal task.
    Continue(String),
    /// What a task of which the push failed had ready: it is pushed again, and nothing else is run.
    Push(String),
}

/// How often a task is tried.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// How many failed attempts end it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u16>,
    /// Pause after the first failed attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_seconds: Option<u64>,
}

/// What becomes of a task whose dependency failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnDependencyFailure {
    /// It ends as cancelled.
    Cancel,
    /// It runs all the same.
    Run,
}

/// Whom to tell about the end of the task.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where to.
    pub url: String,
    /// The secret it is signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// A task that must end first: by id, or by its `ref` in the same submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dependency {
    /// A task that was submitted before.
    Id(TaskId),
    /// A task of the same submit.
    Ref(String),
}

impl Serialize for Dependency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Id(id) => serializer.collect_str(id),
            Self::Ref(reference) => {
                use serde::ser::SerializeMap as _;
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("ref", reference)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Dependency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Dependency;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a task id or {\"ref\": ..}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Dependency, E> {
                text.parse().map(Dependency::Id).map_err(|_| E::custom(format!("{text:?} is not a task id")))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Dependency, A::Error> {
                let mut reference = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key != "ref" || reference.is_some() {
                        return Err(de::Error::unknown_field(&key, &["ref"]));
                    }
                    reference = Some(map.next_value()?);
                }
                reference.map(Dependency::Ref).ok_or_else(|| de::Error::missing_field("ref"))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl SubmitTask {
    /// Reads a task and says precisely what is wrong with it. The pointer of every fault begins with `at`.
    ///
    /// # Errors
    /// When the text is not JSON, a field is unknown or a value is of the wrong kind.
    pub fn parse(json: &str, at: &str) -> Result<Self, Problem> {
        json::read(json, at)
    }

    /// The most that it may do without a person, by itself and by its type: what narrows more holds.
    #[must_use]
    pub fn permitted(&self) -> Option<Permission> {
        Permission::narrower(self.preset.as_ref().and_then(|preset| preset.permission), self.permission)
    }
}
