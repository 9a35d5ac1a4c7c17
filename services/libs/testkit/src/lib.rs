//! What tests and measurements of several crates share: fake agents, chance that can be repeated, and a world of the
//! separate programs.

pub mod agent;
pub mod appliance;
pub mod git_server;
pub mod models;
pub mod seed;
pub mod sim;
pub mod world;
