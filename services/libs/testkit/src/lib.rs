//! What tests and measurements of several crates share: fake agents, a simulated world.

pub mod agent;
