//! From the command line to tasks: what is wrong with them is said before anything is sent.

mod ahead;
mod archive;
mod body;
mod files;
mod folder;
mod list;
mod repository;

use std::path::Path;

use conductor_protocol::control::{Submit, Submitted};
use conductor_protocol::limits::MAX_MESSAGE_BYTES;
use conductor_protocol::submit::SubmitTask;
use serde_json::value::RawValue;

use crate::args::{self, TaskOptions, Work};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::screen::bytes;
use crate::server::{Need, Server};

use ahead::Ahead;
pub use body::read_stdin;

/// What the request around the tasks may take.
const ENVELOPE_BYTES: usize = 4 << 10;

/// A task as the command line describes it.
#[derive(Debug)]
pub struct Prepared {
    /// The task; what goes ahead of it has no upload yet.
    task: SubmitTask,
    /// What goes ahead of it.
    ahead: Vec<Ahead>,
    /// What the person should know about it, one line each.
    pub notes: Vec<String>,
}

/// Makes the task that the command line describes.
///
/// # Errors
/// Says what is wrong with it.
pub fn prepare(work: &Work, options: &TaskOptions) -> Result<Prepared, Failure> {
    let mut notes = Vec::new();
    let (task, ahead) = body::task(work, options, &mut notes)?;
    let prepared = Prepared { task, ahead, notes };
    prepared.written()?;
    Ok(prepared)
}

impl Prepared {
    fn written(&self) -> Result<Box<RawValue>, Failure> {
        let body = body::checked(&self.task)?;
        fits(body.get().len())?;
        Ok(body)
    }

    /// Whether files go ahead of it.
    pub fn has_uploads(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Sends what goes ahead of the task, and gives the task ready to be sent.
    ///
    /// # Errors
    /// When the server refuses what goes ahead.
    pub async fn send_ahead(
        &mut self,
        context: &mut Context<'_>,
        server: &mut Server,
    ) -> Result<Box<RawValue>, Failure> {
        ahead::send(context, &mut server.link, &mut self.task, &mut self.ahead).await?;
        self.written()
    }
}

/// `submit`
pub async fn run(context: &mut Context<'_>, args: &args::Submit) -> Result<Exit, Failure> {
    let (mut server, tasks) = match &args.from {
        Some(path) => {
            let tasks = from_file(path, &args.options)?;
            (Server::find(context, Need::Work).await?, tasks)
        }
        None => {
            let mut prepared = prepare(&args.work, &args.options)?;
            for note in &prepared.notes {
                context.screen.note(note);
            }
            let mut server = Server::find(context, Need::Work).await?;
            let sent = prepared.send_ahead(context, &mut server).await;
            match sent {
                Ok(task) => (server, vec![task]),
                Err(failure) => {
                    server.close_at_once().await;
                    return Err(failure);
                }
            }
        }
    };
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
    fits(tasks.iter().map(|task| task.get().len() + 1).sum())?;
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

fn fits(length: usize) -> Result<(), Failure> {
    let most = MAX_MESSAGE_BYTES - ENVELOPE_BYTES;
    if length <= most {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "the request has {} as JSON, more than the {} that a request may have",
        bytes(length as u64),
        bytes(most as u64)
    )))
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
        let value: serde_json::Value = serde_json::from_str(prepared.written().unwrap().get()).unwrap();
        assert_eq!(value["retry"]["max_attempts"], 3);
        assert_eq!(value["timeout_seconds"], 2, "a part of a second counts as one");
        assert_eq!(value["requires"][0], "gpu");
        assert_eq!(value["labels"]["team"], "x");
    }

    #[test]
    fn with_a_list_the_options_belong_into_it() {
        let options = TaskOptions { priority: Some(1), ..TaskOptions::default() };
        let error = from_file(Path::new("tasks.json"), &options).unwrap_err();
        assert!(matches!(&error, Failure::Usage(text) if text.contains("--key")), "{error:?}");
    }
}
