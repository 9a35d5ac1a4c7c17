//! An orchestrator on a real log and a real history under a clock that the test moves, with a fake agent at its socket: what
//! takes minutes and days elsewhere is tried here at once.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod access;
mod budgets;
mod first_start;
mod groups;
mod hooks;
mod lanes;
mod leases;
mod numbers;
mod queue;
mod retention;
mod rights;
mod server;
mod time;
mod uploads;
