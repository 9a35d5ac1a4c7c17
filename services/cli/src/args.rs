//! The command line, as people write it.

mod parse;
mod server;
mod task;
mod tasks;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

pub use server::*;
pub use task::{TaskOptions, Work};
pub use tasks::*;

/// A task queue for coding agents.
#[derive(Debug, Parser)]
#[command(name = "conductor", version, arg_required_else_help = true, after_help = AFTER_HELP)]
pub struct Args {
    /// How results are printed: for people, or as one JSON document (one a line where it streams).
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
    /// Prints no progress.
    #[arg(long, short, global = true, help_heading = EVERYWHERE)]
    pub quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes, apart from its own options.
const EVERYWHERE: &str = "Global options";

const AFTER_HELP: &str = "\
Begin with: conductor run \"Say hello\"
Exit codes: 0 succeeded, 1 failed, 2 usage, 3 not reachable, 4 refused, 124 timed out, 130 cancelled.
Where things are: CONDUCTOR_HOME, else ~/.claude-conductor.
A server elsewhere: CONDUCTOR_URL, with the token in CONDUCTOR_TOKEN.";

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Starts everything on this machine, until Ctrl-C.
    Up(Up),
    /// Submits a task, shows its output as it comes, and exits with its outcome.
    Run(Run),
    /// Submits tasks and prints their ids.
    Submit(Submit),
    /// Lists tasks, newest first.
    List(List),
    /// Shows one task with its attempts, result and usage.
    Get(Id),
    /// Waits until tasks have ended; exits with the outcome of the first that did not succeed.
    Wait(Wait),
    /// Prints a task's output.
    Logs(Logs),
    /// Lists what a task left, or prints one file of it.
    Files(Files),
    /// Prints what a task changed in its work folder.
    Diff(Diff),
    /// Brings what a task changed into the current folder; refuses on conflict.
    Apply(Apply),
    /// Compares two tasks: their outcomes, their files and what they changed.
    Compare(Compare),
    /// Ends tasks, and all below them.
    Cancel(Cancel),
    /// Repeats a task that has ended, as a new one.
    Retry(Id),
    /// Deletes the records and folders of tasks that have ended.
    Rm(Ids),
    /// Keeps runs whatever their age.
    Pin(Ids),
    /// Lets pinned runs go with time again.
    Unpin(Ids),
    /// Tells a running task something, or goes on from one that has ended, as a new task.
    Message(Message),
    /// Answers a task's question; without an answer, shows it.
    Answer(Answer),
    /// Shows the agents, or drains, resumes or revokes one.
    Agents(Agents),
    /// Lets no further task start.
    Pause,
    /// Lets tasks start again.
    Resume,
    /// Shows what was done lately.
    Stats,
    /// Shows how the orchestrator is.
    Status,
    /// Shows what goes on, refreshed every second.
    Top,
    /// Submits tasks at set times.
    #[command(subcommand)]
    Schedule(ScheduleCommand),
    /// Shows every change of state.
    Events(Events),
    /// Shows who did what.
    Audit(Audit),
    /// Runs an agent: it takes tasks from an orchestrator and runs them on this machine.
    Agent(conductor_agent::Args),
    /// Checks or shows the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Shows and keeps tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Keeps secrets for runners and webhooks, on this machine.
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Says what is installed, reachable and writable, what is wrong, and what to do.
    Doctor,
    /// Deletes what retention says.
    Gc(Gc),
    /// Serves MCP on stdin and stdout, so that a coding agent can hand work to others.
    Mcp,
    /// Kills an orchestrator and its agents under load, in a home of its own, and looks whether a task was lost or done twice.
    Drill(Drill),
    /// Copies log, history, configuration and runs to one file, while everything goes on.
    Backup(Backup),
    /// Makes a home from a backup.
    Restore(Restore),
    /// Moves the event log to another storage, while no orchestrator runs.
    Migrate(Migrate),
    /// Ends an upgrade, after which there is no way back to the release before.
    #[command(subcommand)]
    Upgrade(UpgradeCommand),
    /// Collects what helps to find a fault, without prompts, outputs and secrets.
    SupportBundle(SupportBundle),
    /// Prints completions for a shell.
    Completions(Completions),
    /// Exits with 0 when an orchestrator serves.
    Healthcheck {
        /// How long to wait for an orchestrator that is not there yet
        #[arg(long, value_name = "TIME", value_parser = parse::duration)]
        wait: Option<std::time::Duration>,
    },
    /// Stops supervisord when it gives a program up; the event listener of the image.
    #[command(hide = true)]
    SuperviseEvents,
}

