//! Options of the commands about the server.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use conductor_core::ScheduleId;
use conductor_protocol::control::{CatchUp, Overlap, Role};

use super::{TaskOptions, Work, parse};

/// `agents`
#[derive(Debug, ClapArgs)]
pub struct Agents {
    /// What to do with one.
    #[command(subcommand)]
    pub command: Option<AgentsCommand>,
}

/// What to do with an agent.
#[derive(Debug, Subcommand)]
pub enum AgentsCommand {
    /// Lets it end what it runs and take nothing new.
    Drain(Name),
    /// Lets it take tasks again.
    Resume(Name),
    /// Takes its tasks and its way in.
    Revoke(Name),
}

/// A name.
#[derive(Debug, ClapArgs)]
pub struct Name {
    /// Its name.
    pub name: String,
}

/// `schedule`
#[derive(Debug, Subcommand)]
pub enum ScheduleCommand {
    /// Adds a schedule.
    Add(Box<AddSchedule>),
    /// Lists the schedules.
    List,
    /// Removes schedules.
    Rm(ScheduleIds),
}

/// `schedule add`
#[derive(Debug, ClapArgs)]
pub struct AddSchedule {
    /// When: minute, hour, day of month, month, day of week.
    #[arg(long)]
    pub cron: String,
    /// In which time zone, such as Asia/Tokyo; UTC when none is given.
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,
    /// When the last task still lives: skip, queue or cancel.
    #[arg(long, default_value = "skip", value_parser = parse::overlap)]
    pub overlap: Overlap,
    /// For what was missed: none or one.
    #[arg(long, default_value = "none", value_parser = parse::catch_up)]
    pub catch_up: CatchUp,
    /// What the task is.
    #[command(flatten)]
    pub work: Work,
    /// How it is to be run.
    #[command(flatten)]
    pub options: TaskOptions,
}

/// Some schedules.
#[derive(Debug, ClapArgs)]
pub struct ScheduleIds {
    /// The schedules.
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<ScheduleId>,
}

/// `events`
#[derive(Debug, ClapArgs)]
pub struct Events {
    /// Goes on when all known are shown.
    #[arg(long, short)]
    pub follow: bool,
    /// The last event seen; without it all that are kept are shown, with -f only new ones.
    #[arg(long, value_name = "SEQ")]
    pub since: Option<u64>,
}

/// `audit`
#[derive(Debug, ClapArgs)]
pub struct Audit {
    /// What to do with it.
    #[command(subcommand)]
    pub command: Option<AuditCommand>,
    /// Entries before this one.
    #[arg(long, value_name = "SEQ")]
    pub before: Option<u64>,
    /// How many at most.
    #[arg(long, short = 'n', default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// What to do with the audit.
#[derive(Debug, Clone, Subcommand)]
pub enum AuditCommand {
    /// Checks that nothing was changed, taken out or put in.
    Verify {
        /// What an earlier check printed: the audit must still have that.
        #[arg(long, value_name = "SEQ:DIGEST")]
        head: Option<conductor_client::AuditHead>,
    },
}

/// `config`
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigCommand {
    /// Says what is wrong with the configuration.
    Check,
    /// Shows every value that holds and where it is written, secrets redacted.
    Show,
}

/// `token`
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Makes a token and prints its secret, this once.
    Create(CreateToken),
    /// Lists the tokens, without their secrets.
    List,
    /// Takes a token away, and every session that it opened.
    Revoke(Name),
    /// Prints the admin token.
    Show,
}

/// `token create`
#[derive(Debug, ClapArgs)]
pub struct CreateToken {
    /// What it is called.
    pub name: String,
    /// What it may do: viewer, operator, admin or agent.
    #[arg(long, default_value = "operator", value_parser = parse::role)]
    pub role: Role,
    /// A group that it reaches; all of them when none is given.
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// How long it lasts, such as 30d; for ever when not given.
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    pub expires: Option<Duration>,
}

/// `secret`
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Keeps the value that is read from stdin, in place of the one that was there.
    Set(SecretName),
    /// Lists the secrets, without their values.
    List,
    /// Removes one.
    Rm(SecretName),
}

/// The name of a secret.
#[derive(Debug, ClapArgs)]
pub struct SecretName {
    /// A letter, then letters, digits, _ and -; such as ANTHROPIC_API_KEY.
    #[arg(value_name = "NAME")]
    pub name: conductor_runtime::secrets::Name,
}

/// `gc`
#[derive(Debug, ClapArgs)]
pub struct Gc {
    /// Only says what would go.
    #[arg(long)]
    pub dry_run: bool,
}

/// `backup`
#[derive(Debug, ClapArgs)]
pub struct Backup {
    /// The file to write; - is stdout. One with the time in its name when none is given.
    pub file: Option<PathBuf>,
    /// Takes the admin token, the keys and the secrets of the config folder along.
    #[arg(long)]
    pub with_secrets: bool,
    /// Leaves the run folders and the sessions out.
    #[arg(long)]
    pub no_runs: bool,
}

/// `restore`
#[derive(Debug, ClapArgs)]
pub struct Restore {
    /// The backup; - is stdin.
    pub file: PathBuf,
    /// Replaces what this home holds.
    #[arg(long)]
    pub force: bool,
    /// Only reads the backup through and says whether it holds.
    #[arg(long)]
    pub check: bool,
}

/// `migrate`
#[derive(Debug, ClapArgs)]
pub struct Migrate {
    /// Where the event log is to be.
    pub to: EventLogPlace,
}

/// Where an event log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EventLogPlace {
    /// In a file of the state folder.
    Sqlite,
    /// In the Redis that redis.url names.
    Redis,
}

impl EventLogPlace {
    /// What it is called in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Redis => "redis",
        }
    }
}

/// `upgrade`
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum UpgradeCommand {
    /// Lets this release write its own formats. The release before cannot read the state from then on.
    Finalize,
}

/// `support-bundle`
#[derive(Debug, ClapArgs)]
pub struct SupportBundle {
    /// The file to write. One with the time in its name when none is given.
    pub file: Option<PathBuf>,
    /// Takes the prompts, messages and outputs of tasks that failed lately along.
    #[arg(long)]
    pub with_tasks: bool,
}

/// `completions`
#[derive(Debug, ClapArgs)]
pub struct Completions {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// `drill`
#[derive(Debug, ClapArgs)]
pub struct Drill {
    /// Instead, on the deployment as it is: tries ways out of the sandbox, and runs that take more than they may.
    #[arg(long)]
    pub security: bool,
    /// With --security, tries large limits too: it fills memory and disk up to them.
    #[arg(long, requires = "security")]
    pub all: bool,
    /// With --security, labels that the agent must have.
    #[arg(long, value_name = "LABEL", value_delimiter = ',', requires = "security")]
    pub requires: Vec<String>,
    /// How many tasks are submitted.
    #[arg(long, default_value_t = 200, conflicts_with = "security", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub tasks: u32,
    /// How many times something is killed meanwhile.
    #[arg(long, default_value_t = 10, conflicts_with = "security", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub kills: u32,
}
