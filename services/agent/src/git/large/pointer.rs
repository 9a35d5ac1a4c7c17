//! What stands in a commit for a large file: a few lines with its digest and its size.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::super::program::{Error, Git, Step};

/// The longest pointer.
const MAX_POINTER_BYTES: u64 = 1_024;
/// The most files of a commit that are asked about, and the most bytes of what git says of them.
const MAX_OBJECTS: usize = 1_000_000;
const MAX_LIST_BYTES: usize = 256 << 20;
const VERSION: &str = "version https://git-lfs.github.com/spec/v1";

/// A large file, as a commit names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pointer {
    /// The SHA-256 of its content, as lowercase hexadecimal digits.
    pub oid: String,
    pub size: u64,
}

impl Pointer {
    /// Reads a pointer; none when the text is none.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut lines = text.lines();
        if lines.next()? != VERSION {
            return None;
        }
        let (mut oid, mut size) = (None, None);
        for line in lines {
            match line.split_once(' ')? {
                ("oid", value) => oid = value.strip_prefix("sha256:").filter(|oid| is_digest(oid)),
                ("size", value) => size = value.parse().ok(),
                _ => {}
            }
        }
        Some(Self { oid: oid?.to_owned(), size: size? })
    }

    /// Where its content lies below a folder of such.
    pub fn below(&self, folder: &Path) -> PathBuf {
        folder.join(&self.oid[..2]).join(&self.oid[2..4]).join(&self.oid)
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Reads those of some objects that are pointers, by their ids.
pub(super) fn read(
    git: &Git<'_>,
    repository: &Path,
    scratch: &Path,
    objects: &[String],
) -> Result<BTreeMap<String, Pointer>, Error> {
    if objects.len() > MAX_OBJECTS {
        let why = format!("more than {MAX_OBJECTS} files may be large ones");
        return Err(Error::Workspace { why, hint: "ask for the repository without lfs" });
    }
    let format = "--batch-check=%(objecttype) %(objectsize) %(objectname)";
    let sizes = batch(git, repository, scratch, objects, format)?;
    let sizes = String::from_utf8_lossy(&sizes);
    let small = sizes.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (kind, size, id) = (fields.next()?, fields.next()?.parse::<u64>().ok()?, fields.next()?);
        (kind == "blob" && size <= MAX_POINTER_BYTES).then(|| id.to_owned())
    });
    let small: Vec<String> = small.collect();
    let contents = batch(git, repository, scratch, &small, "--batch")?;
    Ok(pointers(&contents))
}

/// Asks git about objects, of which a file has the names.
fn batch(
    git: &Git<'_>,
    repository: &Path,
    scratch: &Path,
    objects: &[String],
    what: &str,
) -> Result<Vec<u8>, Error> {
    if objects.is_empty() {
        return Ok(Vec::new());
    }
    let list = scratch.join("objects");
    let written = fs::write(&list, objects.join("\n") + "\n").and_then(|()| File::open(&list));
    let input = written.map_err(Error::disk("write a list of objects"))?;
    let mut step = Step::new(repository, &["cat-file", what]);
    step.input = Some(&input);
    step.max_output = MAX_LIST_BYTES;
    git.run(&step)
}

/// The pointers among what `cat-file --batch` printed: a line with id, type and size, that many bytes and a line's end.
fn pointers(mut printed: &[u8]) -> BTreeMap<String, Pointer> {
    let mut found = BTreeMap::new();
    while let Some(end) = printed.iter().position(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(&printed[..end]).into_owned();
        let fields: Vec<&str> = line.split(' ').collect();
        let &[id, _, size] = fields.as_slice() else { break };
        let Some(content) = size.parse().ok().and_then(|size: usize| printed.get(end + 1..end + 1 + size))
        else {
            break;
        };
        if let Some(pointer) = Pointer::parse(content) {
            found.insert(id.to_owned(), pointer);
        }
        printed = printed.get(end + 2 + content.len()..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const OID: &str = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";

    #[test]
    fn a_pointer_names_a_digest_and_a_size_and_nothing_else_is_one() {
        let text = format!("{VERSION}\next-0-x sha256:{OID}\noid sha256:{OID}\nsize 12345\n");
        let pointer = Pointer::parse(text.as_bytes()).unwrap();
        assert_eq!((pointer.oid.as_str(), pointer.size), (OID, 12_345));
        assert_eq!(pointer.below(Path::new("/x")), Path::new("/x/4d/7a").join(OID));
        for bad in [
            format!("{VERSION}\noid sha256:{OID}\n"),
            format!("{VERSION}\noid sha256:../../etc/passwd\nsize 1\n"),
            format!("{VERSION}\noid sha256:{}\nsize 1\n", OID.to_uppercase()),
            format!("{VERSION}\noid md5:{OID}\nsize 1\n"),
            format!("oid sha256:{OID}\nsize 1\n"),
            format!("{VERSION}\noid sha256:{OID}\nsize -1\n"),
        ] {
            assert_eq!(Pointer::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn pointers_are_found_among_other_small_files() {
        let (a, b) = ("a1".repeat(20), "b2".repeat(20));
        let text = format!("{VERSION}\noid sha256:{OID}\nsize 7\n");
        let printed = format!("{a} blob 4\nab\n\n\n{b} blob {}\n{text}\n", text.len());
        let found = pointers(printed.as_bytes());
        assert_eq!(found, BTreeMap::from([(b, Pointer { oid: OID.to_owned(), size: 7 })]));
        assert!(pointers(b"xyz missing\n").is_empty());
    }
}
