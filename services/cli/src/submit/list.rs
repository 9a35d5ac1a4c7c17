//! Files with many tasks: YAML, JSON, or one JSON document a line.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use conductor_protocol::limits::{MAX_BATCH_TASKS, MAX_MESSAGE_BYTES};
use conductor_protocol::submit::{SubmitTask, check};
use serde_json::value::{RawValue, to_raw_value};

use crate::exit::Failure;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Yaml,
    Json,
    Lines,
}

/// Reads and checks the tasks of a file.
pub fn read(path: &Path) -> Result<Vec<Box<RawValue>>, Failure> {
    let name = path.display().to_string();
    let usage = |why: String| Failure::Usage(format!("{name}: {why}"));
    let mut bytes = Vec::new();
    let most = MAX_MESSAGE_BYTES as u64;
    let result = if path == Path::new("-") {
        io::stdin().lock().take(most + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
    };
    result.map_err(|error| usage(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > most {
        return Err(usage(format!("has more than the {most} bytes that a request may have")));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        usage(format!("is not UTF-8: byte {} does not fit", error.utf8_error().valid_up_to()))
    })?;
    let tasks = parse(&text, kind(path, &text)).map_err(usage)?;
    if tasks.is_empty() {
        return Err(usage("holds no task".to_owned()));
    }
    if tasks.len() > MAX_BATCH_TASKS {
        let detail = format!("holds {} tasks, at most {MAX_BATCH_TASKS} are taken together", tasks.len());
        return Err(usage(detail));
    }
    for (index, task) in tasks.iter().enumerate() {
        let at = format!("/{index}");
        let task = SubmitTask::parse(task.get(), &at).map_err(|problem| usage(problem.detail))?;
        check(&task, &at).map_err(|problem| usage(problem.detail))?;
    }
    Ok(tasks)
}

fn kind(path: &Path, text: &str) -> Kind {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => Kind::Json,
        Some("ndjson" | "jsonl") => Kind::Lines,
        Some("yaml" | "yml") => Kind::Yaml,
        Some(_) | None => match text.trim_start().as_bytes().first() {
            Some(b'[') => Kind::Json,
            Some(b'{') if serde_json::from_str::<&RawValue>(text).is_ok() => Kind::Json,
            Some(b'{') => Kind::Lines,
            Some(_) | None => Kind::Yaml,
        },
    }
}

fn parse(text: &str, kind: Kind) -> Result<Vec<Box<RawValue>>, String> {
    match kind {
        Kind::Json => {
            let value = serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
            tasks(value)
        }
        Kind::Yaml => {
            let value = serde_norway::from_str(text).map_err(|error| format!("is not YAML: {error}"))?;
            tasks(value)
        }
        Kind::Lines => text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(index, line)| {
                serde_json::from_str(line)
                    .map_err(|error| format!("line {}: is not JSON: {error}", index + 1))
            })
            .collect(),
    }
}

/// A list of tasks, `{"tasks": [..]}`, or one task.
fn tasks(value: serde_json::Value) -> Result<Vec<Box<RawValue>>, String> {
    let list = match value {
        serde_json::Value::Array(list) => list,
        serde_json::Value::Object(mut map) => match map.remove("tasks") {
            Some(serde_json::Value::Array(list)) if map.is_empty() => list,
            Some(serde_json::Value::Array(_)) => return Err("beside \"tasks\" nothing may stand".to_owned()),
            Some(_) => return Err("\"tasks\" is no list".to_owned()),
            None => vec![serde_json::Value::Object(map)],
        },
        _ => return Err("holds neither a task nor a list of tasks".to_owned()),
    };
    list.iter().map(|task| to_raw_value(task).map_err(|error| error.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(name: &str, text: &str) -> Result<Vec<Box<RawValue>>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        read(&path).map_err(|failure| failure.to_string())
    }

    #[test]
    fn every_form_gives_the_same_tasks() {
        for (name, text) in [
            ("a.json", r#"[{"prompt":"x","priority":7},{"prompt":"y"}]"#),
            ("a.json", r#"{"tasks":[{"prompt":"x","priority":7},{"prompt":"y"}]}"#),
            ("a.ndjson", "{\"prompt\":\"x\",\"priority\":7}\n\n{\"prompt\":\"y\"}\n"),
            ("a.yaml", "- prompt: x\n  priority: 7\n- prompt: y\n"),
            ("plain", "{\"prompt\":\"x\",\"priority\":7}\n{\"prompt\":\"y\"}"),
        ] {
            let tasks = read_as(name, text).unwrap();
            let first: serde_json::Value = serde_json::from_str(tasks[0].get()).unwrap();
            assert_eq!((tasks.len(), &first["priority"]), (2, &7.into()), "{name}: {text}");
        }
        assert_eq!(read_as("one.json", r#"{"prompt":"x"}"#).unwrap().len(), 1);
    }

    #[test]
    fn faults_are_named_by_file_and_place() {
        for (name, text, part) in [
            ("a.json", "[{\"prompt\":\"x\"},{\"promt\":\"y\"}]", "/1/promt"),
            ("a.json", "{", "not JSON"),
            ("a.ndjson", "{\"prompt\":\"x\"}\n{", "line 2"),
            ("a.yaml", "- prompt: x\n  timeout_seconds: 0\n", "/0/timeout_seconds"),
            ("a.yaml", "- prompt: [", "not YAML"),
            ("a.json", "[]", "no task"),
            ("a.json", "3", "neither"),
            ("a.json", r#"{"tasks":[],"x":1}"#, "nothing may stand"),
            ("a.json", r#"[{"prompt":"x","budget_usd":0}]"#, "budget_usd"),
        ] {
            let error = read_as(name, text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let many = format!("[{}]", vec![r#"{"prompt":"x"}"#; 1_001].join(","));
        assert!(read_as("a.json", &many).unwrap_err().contains("1001 tasks"));
    }
}
