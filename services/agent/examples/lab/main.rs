//! A stand-in for the agent's binary in tests and measurements: monitor, worker, keepers and slots, driven by JSON lines
//! over a Unix socket in place of an orchestrator.

mod bench;
mod git;
mod worker;

use std::path::PathBuf;

use conductor_agent::process::monitor::{self, Backoff};
use conductor_agent::process::{KeeperProgram, keeper};

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["keeper", rest @ ..] => Ok(keeper::with_arguments(rest)?),
        ["worker", socket, workspace, agent_id, slots] => {
            worker::run(&PathBuf::from(socket), &PathBuf::from(workspace), agent_id, slots.parse()?)
        }
        ["monitor", rest @ ..] => supervise(rest, false),
        ["child-monitor", rest @ ..] => supervise(rest, true),
        ["bench", seconds] => bench::run(seconds.parse()?),
        ["git", files] => git::run(files.parse()?),
        _ => anyhow::bail!(
            "usage: lab keeper | [child-]monitor ARGS | worker SOCKET WORKSPACE AGENT SLOTS | bench SECONDS | git FILES"
        ),
    }
}

fn supervise(args: &[&str], parent_pipe: bool) -> anyhow::Result<()> {
    let args = ["worker"].iter().chain(args).map(Into::into).collect();
    let settings = monitor::Settings {
        program: std::env::current_exe()?,
        args,
        parent_pipe,
        final_codes: vec![0],
        backoff: Backoff::default(),
        notice: |notice| eprintln!("{notice}"),
    };
    std::process::exit(monitor::run(&settings)?)
}

/// Returns how this binary is started as a keeper.
fn keeper_program() -> anyhow::Result<KeeperProgram> {
    Ok(KeeperProgram { path: std::env::current_exe()?, args: vec!["keeper".into()] })
}
