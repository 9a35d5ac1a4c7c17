//! The dashboard as browsers see it: its pages against an orchestrator of this process, and the whole of it in a headless
//! Chromium against the separate programs.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod audit;
mod browser;
mod chrome;
mod doors;
mod files;
mod form;
mod keyboard;
mod lists;
mod pages;
mod place;
mod screenshots;
mod spending;
mod watch;
mod world;
