//! Files of a task, as a request carries them.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path};

use base64::Engine as _;
use conductor_protocol::control::UploadKind;
use conductor_protocol::submit::InputFile;

use super::ahead::Ahead;
use crate::exit::Failure;

/// A file up to this size goes with the task, as long as all of those do not have more than [`MAX_INLINE_BYTES`].
pub const MAX_SMALL_BYTES: u64 = 1 << 20;
/// The most bytes of files that go with a task; others go ahead of it.
pub const MAX_INLINE_BYTES: u64 = 4 << 20;
/// What stands for the id of an upload until it is made.
pub const NOT_YET: &str = "not yet";

/// The files of a task, as far as they were gathered.
#[derive(Debug, Default)]
pub struct Gathered {
    /// As the task names them.
    pub files: Vec<InputFile>,
    /// Those among them that go ahead.
    pub ahead: Vec<Ahead>,
    inline: u64,
}

impl Gathered {
    /// Adds an open file: as text where it is text.
    pub fn add(&mut self, path: String, mut file: File) -> std::io::Result<()> {
        let metadata = file.metadata()?;
        let executable = metadata.mode() & 0o100 != 0;
        let plain = InputFile { path, executable, ..InputFile::default() };
        let length = metadata.len();
        if length > MAX_SMALL_BYTES || self.inline + length > MAX_INLINE_BYTES {
            let path = plain.path.clone();
            self.ahead.push(Ahead { path, kind: UploadKind::Raw, file, length, largest: Vec::new() });
            self.files.push(InputFile { upload: Some(NOT_YET.to_owned()), ..plain });
            return Ok(());
        }
        let mut bytes = Vec::new();
        // One that grows meanwhile is cut where a small one ends.
        std::io::Read::by_ref(&mut file).take(MAX_SMALL_BYTES).read_to_end(&mut bytes)?;
        self.inline += bytes.len() as u64;
        self.files.push(match String::from_utf8(bytes) {
            Ok(text) => InputFile { content: Some(text), ..plain },
            Err(error) => {
                let text = base64::engine::general_purpose::STANDARD.encode(error.as_bytes());
                InputFile { base64: Some(text), ..plain }
            }
        });
        Ok(())
    }

    /// Adds a repository as a bundle that the work folder starts from.
    pub fn add_bundle(&mut self, file: File, length: u64, largest: Vec<String>) {
        self.add_whole(UploadKind::Bundle, file, length, largest);
    }

    /// Adds a folder as an archive that is unpacked into the work folder.
    pub fn add_archive(&mut self, file: File, length: u64, largest: Vec<String>) {
        self.add_whole(UploadKind::Tar, file, length, largest);
    }

    fn add_whole(&mut self, kind: UploadKind, file: File, length: u64, largest: Vec<String>) {
        let path = ".".to_owned();
        let upload = Some(NOT_YET.to_owned());
        self.files.push(InputFile { path: path.clone(), upload, ..InputFile::default() });
        self.ahead.push(Ahead { path, kind, file, length, largest });
    }
}

/// A file that `--file` names, open, and what it is called in the work folder. Below the current folder it keeps its path;
/// else it lies at the top.
pub fn open(path: &Path) -> Result<(String, File), Failure> {
    let usage = |why: String| Failure::Usage(format!("--file {}: {why}", path.display()));
    let file = open_regular(path).map_err(usage)?;
    let name = name(path).ok_or_else(|| usage("its name is not UTF-8".to_owned()))?;
    Ok((name, file))
}

/// Opens a regular file without waiting for who writes a pipe.
fn open_regular(path: &Path) -> Result<File, String> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options()
        .read(true)
        .custom_flags(nonblocking)
        .open(path)
        .map_err(|error| format!("cannot be read: {error}"))?;
    let metadata = file.metadata().map_err(|error| format!("cannot be read: {error}"))?;
    if metadata.is_dir() {
        return Err("is a folder; --dir sends folders".to_owned());
    }
    if !metadata.is_file() {
        return Err("is not a regular file".to_owned());
    }
    Ok(file)
}

/// What a file is called in the work folder.
fn name(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return path.file_name()?.to_str().map(str::to_owned);
            }
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_below_keeps_its_path_and_another_lies_at_the_top() {
        for (path, expected) in
            [("a.py", "a.py"), ("./src/a.py", "src/a.py"), ("/etc/a.py", "a.py"), ("../b/a.py", "a.py")]
        {
            assert_eq!(name(Path::new(path)).as_deref(), Some(expected));
        }
    }

    fn gathered(path: &Path) -> Gathered {
        let (name, file) = open(path).unwrap();
        let mut gathered = Gathered::default();
        gathered.add(name, file).unwrap();
        gathered
    }

    #[test]
    fn text_goes_as_text_and_bytes_as_base64() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "text").unwrap();
        assert_eq!(gathered(&path).files[0].content.as_deref(), Some("text"));
        std::fs::write(&path, [0xff, 0]).unwrap();
        let file = &gathered(&path).files[0];
        assert_eq!((file.content.as_deref(), file.base64.as_deref()), (None, Some("/wA=")));
    }

    #[test]
    fn what_is_large_goes_ahead() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        File::create(&path).unwrap().set_len(MAX_SMALL_BYTES + 1).unwrap();
        let gathered = gathered(&path);
        assert_eq!(gathered.files[0].upload.as_deref(), Some(NOT_YET));
        assert_eq!((gathered.ahead.len(), gathered.ahead[0].length), (1, MAX_SMALL_BYTES + 1));
    }

    #[test]
    fn what_is_no_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        for (path, part) in [
            (folder.path(), "--dir"),
            (&folder.path().join("absent"), "absent"),
            (&pipe, "not a regular file"),
        ] {
            let error = open(path).unwrap_err();
            assert!(matches!(&error, Failure::Usage(text) if text.contains(part)), "{error:?}");
        }
    }
}
