//! The web page of Conductor.
//!
//! [`start`] listens and serves. Pages are rendered here, from templates that are part of the program; they are whole
//! without a script. A small module in the browser keeps them true: it follows what happens over one WebSocket and asks
//! for the regions of its page that changed. Everything is asked of the orchestrator on behalf of who looks.

mod ansi;
mod app;
mod archive;
mod assets;
mod chart;
mod diff;
mod files;
mod format;
mod frame;
mod highlight;
mod live;
mod pages;
mod params;
mod parts;
mod program;
mod routes;
mod served;
mod server;
mod ui;
mod visitor;
mod words;

pub use program::run as run_program;
pub use server::{Config, Dashboard, StartError, start};
