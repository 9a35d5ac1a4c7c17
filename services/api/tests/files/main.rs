//! The file server: nginx with the configuration that is shipped, and an API that it asks.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod bytes;
mod doors;
mod lists;
mod nginx;
#[path = "../access/place.rs"]
#[expect(dead_code, reason = "the requests go to nginx here, and not to the API")]
mod place;
