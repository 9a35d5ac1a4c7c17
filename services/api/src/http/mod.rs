//! From HTTP to calls and back: paths, queries, bodies, ranges, answers.

mod answer;
mod body;
mod path;
mod query;
mod range;
mod sse;
mod websocket;

pub(crate) use answer::{created, items, json, none, passed};
pub(crate) use body::{Json, Nothing, Sent};
pub(crate) use path::{Named, Pair, Task, Within};
pub(crate) use query::Params;
pub(crate) use range::{Part, part};
pub(crate) use sse::{Piece, events, wants};
pub(crate) use websocket::upgrade;
