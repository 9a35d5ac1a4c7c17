//! What was asked, as people may read it beside the run.

use std::collections::BTreeMap;

use conductor_protocol::agent::Assign;
use conductor_protocol::submit::{GitWorkspace, SubmitTask, Workspace};
use conductor_protocol::text;
use serde::Serialize;

/// What was asked, as people may read it: contents of files and values of variables are left out.
#[derive(Serialize)]
struct TaskJson<'a> {
    #[serde(with = "text::display")]
    id: conductor_core::TaskId,
    runner: &'a str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    task_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a [String]>,
    group: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u8>,
    timeout_seconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_turns: Option<u32>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    requires: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    git: Option<&'a GitWorkspace>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verify: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    input_files: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    env: Vec<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    secrets: &'a [String],
}

pub(super) fn task_json(assign: &Assign, body: &SubmitTask) -> String {
    let task = TaskJson {
        id: assign.task,
        runner: &assign.runner,
        task_type: body.task_type.as_deref(),
        name: body.name.as_deref(),
        prompt: body.prompt.as_deref(),
        command: body.command.as_deref(),
        group: &assign.group,
        priority: body.priority,
        timeout_seconds: assign.timeout_ms / 1_000,
        model: body.model.as_deref(),
        max_turns: body.max_turns,
        labels: &body.labels,
        requires: &body.requires,
        git: match &body.workspace {
            Some(Workspace::Git(git)) => Some(git),
            Some(Workspace::Copy(_) | Workspace::Continue(_) | Workspace::Push(_)) | None => None,
        },
        verify: body.verify.as_deref(),
        input_files: body.files.iter().map(|file| file.path.as_str()).collect(),
        env: body.env.keys().map(String::as_str).collect(),
        secrets: &body.secrets,
    };
    serde_json::to_string_pretty(&task).expect("the record has string keys alone")
}
