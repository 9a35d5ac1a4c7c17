//! The run folder: what was asked, the work, and what each attempt left.

pub mod beneath;
pub mod collect;
pub mod copies;
pub mod diff;
pub mod events;
pub mod folder;
pub mod inherit;
pub mod output;
mod types;
pub mod upload;
pub mod walk;

pub use copies::CopyRoots;
pub use folder::{Folder, Workspace};
pub use types::{FileList, InputFile, InputUpload, LeftOut, ResultFile};
