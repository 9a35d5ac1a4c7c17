//! What the routes do, against everything that `conductor up` runs.

mod bytes;
mod document;
mod files;
mod groups;
mod live;
mod place;
mod snippets;
mod tasks;
mod uploads;
mod websocket;
