//! The key of one start: who can read its file may speak at the socket beside it.

use std::path::Path;

use super::{Error, Secret, file, random_hex};

/// A key of 64 hexadecimal digits.
#[derive(Clone, Debug)]
pub struct StartKey(Secret);

impl StartKey {
    /// Makes a new key and puts it at `path` (mode 0600), in place of the last start's.
    ///
    /// # Errors
    /// When there are no random bytes or the file cannot be written.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let key = random_hex()?;
        file::replace(path, &key)?;
        Ok(StartKey(Secret::new(key)))
    }

    /// Reads the key of the program that started last.
    ///
    /// # Errors
    /// When the file cannot be read or holds no key.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let key = file::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        if key.len() != 64 || !key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::BadKey { path: path.to_owned() });
        }
        Ok(StartKey(Secret::new(key)))
    }

    /// Tells whether `offered` is this key, in constant time.
    pub fn matches(&self, offered: &str) -> bool {
        self.0.matches(offered)
    }

    /// Gives the key to say it at the socket.
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn each_start_has_another_key_and_who_reads_the_file_knows_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.key");
        let first = StartKey::create(&path).unwrap();
        let second = StartKey::create(&path).unwrap();
        assert!(!second.matches(first.reveal()));
        assert!(second.matches(StartKey::read(&path).unwrap().reveal()));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file stayed behind");
    }

    #[test]
    fn a_link_in_the_keys_place_is_replaced_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join("agent.key"), folder.path().join("target"));
        fs::write(&target, "mine").unwrap();
        symlink(&target, &path).unwrap();
        StartKey::create(&path).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "mine");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }

    #[test]
    fn damaged_and_missing_keys_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.key");
        for content in ["", "abc", &"g".repeat(64), &"a".repeat(5_000)] {
            fs::write(&path, content).unwrap();
            let error = StartKey::read(&path).unwrap_err().to_string();
            assert!(error.contains("agent.key"), "{error}");
        }
        assert!(matches!(StartKey::read(&folder.path().join("absent")), Err(Error::Read { .. })));
        let error = StartKey::create(&folder.path().join("no/agent.key")).unwrap_err();
        assert!(matches!(error, Error::Write { .. }), "{error:?}");
    }
}
