//! `conductor-api`: see the library.

fn main() -> anyhow::Result<()> {
    conductor_api::run_program(std::env::args_os())
}
