//! What the tools take. Their schemas name no formats but those of JSON Schema: clients complain of others, some in every turn.

use std::collections::BTreeMap;

use conductor_core::{RequestId, TaskId};
use conductor_protocol::control::{self, AnswerBody, Filter, ListRequest};
use conductor_protocol::limits::MAX_PROMPT_BYTES;
use conductor_protocol::task::State;
use schemars::JsonSchema;
use schemars::transform::RestrictFormats;
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;

/// How long a wait lasts when nothing is said.
const WAIT_SECONDS: u64 = 30;
/// The longest wait: clients give a tool up after a minute when they are not told otherwise.
const MAX_WAIT_SECONDS: u64 = 50;
/// How many tasks a list has when nothing is said.
const PAGE: u32 = 20;
/// The most tasks in a list.
const MAX_PAGE: u32 = 100;

/// A task to submit: the fields of `POST /v1/tasks` that an agent has a use for.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = RestrictFormats::default())]
pub(super) struct Submit {
    /// What the coding agent is asked to do. It sees nothing of this conversation, so say everything it needs. Give prompt or command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    /// A program and its arguments, in place of a prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command: Option<Vec<String>>,
    /// Who runs it, such as auto, claude, codex, gemini or mock; auto when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    runner: Option<String>,
    /// The model, where the runner has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// The kind of task: generic, code_review, refactor, test_generation, analysis, or another that is configured.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    task_type: Option<String>,
    /// A short name, for people and lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The group that the task belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// Files that the task finds in its work folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    files: Option<Vec<File>>,
    /// What the work folder starts from: {"git": {"url": .., "ref": ..}}, {"copy": "/path"} or {"continue": "<id of a task that ended>"}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workspace: Option<BTreeMap<String, serde_json::Value>>,
    /// 0 to 10, 10 first; 5 when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 10))]
    priority: Option<u8>,
    /// How long an attempt may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout_seconds: Option<u64>,
    /// How often it is tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry: Option<Retry>,
    /// Labels, to find tasks by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    labels: Option<BTreeMap<String, String>>,
    /// Ids of tasks that must succeed first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    depends_on: Option<Vec<String>>,
    /// A command that must succeed in the work folder for the task to count as succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verify: Option<Vec<String>>,
    /// The most turns of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_turns: Option<u32>,
    /// The most it may cost, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    budget_usd: Option<f64>,
    /// The most tokens it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    budget_tokens: Option<u64>,
    /// Makes a repeated submit the same: a second one with this key answers the first one's task.
    #[serde(default, skip_serializing)]
    key: Option<String>,
}

/// A file of text.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct File {
    /// Where, relative to the work folder.
    path: String,
    /// Its text.
    content: String,
}

/// How often a task is tried.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = RestrictFormats::default())]
struct Retry {
    /// How many failed attempts end it.
    max_attempts: u16,
}

impl Submit {
    /// The body as the orchestrator takes it, which checks it.
    pub(super) fn body(mut self) -> Result<control::Submit, String> {
        let key = self.key.take();
        if self.prompt.as_ref().is_some_and(|prompt| prompt.len() > MAX_PROMPT_BYTES) {
            return Err(format!("invalid_request: the prompt has more than {MAX_PROMPT_BYTES} bytes"));
        }
        let task = to_raw_value(&self).map_err(|error| format!("invalid_request: {error}"))?;
        Ok(control::Submit { tasks: vec![task], key })
    }
}

/// A wait for a task.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = RestrictFormats::default())]
pub(super) struct Wait {
    /// The task's id.
    pub(super) id: String,
    /// How long to wait at most: 0 to 50, 30 when not given.
    #[schemars(range(max = 50))]
    wait_seconds: Option<u64>,
}

impl Wait {
    /// How long to wait at most.
    pub(super) fn milliseconds(&self) -> u64 {
        self.wait_seconds.unwrap_or(WAIT_SECONDS).min(MAX_WAIT_SECONDS) * 1_000
    }
}

/// What a task printed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = RestrictFormats::default())]
pub(super) struct ReadOutput {
    /// The task's id.
    pub(super) id: String,
    /// Which attempt; the latest when not given.
    pub(super) attempt: Option<u32>,
    /// The byte to begin at, such as the next_offset of the call before. The end of the output when not given.
    pub(super) offset: Option<u64>,
    /// How many bytes at most: up to 65536, 16384 when not given.
    pub(super) max_bytes: Option<u32>,
}

/// What a task changed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = RestrictFormats::default())]
pub(super) struct Diff {
    /// The task's id.
    pub(super) id: String,
    /// Which attempt; the latest when not given.
    pub(super) attempt: Option<u32>,
    /// The byte to begin at; 0 when not given.
    pub(super) offset: Option<u64>,
    /// How many bytes at most: up to 65536, 16384 when not given.
    pub(super) max_bytes: Option<u32>,
}

