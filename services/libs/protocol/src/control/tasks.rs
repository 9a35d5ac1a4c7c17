//! Calls on tasks, and their answers.

use conductor_core::{RequestId, TaskId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::problem::Problem;
use crate::text;

/// Names a task.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Id {
    /// The task.
    #[serde(with = "text::display")]
    pub id: TaskId,
}

/// Tasks to accept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Submit {
    /// Each a [`crate::submit::SubmitTask`].
    pub tasks: Vec<Box<RawValue>>,
    /// The idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// The tasks that were accepted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Submitted {
    /// In the order asked; subtasks are not among them.
    #[serde(with = "text::display_list")]
    pub ids: Vec<TaskId>,
    /// Whether they were there before: the same key had brought them, or a message was said to a task that runs.
    #[serde(default)]
    pub repeated: bool,
}

/// What became of one of several submits that came together.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its tasks were accepted.
    Accepted(Submitted),
    /// None of its tasks was accepted.
    Refused(Problem),
    /// Nothing was done about it: it has to come by itself, because the others would wait for what it asks for.
    Alone,
}

/// Wait for a task.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Wait {
    /// The task.
    #[serde(with = "text::display")]
    pub id: TaskId,
    /// How long at most; bounded by the orchestrator.
    pub timeout_ms: u64,
}

/// End a task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cancel {
    /// The task.
    #[serde(with = "text::display")]
    pub id: TaskId,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The tasks that something was done to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Affected {
    /// The tasks.
    #[serde(with = "text::display_list")]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<uuid::Uuid>))]
    pub ids: Vec<TaskId>,
}

/// Nothing further to say.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Done {}

/// A next prompt for a task that runs or is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Message {
    /// The task.
    #[serde(with = "text::display")]
    pub id: TaskId,
    /// The prompt.
    pub text: String,
}

/// An answer to a question.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AnswerCall {
    /// The task.
    #[serde(with = "text::display")]
    pub id: TaskId,
    /// The question; the one that waits when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::optional_display")]
    pub request_id: Option<RequestId>,
    /// The answer.
    pub answer: AnswerBody,
}

/// An answer of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AnswerBody {
    /// The tool may be used.
    Allow,
    /// The tool may not be used.
    Deny,
    /// Words.
    Text(String),
}
