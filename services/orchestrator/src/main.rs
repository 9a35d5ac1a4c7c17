//! `conductor-orchestrator`: see the library.

fn main() -> anyhow::Result<()> {
    conductor_orchestrator::run_program(std::env::args_os())
}
