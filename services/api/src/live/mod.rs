//! What goes on: state changes for everybody who follows them, bytes as they come, and connections for what takes long.

mod cut;
mod feed;
mod followers;
mod hub;
mod lines;
mod reports;
mod ring;
mod story;
mod uses;
mod window;

pub(crate) use feed::Batch;
pub(crate) use hub::Hub;
pub(crate) use lines::Lines;
pub(crate) use reports::{Place, Reported, Reports};
pub(crate) use ring::{Entry, Topic};
pub(crate) use story::Story;
pub(crate) use uses::{Uses, UsesFeed};
pub(crate) use window::{Reading, Source, Text, body};
