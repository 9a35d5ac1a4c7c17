//! What the HTTP programs of Conductor share.
