//! What every program of Conductor needs around its own work: where things are, how it is configured, how it
//! listens, logs, starts and ends.

pub mod clock;
pub mod config;
pub mod credentials;
pub mod digest;
pub mod durations;
pub mod lifecycle;
pub mod listen;
pub mod paths;
pub mod program;
pub mod secrets;
pub mod telemetry;
pub mod terminal;
pub mod volume;
