//! Options of the commands about single tasks.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use conductor_core::TaskId;
use conductor_protocol::control::Sort;
use conductor_protocol::task::State;

use super::parse;

/// `list`
#[derive(Debug, ClapArgs)]
pub struct List {
    /// In one of these states.
    #[arg(long, value_name = "STATE", value_parser = parse::state, value_delimiter = ',')]
    pub state: Vec<State>,
    /// With this runner.
    #[arg(long)]
    pub runner: Option<String>,
    /// Of this group.
    #[arg(long)]
    pub group: Option<String>,
    /// With these labels.
    #[arg(long, value_name = "K=V", value_parser = parse::pair)]
    pub label: Vec<(String, String)>,
    /// Whose name holds this.
    #[arg(long)]
    pub name: Option<String>,
    /// Of this type.
    #[arg(long = "type")]
    pub task_type: Option<String>,
    /// Submitted by this token.
    #[arg(long)]
    pub created_by: Option<String>,
    /// That failed for this reason.
    #[arg(long, value_name = "REASON")]
    pub failure: Option<String>,
    /// Whose name, prompt or command holds this text.
    #[arg(long, value_name = "TEXT")]
    pub query: Option<String>,
    /// Created after this time.
    #[arg(long, value_name = "TIME", value_parser = parse::past)]
    pub after: Option<String>,
    /// Created before this time.
    #[arg(long, value_name = "TIME", value_parser = parse::past)]
    pub before: Option<String>,
    /// That cost at least this much.
    #[arg(long, value_name = "USD")]
    pub min_cost: Option<f64>,
    /// In what order.
    #[arg(long, default_value = "created", value_parser = parse::sort)]
    pub sort: Sort,
    /// How many at most.
    #[arg(long, short = 'n', default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Where an earlier list ended.
    #[arg(long)]
    pub cursor: Option<String>,
}

/// One task.
#[derive(Debug, ClapArgs)]
pub struct Id {
    /// The task.
    pub id: TaskId,
}

/// Some tasks.
#[derive(Debug, ClapArgs)]
pub struct Ids {
    /// The tasks.
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<TaskId>,
}

/// `wait`
#[derive(Debug, ClapArgs)]
pub struct Wait {
    /// The tasks.
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<TaskId>,
    /// How long at most; then it exits with 124.
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    pub timeout: Option<std::time::Duration>,
}

/// `logs`
#[derive(Debug, ClapArgs)]
pub struct Logs {
    /// The task.
    pub id: TaskId,
    /// Goes on until the task has ended.
    #[arg(long, short)]
    pub follow: bool,
    /// Which attempt; the latest when none is given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub attempt: Option<u32>,
    /// What the runner reported, one JSON document a line, in place of the output.
    #[arg(long)]
    pub events: bool,
}

/// `files`
#[derive(Debug, ClapArgs)]
pub struct Files {
    /// The task.
    pub id: TaskId,
    /// A file, relative to the work folder; its bytes are printed.
    pub path: Option<String>,
}

/// `diff`
#[derive(Debug, ClapArgs)]
pub struct Diff {
    /// The task.
    pub id: TaskId,
    /// Which attempt; the latest when none is given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub attempt: Option<u32>,
}

/// `apply`
#[derive(Debug, ClapArgs)]
pub struct Apply {
    /// The task.
    pub id: TaskId,
    /// Only says what would change.
    #[arg(long)]
    pub dry_run: bool,
    /// The folder to change.
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub to: PathBuf,
}

/// `compare`
#[derive(Debug, ClapArgs)]
pub struct Compare {
    /// A task.
    pub a: TaskId,
    /// Another.
    pub b: TaskId,
}

/// `cancel`
#[derive(Debug, ClapArgs)]
pub struct Cancel {
    /// The tasks.
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<TaskId>,
    /// Why, for people.
    #[arg(long)]
    pub reason: Option<String>,
}

/// `message`
#[derive(Debug, ClapArgs)]
pub struct Message {
    /// The task.
    pub id: TaskId,
    /// The prompt; - reads it from stdin.
    pub text: String,
}

/// `answer`
#[derive(Debug, ClapArgs)]
pub struct Answer {
    /// The task.
    pub id: TaskId,
    /// `allow`, `deny` or words; - reads words from stdin.
    #[arg(value_name = "allow|deny|TEXT")]
    pub answer: Option<String>,
}
