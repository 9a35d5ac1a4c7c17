//! The run folder: what was asked, the work, and what each attempt left.

mod types;

pub use types::{FileList, InputFile, LeftOut, ResultFile};
