//! The runners of the three coding agents against a stand-in that speaks their lines, so that every end can be had on any
//! machine. The real ones are run by the tests `clis` of the testkit.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod ends;
mod place;
mod streams;
mod talks;
