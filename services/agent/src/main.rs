//! `conductor-agent`: see the library.

fn main() -> std::process::ExitCode {
    conductor_agent::entry(std::env::args_os())
}
