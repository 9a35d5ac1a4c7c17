//! `conductor-bench`: what the programs of this workspace do on this machine, beside what the machine itself does.
//!
//! It starts the separate programs in a folder of its own, puts load on them and prints one table. `scripts/bench` builds
//! everything first.

mod agent;
mod appliance;
mod args;
mod cpu;
mod drain;
mod http;
mod latency;
mod load;
mod machine;
mod million;
mod programs;
mod redis;
mod report;
mod rest;
mod submits;
mod suite;
mod trues;
mod wire;

use std::process::ExitCode;

fn main() -> ExitCode {
    match args::Args::parse(std::env::args().skip(1)).and_then(|args| suite::run(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("conductor-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
