//! `conductor-dashboard`: see the library.

fn main() -> anyhow::Result<()> {
    conductor_dashboard::run_program(std::env::args_os())
}
