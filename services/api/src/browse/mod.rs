//! What the file server shows: where its paths lead, which names it answers to, and its lists of runs and folders. nginx
//! hands out the bytes; whether it may, and everything that is not bytes, is said here.

mod hosts;
mod page;
mod place;
mod view;

pub(crate) use hosts::FileHosts;
pub(crate) use page::{folder, problem, runs};
pub(crate) use place::Place;
pub(crate) use view::{Folder, Run, Runs};
