//! The views, one module each.

pub mod agents;
pub mod audit;
pub mod budgets;
pub mod compare;
pub mod login;
pub mod new;
pub mod overview;
pub mod queue;
pub mod schedules;
pub mod settings;
pub mod task;
pub mod tasks;
