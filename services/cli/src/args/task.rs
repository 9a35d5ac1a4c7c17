//! What a task is and how it is to be run, as options of `run`, `submit` and `schedule add`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args as ClapArgs};
use conductor_core::TaskId;
use conductor_protocol::submit::{OnDependencyFailure, Permission};

use super::parse;

/// What a task is: a prompt or a command.
#[derive(Debug, Default, Clone, PartialEq, ClapArgs)]
pub struct Work {
    /// What to do, in words; - reads it from stdin.
    #[arg(value_name = "PROMPT")]
    pub prompt: Option<String>,
    /// A command and its words.
    #[arg(last = true, value_name = "CMD", conflicts_with = "prompt")]
    pub command: Vec<String>,
}

/// How a task is to be run.
#[derive(Debug, Default, Clone, PartialEq, ClapArgs)]
#[command(group = ArgGroup::new("repository").args(["git", "dir", "here"]).multiple(true))]
pub struct TaskOptions {
    /// Who does it: auto, claude, codex, gemini, command, mock or another that the configuration has.
    #[arg(long, help_heading = "Task")]
    pub runner: Option<String>,
    /// What kind of task it is.
    #[arg(long = "type", value_name = "TYPE", help_heading = "Task")]
    pub task_type: Option<String>,
    /// What it is called, for people.
    #[arg(long, help_heading = "Task")]
    pub name: Option<String>,
    /// The model of a coding agent.
    #[arg(long, help_heading = "Task")]
    pub model: Option<String>,
    /// How urgent it is, 10 first.
    #[arg(long, value_name = "0..10", help_heading = "Task", value_parser = clap::value_parser!(u8).range(0..=10))]
    pub priority: Option<u8>,
    /// How long an attempt may run.
    #[arg(long, value_name = "DURATION", help_heading = "Task", value_parser = parse::duration)]
    pub timeout: Option<Duration>,
    /// How long it may wait in the queue.
    #[arg(long, value_name = "DURATION", help_heading = "Task", value_parser = parse::duration)]
    pub queue_timeout: Option<Duration>,
    /// How many more attempts it has after the first failed.
    #[arg(long, value_name = "N", help_heading = "Task", value_parser = clap::value_parser!(u16).range(0..=99))]
    pub retries: Option<u16>,
    /// The pause after the first failed attempt; it doubles with each.
    #[arg(long, value_name = "DURATION", requires = "retries", help_heading = "Task", value_parser = parse::duration)]
    pub backoff: Option<Duration>,
    /// A file that lies in the work folder when it starts.
    #[arg(long, value_name = "PATH", help_heading = "Files")]
    pub file: Vec<PathBuf>,
    /// A folder whose copy is the work folder, with its history when it is a git repository; what .gitignore names stays
    /// behind.
    #[arg(long, value_name = "PATH", help_heading = "Files")]
    pub dir: Option<PathBuf>,
    /// The same with the current folder.
    #[arg(long, conflicts_with = "dir", help_heading = "Files")]
    pub here: bool,
    /// A folder of the agent's host whose copy is the work folder; `agent.copy_roots` lists those that may be copied.
    #[arg(long, value_name = "PATH", help_heading = "Files", conflicts_with_all = ["dir", "here", "continues", "git"])]
    pub copy: Option<String>,
    /// Sends the files of a git repository without its history.
    #[arg(long, conflicts_with_all = ["git", "push", "branch", "pr"], help_heading = "Files")]
    pub no_history: bool,
    /// A git repository that it works in, at a branch, a tag or a commit. Beside --dir or --here, where it is pushed to.
    #[arg(long, value_name = "URL[#REF]", help_heading = "Files", conflicts_with = "continues")]
    pub git: Option<String>,
    /// How many commits of its history are fetched; all when unset.
    #[arg(long, value_name = "N", requires = "git", help_heading = "Files")]
    pub git_depth: Option<u32>,
    /// Checks its submodules out too.
    #[arg(long, requires = "git", help_heading = "Files")]
    pub submodules: bool,
    /// Fetches its large files too, those of git-lfs.
    #[arg(long, requires = "git", help_heading = "Files")]
    pub lfs: bool,
    /// Pushes the changes to a branch.
    #[arg(long, requires = "repository", help_heading = "Files")]
    pub push: bool,
    /// The branch that is pushed; {id} stands for the task's id.
    #[arg(long, value_name = "NAME", requires = "repository", help_heading = "Files")]
    pub branch: Option<String>,
    /// Pushes the changes to a branch and opens a draft pull request.
    #[arg(long, requires = "repository", help_heading = "Files")]
    pub pr: bool,
    /// The title of the pull request.
    #[arg(long, value_name = "TEXT", requires = "pr", help_heading = "Files")]
    pub pr_title: Option<String>,
    /// The branch that it is to be merged into.
    #[arg(long, value_name = "NAME", requires = "pr", help_heading = "Files")]
    pub pr_base: Option<String>,
    /// Opens it ready for review, not as a draft.
    #[arg(long, requires = "pr", help_heading = "Files")]
    pub pr_ready: bool,
    /// A command that must succeed afterwards; a shell reads it.
    #[arg(long, value_name = "CMD", help_heading = "Task")]
    pub verify: Option<String>,
    /// Lets it submit tasks below itself while it runs.
    #[arg(long, help_heading = "Task")]
    pub may_submit: bool,
    /// A label.
    #[arg(long, value_name = "K=V", value_parser = parse::pair, help_heading = "Task")]
    pub label: Vec<(String, String)>,
    /// A label that the agent must have.
    #[arg(long, value_name = "LABEL", value_delimiter = ',', help_heading = "Task")]
    pub requires: Vec<String>,
    /// A task that must have succeeded first.
    #[arg(long, value_name = "ID", value_delimiter = ',', help_heading = "Task")]
    pub after: Vec<TaskId>,
    /// What becomes of it when one of those fails: cancel (the default) or run.
    #[arg(long, value_name = "cancel|run", value_parser = parse::on_dependency_failure, help_heading = "Task")]
    pub on_dependency_failure: Option<OnDependencyFailure>,
    /// Not before this time: RFC 3339, or a duration from now.
    #[arg(long, value_name = "TIME", value_parser = parse::future, help_heading = "Task")]
    pub at: Option<String>,
    /// A variable of its environment.
    #[arg(long, value_name = "K=V", value_parser = parse::pair, help_heading = "Task")]
    pub env: Vec<(String, String)>,
    /// A secret that the run gets as a variable of its name; may be repeated.
    #[arg(long, value_name = "NAME", help_heading = "Task")]
    pub secret: Vec<String>,
    /// What it and all below it may cost, in US dollars.
    #[arg(long, visible_alias = "budget-usd", value_name = "USD", help_heading = "Task")]
    pub budget: Option<f64>,
    /// The tokens that they may use.
    #[arg(long, value_name = "N", help_heading = "Task")]
    pub budget_tokens: Option<u64>,
    /// How many turns a coding agent may take.
    #[arg(long, value_name = "N", help_heading = "Task")]
    pub max_turns: Option<u32>,
    /// What a coding agent may do without asking a person; it is never more than its runner and its type allow.
    #[arg(long, value_name = "skip|edit|ask|plan", value_parser = parse::permission, help_heading = "Task")]
    pub permission: Option<Permission>,
    /// The same key and task give the same task, however often they are sent.
    #[arg(long, help_heading = "Task")]
    pub key: Option<String>,
    /// The group that it belongs to.
    #[arg(long, help_heading = "Task")]
    pub group: Option<String>,
    /// Whom to tell when it waits for a person and when it is over.
    #[arg(long, value_name = "URL", help_heading = "Task")]
    pub webhook: Option<String>,
    /// The secret that its messages are signed with.
    #[arg(long, value_name = "NAME", requires = "webhook", help_heading = "Task")]
    pub webhook_secret: Option<String>,
    /// A task that has ended, from whose work it starts.
    #[arg(long = "continue", value_name = "ID", help_heading = "Files")]
    pub continues: Option<TaskId>,
}