/// `up`
#[derive(Debug, ClapArgs)]
pub struct Up {
    /// How many agents to run.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(0..=64))]
    pub agents: u16,
    /// Makes a systemd user unit of it, and starts that.
    #[arg(long)]
    pub install: bool,
    /// Takes the systemd user unit away.
    #[arg(long, conflicts_with = "install")]
    pub uninstall: bool,
}

/// `run`
#[derive(Debug, ClapArgs)]
pub struct Run {
    /// What the task is.
    #[command(flatten)]
    pub work: Work,
    /// How it is to be run.
    #[command(flatten)]
    pub options: TaskOptions,
}

/// `submit`
#[derive(Debug, ClapArgs)]
pub struct Submit {
    /// A file with tasks: .yaml, .json or .ndjson; - reads stdin.
    #[arg(long = "from", short = 'f', value_name = "TASKS", conflicts_with_all = ["prompt", "command"])]
    pub from: Option<PathBuf>,
    /// What the task is.
    #[command(flatten)]
    pub work: Work,
    /// How it is to be run.
    #[command(flatten)]
    pub options: TaskOptions,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(["conductor"].iter().chain(line))
    }

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_follows_two_dashes_is_the_command_with_its_own_options() {
        let args = parse(&["run", "--priority", "9", "--", "sh", "-c", "echo --output json"]).unwrap();
        let Command::Run(run) = args.command else { panic!("not a run") };
        assert_eq!(run.work.command, ["sh", "-c", "echo --output json"]);
        assert_eq!((run.work.prompt, run.options.priority), (None, Some(9)));
        assert_eq!(args.output, Format::Text);
    }

    #[test]
    fn options_that_repeat_take_one_value_each_and_leave_the_prompt_alone() {
        let args = parse(&["run", "--file", "a", "--file", "b", "--label", "k=v=w", "fix it"]).unwrap();
        let Command::Run(run) = args.command else { panic!("not a run") };
        assert_eq!(run.work.prompt.as_deref(), Some("fix it"));
        assert_eq!(run.options.file.len(), 2);
        assert_eq!(run.options.label, [("k".to_owned(), "v=w".to_owned())]);
    }

    #[test]
    fn the_format_may_stand_anywhere_before_the_command_of_the_task() {
        for line in [&["--output", "json", "list"][..], &["list", "--output", "json"]] {
            assert_eq!(parse(line).unwrap().output, Format::Json);
        }
    }

    #[test]
    fn bad_values_are_usage_errors_that_name_what_is_wrong() {
        for (line, part) in [
            (&["run", "--timeout", "90", "x"][..], "no unit"),
            (&["run", "--timeout", "0s", "x"], "more than"),
            (&["run", "--priority", "11", "x"], "11"),
            (&["run", "--label", "x", "y"], "K=V"),
            (&["run", "--at", "soon", "x"], "RFC 3339"),
            (&["get", "123"], "UUID"),
            (&["list", "--state", "done"], "succeeded"),
            (&["run", "x", "y"], "unexpected"),
            (&["run", "--here", "--dir", "a", "x"], "cannot be used"),
            (&["up", "--agents", "65"], "65"),
        ] {
            let error = parse(line).err().unwrap_or_else(|| panic!("{line:?} was taken"));
            assert_eq!(error.exit_code(), 2, "{line:?}");
            assert!(error.to_string().contains(part), "{line:?}: {error}");
        }
    }
}
