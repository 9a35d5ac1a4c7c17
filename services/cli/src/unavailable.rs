//! What a later release brings, refused by name.

use conductor_protocol::Problem;

use crate::args::{Command, ScheduleCommand};
use crate::exit::Failure;

/// Refuses a command or an option that a later release brings, so that nothing is taken and then ignored.
///
/// # Errors
/// Names the first.
pub fn refuse(command: &Command) -> Result<(), Failure> {
    let what = match command {
        Command::Drill(drill) => (!drill.security).then_some("drill without --security"),
        Command::Run(_)
        | Command::Submit(_)
        | Command::Schedule(ScheduleCommand::Add(_))
        | Command::Token(_)
        | Command::Secret(_)
        | Command::Up(_)
        | Command::Migrate(_)
        | Command::Upgrade(_)
        | Command::SupportBundle(_)
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::Schedule(ScheduleCommand::List | ScheduleCommand::Rm(_))
        | Command::List(_)
        | Command::Get(_)
        | Command::Wait(_)
        | Command::Logs(_)
        | Command::Files(_)
        | Command::Diff(_)
        | Command::Apply(_)
        | Command::Compare(_)
        | Command::Cancel(_)
        | Command::Retry(_)
        | Command::Rm(_)
        | Command::Pin(_)
        | Command::Unpin(_)
        | Command::Message(_)
        | Command::Answer(_)
        | Command::Agents(_)
        | Command::Pause
        | Command::Resume
        | Command::Stats
        | Command::Status
        | Command::Top
        | Command::Events(_)
        | Command::Audit(_)
        | Command::Agent(_)
        | Command::Config(_)
        | Command::Doctor
        | Command::Gc(_)
        | Command::Completions(_)
        | Command::Healthcheck { .. }
        | Command::Mcp
        | Command::SuperviseEvents => None,
    };
    match what {
        Some(what) => Err(Problem::unavailable(what).into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Args;
    use crate::exit::Exit;

    fn refused(line: &str) -> Option<String> {
        let args = Args::try_parse_from(line.split_whitespace()).expect("it parses");
        let failure = refuse(&args.command).err()?;
        assert_eq!(failure.exit(), Exit::Refused);
        Some(failure.to_string())
    }

    #[test]
    fn what_a_later_release_brings_is_refused_by_its_name() {
        let text = refused("conductor drill").expect("it is refused");
        assert!(text.contains("drill without --security") && text.contains("unavailable"), "{text}");
    }

    #[test]
    fn what_is_there_is_not_refused() {
        for line in [
            "conductor run --budget 1.5 --budget-tokens 9 x",
            "conductor run --type refactor x",
            "conductor token show",
            "conductor up",
        ] {
            assert_eq!(refused(line), None, "{line}");
        }
    }
}
