//! The arguments of the agent, for its own program and for `conductor agent`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args as _;
use clap::{FromArgMatches as _, Parser};

/// Runs an agent: it takes tasks from an orchestrator and runs them on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct Args {
    /// The agent socket of the orchestrator; unset, the one of the home.
    #[arg(long, value_name = "SOCKET")]
    pub connect: Option<String>,
    /// The agent's name, unique among agents; unset, the host's.
    #[arg(long)]
    pub name: Option<String>,
    /// How many tasks run at the same time; unset, the number of cores, at least 2.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4_096))]
    pub slots: Option<u32>,
    /// A label that tasks may require; may be given several times.
    #[arg(long = "label", value_name = "LABEL")]
    pub labels: Vec<String>,
    /// The configuration file instead of the one in the config folder.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What is logged to the console, where that is another thing than to the files.
    #[arg(long, value_name = "FILTER", hide = true)]
    pub console_level: Option<String>,
    /// Ends the agent when standard input ends.
    #[arg(long, hide = true)]
    pub parent_pipe: bool,
}

#[derive(Parser)]
#[command(name = "conductor-agent", version, about)]
struct Program {
    #[command(flatten)]
    args: Args,
}

impl Args {
    /// Reads the arguments of the program, its name first. Faults and `--help` end the process.
    pub fn from_program(args: impl IntoIterator<Item = OsString>) -> Self {
        Program::parse_from(args).args
    }

    /// Reads what [`Args::to_vec`] wrote.
    ///
    /// # Errors
    /// When something else is among it.
    pub fn from_vec(args: &[OsString]) -> Result<Self, clap::Error> {
        let command = Self::augment_args(clap::Command::new("conductor-agent").no_binary_name(true));
        Self::from_arg_matches(&command.try_get_matches_from(args)?)
    }

    /// Writes the arguments, so that another process of this program reads the same.
    #[must_use]
    pub fn to_vec(&self) -> Vec<OsString> {
        let Self { connect, name, slots, labels, config, console_level, parent_pipe } = self;
        let mut args = Vec::new();
        let mut add = |flag: &str, value: OsString| {
            let mut arg = OsString::from(format!("--{flag}="));
            arg.push(value);
            args.push(arg);
        };
        connect.iter().for_each(|value| add("connect", value.into()));
        name.iter().for_each(|value| add("name", value.into()));
        slots.iter().for_each(|value| add("slots", value.to_string().into()));
        labels.iter().for_each(|value| add("label", value.into()));
        config.iter().for_each(|value| add("config", value.into()));
        console_level.iter().for_each(|value| add("console-level", value.into()));
        if *parent_pipe {
            args.push("--parent-pipe".into());
        }
        args
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_read_back_as_another_process_gets_them() {
        let all = Args {
            connect: Some("/run/a b/agent.sock".into()),
            name: Some("-one".into()),
            slots: Some(4),
            labels: vec!["gpu".into(), "--x".into()],
            config: Some("/etc/c.yaml".into()),
            console_level: Some("warn".into()),
            parent_pipe: true,
        };
        assert_eq!(Args::from_vec(&all.to_vec()).unwrap(), all);
        assert_eq!(Args::from_vec(&[]).unwrap(), Args::default());
        assert!(Args::from_vec(&["--slots=0".into()]).is_err());
        assert!(Args::from_vec(&["stray".into()]).is_err());
    }
}
