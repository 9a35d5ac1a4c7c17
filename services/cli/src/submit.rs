//! From the command line to tasks: what is wrong with them is said before anything is sent.

mod body;
mod files;
mod folder;
mod list;

use std::path::Path;

use conductor_protocol::control::{Submit, Submitted};
use conductor_protocol::limits::MAX_MESSAGE_BYTES;
use serde_json::value::RawValue;

use crate::args::{self, TaskOptions, Work};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::screen::bytes;
use crate::server::{Need, Server};

pub use body::read_stdin;

/// What the request around the tasks may take.
const ENVELOPE_BYTES: usize = 4 << 10;

/// A task as the command line describes it, ready to be sent.
#[derive(Debug)]
pub struct Prepared {
    /// The task.
    pub body: Box<RawValue>,
    /// What the person should know about it, one line each.
    pub notes: Vec<String>,
    /// Whether it is a command, which runs unsandboxed.
    pub is_command: bool,
}

/// Makes the task that the command line describes.
///
/// # Errors
/// Says what is wrong with it.
pub fn prepare(work: &Work, options: &TaskOptions) -> Result<Prepared, Failure> {
    let mut notes = Vec::new();
    let task = body::task(work, options, &mut notes)?;
    let is_command = task.command.is_some();
    let body = body::checked(&task)?;
    fits(body.get().len(), || folder::what_is_large(&task.files))?;
    Ok(Prepared { body, notes, is_command })
}

/// `submit`
pub async fn run(context: &mut Context<'_>, args: &args::Submit) -> Result<Exit, Failure> {
    let (tasks, notes) = match &args.from {
        Some(path) => (from_file(path, &args.options)?, Vec::new()),
        None => {
            let prepared = prepare(&args.work, &args.options)?;
            (vec![prepared.body], prepared.notes)
        }
    };
    for note in notes {
        context.screen.note(note);
    }
    let mut server = Server::find(context, Need::Work).await?;
    let submitted = server.submit(context, Submit { tasks, key: args.options.key.clone() }).await?;
    print(context, &submitted)?;
    server.close(context, &submitted.ids).await?;
    Ok(Exit::Succeeded)
}

fn from_file(path: &Path, options: &TaskOptions) -> Result<Vec<Box<RawValue>>, Failure> {
    if *options != (TaskOptions { key: options.key.clone(), ..TaskOptions::default() }) {
        let detail = "with -f every option but --key belongs into the file";
        return Err(Failure::Usage(detail.to_owned()));
    }
    let tasks = list::read(path)?;
    fits(tasks.iter().map(|task| task.get().len() + 1).sum(), Vec::new)?;
    Ok(tasks)
}

/// Prints the ids of new tasks.
pub fn print(context: &mut Context<'_>, submitted: &Submitted) -> Result<(), Failure> {
    if submitted.repeated {
        context.screen.note("the same was submitted before under this key; nothing new was made");
    }
    if context.screen.is_json() {
        return context.screen.json(submitted);
    }
    submitted.ids.iter().try_for_each(|id| context.screen.line(id.to_string()))
}

fn fits(length: usize, largest: impl Fn() -> Vec<String>) -> Result<(), Failure> {
    let most = MAX_MESSAGE_BYTES - ENVELOPE_BYTES;
    if length <= most {
        return Ok(());
    }
    let mut text = format!(
        "the request has {} as JSON, more than the {} that a request may have",
        bytes(length as u64),
        bytes(most as u64)
    );
    for line in largest() {
        text.push_str("\n  ");
        text.push_str(&line);
    }
    Err(Failure::Usage(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(prompt: &str) -> Work {
        Work { prompt: Some(prompt.to_owned()), command: Vec::new() }
    }

    #[test]
    fn what_is_wrong_is_said_before_anything_is_sent() {
        let refused = |work: &Work, options: &TaskOptions| prepare(work, options).unwrap_err().to_string();
        let plain = TaskOptions::default();
        assert!(refused(&work("  \n"), &plain).contains("prompt is empty"));
        assert!(refused(&Work::default(), &plain).contains("PROMPT"));
        assert!(refused(&work(&"x".repeat(10 << 20)), &plain).contains("as a file"));
        let command = Work { prompt: None, command: vec![String::new()] };
        assert!(refused(&command, &plain).contains("command is empty"));
        let options = TaskOptions { env: vec![("LD_PRELOAD".into(), "x".into())], ..plain.clone() };
        assert!(refused(&work("x"), &options).contains("LD_PRELOAD"));
        let options =
            TaskOptions { label: vec![("a".into(), "1".into()), ("a".into(), "2".into())], ..plain };
        assert!(refused(&work("x"), &options).contains("given twice"));
    }

    #[test]
    fn options_become_the_fields_of_the_task() {
        let options = TaskOptions {
            retries: Some(2),
            timeout: Some(std::time::Duration::from_millis(1_500)),
            requires: vec!["gpu".into()],
            label: vec![("team".into(), "x".into())],
            ..TaskOptions::default()
        };
        let prepared = prepare(&work("do it"), &options).unwrap();
        let value: serde_json::Value = serde_json::from_str(prepared.body.get()).unwrap();
        assert_eq!(value["retry"]["max_attempts"], 3);
        assert_eq!(value["timeout_seconds"], 2, "a part of a second counts as one");
        assert_eq!(value["requires"][0], "gpu");
        assert_eq!(value["labels"]["team"], "x");
        assert!(!prepared.is_command);
    }

    #[test]
    fn with_a_list_the_options_belong_into_it() {
        let options = TaskOptions { priority: Some(1), ..TaskOptions::default() };
        let error = from_file(Path::new("tasks.json"), &options).unwrap_err();
        assert!(matches!(&error, Failure::Usage(text) if text.contains("--key")), "{error:?}");
    }
}