/// What a task left.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = RestrictFormats::default())]
pub(super) struct Files {
    /// The task's id.
    pub(super) id: String,
    /// The file to read, relative to the work folder; the list of files when not given.
    pub(super) path: Option<String>,
    /// The byte of the file to begin at; 0 when not given.
    pub(super) offset: Option<u64>,
    /// How many bytes of the file at most: up to 65536, 16384 when not given.
    pub(super) max_bytes: Option<u32>,
}

/// Which tasks to list.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = RestrictFormats::default())]
pub(super) struct List {
    /// In one of these states: blocked, scheduled, queued, running, waiting, succeeded, failed, cancelled.
    state: Option<Vec<String>>,
    /// Of this group.
    group: Option<String>,
    /// Of this name.
    name: Option<String>,
    /// With all these labels, each as key:value.
    label: Option<Vec<String>>,
    /// With this text in name, prompt or command.
    q: Option<String>,
    /// The id of the task whose children are meant.
    parent: Option<String>,
    /// How many at most: 1 to 100, 20 when not given.
    #[schemars(range(min = 1, max = 100))]
    limit: Option<u32>,
    /// The next_cursor of the page before, with the same filter.
    cursor: Option<String>,
}

impl List {
    /// The same as the orchestrator is asked.
    pub(super) fn request(self) -> Result<ListRequest, String> {
        let state = |text: String| {
            State::parse(&text).ok_or_else(|| format!("invalid_request: {text:?} is not a state of a task"))
        };
        let filter = Filter {
            state: self.state.unwrap_or_default().into_iter().map(state).collect::<Result<_, _>>()?,
            group: self.group,
            name: self.name,
            label: self.label.unwrap_or_default(),
            q: self.q,
            parent: self.parent,
            ..Filter::default()
        };
        let limit = Some(self.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE));
        Ok(ListRequest { filter, limit, cursor: self.cursor, ..ListRequest::default() })
    }
}

/// The task to end.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cancel {
    /// The task's id.
    pub(super) id: String,
    /// Why, for people.
    pub(super) reason: Option<String>,
}

/// An answer to a task's question.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    /// The task's id.
    pub(super) id: String,
    /// The question's request_id; the one that waits when not given.
    request_id: Option<String>,
    /// allow or deny where a permission is asked for, else the words of the answer.
    answer: String,
}

impl Answer {
    /// The question that is meant.
    pub(super) fn request(&self) -> Result<Option<RequestId>, String> {
        let read = |text: &String| text.parse().map_err(|_| unknown("question", text));
        self.request_id.as_ref().map(read).transpose()
    }

    /// What is answered.
    pub(super) fn body(self) -> AnswerBody {
        match self.answer.as_str() {
            "allow" => AnswerBody::Allow,
            "deny" => AnswerBody::Deny,
            _ => AnswerBody::Text(self.answer),
        }
    }
}

/// Reads the id of a task.
pub(super) fn task(text: &str) -> Result<TaskId, String> {
    text.trim().parse().map_err(|_| unknown("task", text))
}

fn unknown(what: &str, text: &str) -> String {
    format!("not_found: {text:?} is not the id of a {what}; it is a UUID, as submit and list give it")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_submit_is_the_body_of_the_rest_interface() {
        let input = json!({
            "prompt": "x", "type": "refactor", "files": [{"path": "a", "content": "b"}], "priority": 7,
            "workspace": {"continue": "y"}, "retry": {"max_attempts": 2}, "labels": {"k": "v"}, "key": "once",
        });
        let submit: Submit = serde_json::from_value(input.clone()).expect("it is one");
        let body = submit.body().expect("it is taken");
        assert_eq!(body.key.as_deref(), Some("once"));
        let mut expected = input;
        expected.as_object_mut().expect("an object").remove("key");
        let sent: serde_json::Value = serde_json::from_str(body.tasks[0].get()).expect("JSON");
        assert_eq!(sent, expected, "nothing is added, and only the key goes beside it");
        conductor_protocol::submit::SubmitTask::parse(body.tasks[0].get(), "")
            .expect("the orchestrator reads it");
    }

    #[test]
    fn a_wait_ends_before_a_client_gives_it_up() {
        let wait = |seconds| Wait { id: String::new(), wait_seconds: seconds }.milliseconds();
        assert_eq!((wait(None), wait(Some(0)), wait(Some(u64::MAX))), (30_000, 0, 50_000));
    }

    #[test]
    fn a_list_is_never_longer_than_a_model_can_read() {
        let limit = |limit| List { limit, ..List::default() }.request().expect("a list").limit;
        assert_eq!((limit(None), limit(Some(0)), limit(Some(500))), (Some(20), Some(1), Some(100)));
        let wrong = List { state: Some(vec!["done".to_owned()]), ..List::default() };
        assert!(wrong.request().expect_err("no such state").contains("\"done\""));
    }
}
