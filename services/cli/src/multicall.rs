//! One binary under the names of all programs, as images have it.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

/// Runs the program whose name this one was called by, when that is not `conductor`.
pub fn program(words: &[OsString]) -> Option<ExitCode> {
    let name = Path::new(words.first()?).file_name()?.to_str()?;
    let words = words.iter().cloned();
    let result = match name {
        "conductor-orchestrator" => conductor_orchestrator::run_program(words),
        "conductor-api" => conductor_api::run_program(words),
        "conductor-dashboard" => conductor_dashboard::run_program(words),
        "conductor-agent" => return Some(conductor_agent::entry(words)),
        _ => return None,
    };
    Some(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // In one piece: other programs of the container write to the same place. Nobody hears of it when it is closed.
            let _unread = io::stderr().write_all(format!("{name}: {error:#}\n").as_bytes());
            ExitCode::FAILURE
        }
    })
}
