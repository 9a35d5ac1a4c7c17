//! Files of a task, as a request carries them.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path};

use base64::Engine as _;
use conductor_protocol::limits::MAX_MESSAGE_BYTES;
use conductor_protocol::submit::InputFile;

use crate::exit::Failure;
use crate::screen::bytes;

/// Reads a file that `--file` names. Below the current folder it keeps its path; else it lies at the top.
pub fn read(path: &Path) -> Result<InputFile, Failure> {
    let usage = |why: String| Failure::Usage(format!("--file {}: {why}", path.display()));
    let (file, size) = open(path).map_err(usage)?;
    if size > MAX_MESSAGE_BYTES as u64 {
        let most = bytes(MAX_MESSAGE_BYTES as u64);
        return Err(usage(format!("has {}, a whole request may have {most}", bytes(size))));
    }
    let name = name(path).ok_or_else(|| usage("its name is not UTF-8".to_owned()))?;
    content(name, &file).map_err(|error| usage(error.to_string()))
}

/// Opens a regular file without waiting for who writes a pipe.
fn open(path: &Path) -> Result<(File, u64), String> {
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
    Ok((file, metadata.len()))
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

/// Reads an open file, as text where it is text.
pub fn content(path: String, file: &File) -> std::io::Result<InputFile> {
    let mut bytes = Vec::new();
    file.take(MAX_MESSAGE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    let executable = file.metadata()?.mode() & 0o100 != 0;
    let plain = InputFile { path, executable, ..InputFile::default() };
    Ok(match String::from_utf8(bytes) {
        Ok(text) => InputFile { content: Some(text), ..plain },
        Err(error) => {
            let text = base64::engine::general_purpose::STANDARD.encode(error.as_bytes());
            InputFile { base64: Some(text), ..plain }
        }
    })
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

    #[test]
    fn text_goes_as_text_and_bytes_as_base64() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "text").unwrap();
        assert_eq!(read(&path).unwrap().content.as_deref(), Some("text"));
        std::fs::write(&path, [0xff, 0]).unwrap();
        let file = read(&path).unwrap();
        assert_eq!((file.content, file.base64.as_deref()), (None, Some("/wA=")));
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
            let error = read(path).unwrap_err();
            assert!(matches!(&error, Failure::Usage(text) if text.contains(part)), "{error:?}");
        }
    }
}
