//! How tasks begin that have no name: lists do not carry prompts and commands, which may be large.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use conductor_core::TaskId;
use conductor_protocol::task::TaskView;
use futures_util::stream::{self, StreamExt as _};

use crate::control::Control;

/// The most tasks that are known; then all are forgotten, and asked for anew.
const MAX_KNOWN: usize = 20_000;
/// The most tasks that are asked for at the same time.
const MAX_ASKED: usize = 16;
/// The most characters that are kept of a prompt's first line, or of a command.
const MAX_CHARS: usize = 200;
/// The most words that are kept of a command.
const MAX_WORDS: usize = 16;

/// How tasks begin. That never changes, and is only looked up for tasks that the caller was shown.
#[derive(Debug, Default)]
pub struct Beginnings {
    known: Mutex<HashMap<TaskId, Beginning>>,
}

#[derive(Debug, Clone)]
struct Beginning {
    prompt: Option<String>,
    command: Option<Vec<String>>,
}

impl Beginnings {
    /// Gives the tasks of a list that have no name the first line of their prompt, or the beginning of their command.
    /// One that is gone by now stays as it is.
    pub async fn add(&self, control: &Control, tasks: &mut [TaskView]) {
        let missing: Vec<TaskId> = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let unnamed = tasks.iter().filter(|task| is_unnamed(task)).map(|task| task.id);
            unnamed.filter(|id| !known.contains_key(id)).collect()
        };
        let asked = stream::iter(missing).map(async |id| {
            let task = control.get(id).await.ok()?;
            Some((id, Beginning::of(task.prompt.as_deref(), task.command.as_deref())))
        });
        let found: Vec<_> = asked.buffer_unordered(MAX_ASKED).collect().await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() + found.len() > MAX_KNOWN {
            known.clear();
        }
        known.extend(found.into_iter().flatten());
        for task in tasks.iter_mut().filter(|task| is_unnamed(task)) {
            if let Some(beginning) = known.get(&task.id).cloned() {
                (task.prompt, task.command) = (beginning.prompt, beginning.command);
            }
        }
    }
}

fn is_unnamed(task: &TaskView) -> bool {
    task.name.is_none() && task.prompt.is_none() && task.command.is_none()
}

impl Beginning {
    fn of(prompt: Option<&str>, command: Option<&[String]>) -> Self {
        let first_line = |prompt: &str| {
            let line = prompt.lines().map(str::trim).find(|line| !line.is_empty());
            cut(line.unwrap_or_default(), MAX_CHARS)
        };
        let words = |command: &[String]| {
            let mut left = MAX_CHARS;
            let kept = command.iter().take(MAX_WORDS).map_while(|word| {
                let word = (left > 0).then(|| cut(word, left))?;
                left -= word.chars().count();
                Some(word)
            });
            kept.collect()
        };
        Self { prompt: prompt.map(first_line), command: command.map(words) }
    }
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_kept_of_a_prompt_or_command_however_large_it_is() {
        let prompt = format!("\n  \n  First \n{}", "x".repeat(1 << 20));
        let kept = Beginning::of(Some(&prompt), None);
        assert_eq!((kept.prompt.as_deref(), kept.command), (Some("First"), None));
        let kept = Beginning::of(Some(&"é".repeat(1_000)), None).prompt.unwrap();
        assert_eq!(kept.chars().count(), MAX_CHARS);
        let command = ["sh".to_owned(), "-c".to_owned(), "é".repeat(1_000), "more".to_owned()];
        let kept = Beginning::of(None, Some(&command)).command.unwrap();
        assert_eq!((kept.len(), kept[2].chars().count()), (3, MAX_CHARS - 4));
        assert_eq!(Beginning::of(None, Some(&vec![String::new(); 1_000])).command.unwrap().len(), MAX_WORDS);
    }
}
