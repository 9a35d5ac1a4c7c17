//! The web page of Conductor.
