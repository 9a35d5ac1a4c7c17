//! Completions for shells.

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Command, CommandFactory as _};
use conductor_runtime::config::{self, Config, Sources};

use crate::args::Args;
use crate::exit::{Exit, Failure};
use crate::screen::Screen;

/// `completions`: types and runners are offered as this machine's configuration has them.
pub fn completions(screen: &mut Screen, shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    let mut command = match config::load(&Sources::from_env()) {
        Ok(loaded) => offering(Args::command(), &loaded.config),
        // A configuration that does not hold takes nothing else from whoever completes.
        Err(_) => Args::command(),
    };
    clap_complete::generate(shell, &mut command, "conductor", &mut script);
    screen.output(&script)?;
    screen.end_output()?;
    Ok(Exit::Succeeded)
}

/// The command line with the types and runners of a configuration.
fn offering(command: Command, config: &Config) -> Command {
    let types: Vec<PossibleValue> = config
        .task_types
        .iter()
        .map(|(name, kind)| {
            let value = PossibleValue::new(kept(name));
            kind.description.iter().fold(value, |value, help| value.help(kept(help)))
        })
        .collect();
    let programs = config.programs();
    let inside = ["auto", "command", "mock", "replay"].into_iter();
    let runners = inside.chain(programs.keys().map(|name| kept(name))).map(PossibleValue::new);
    let runners: Vec<PossibleValue> = runners.collect();
    let with = |command: Command| {
        let types = types.clone();
        let runners = runners.clone();
        command
            .mut_arg("task_type", move |arg| arg.value_parser(PossibleValuesParser::new(types)))
            .mut_arg("runner", move |arg| arg.value_parser(PossibleValuesParser::new(runners)))
    };
    command
        .mut_subcommand("run", with)
        .mut_subcommand("submit", with)
        .mut_subcommand("list", with)
        .mut_subcommand("schedule", |schedule| schedule.mut_subcommand("add", with))
}

/// A text that lives as long as the program, which prints the completions and ends.
fn kept(text: &str) -> &'static str {
    text.to_owned().leak()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configured_types_and_runners_are_completed() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("conductor.yaml");
        std::fs::write(
            &file,
            "task_types: {docs: {description: Writes docs}}\nrunners: {own: {command: [x]}}\n",
        )
        .expect("written");
        let home = folder.path().to_str().expect("UTF-8").to_owned();
        let env = vec![("CONDUCTOR_HOME".to_owned(), home)];
        let loaded = config::load(&Sources { file: Some(file), env, flags: Vec::new() }).expect("it holds");
        let mut script = Vec::new();
        let mut command = offering(Args::command(), &loaded.config);
        clap_complete::generate(clap_complete::Shell::Zsh, &mut command, "conductor", &mut script);
        let script = String::from_utf8(script).expect("UTF-8");
        for offered in ["docs\\:\"Writes docs\"", "code_review", "own", "replay"] {
            assert!(script.contains(offered), "{offered}");
        }
    }
}
