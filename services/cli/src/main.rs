//! `conductor`: submits, watches and runs tasks for coding agents.

mod apply;
mod args;
mod backup;
mod compare;
mod context;
mod doctor;
mod drill;
mod exit;
mod follow;
mod mcp;
mod migrate;
mod multicall;
mod run;
mod schedule;
mod screen;
mod secret;
mod server;
mod show;
mod submit;
mod supervised;
mod support;
mod tasks;
mod token;
mod upgrade;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    context::main()
}
