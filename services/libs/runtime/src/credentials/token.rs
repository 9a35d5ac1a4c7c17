//! The admin token: given by the environment, or made at the first start and kept in the config folder.

use std::io;
use std::path::{Path, PathBuf};

use super::{ADMIN_TOKEN_ENV, ADMIN_TOKEN_FILE_ENV, Error, Secret, SecretKind, file, new_secret};
use crate::paths::Home;

/// A given token must be at least this long; a short one can be guessed.
const MIN_CHARS: usize = 16;
const MAX_CHARS: usize = 256;

/// Where the admin token came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `CONDUCTOR_ADMIN_TOKEN`.
    Env,
    /// The file that `CONDUCTOR_ADMIN_TOKEN_FILE` names.
    EnvFile(PathBuf),
    /// The config folder's, made at an earlier start.
    Kept(PathBuf),
    /// The config folder's, made just now.
    Made(PathBuf),
}

/// The admin token of this server.
#[derive(Clone, Debug)]
pub struct AdminToken {
    /// The token itself.
    pub secret: Secret,
    /// Where it came from.
    pub origin: Origin,
}

/// Finds the admin token of a server that starts, and makes one when there is none.
///
/// # Errors
/// When the environment contradicts itself, a file cannot be read or written, or a given token is unfit.
pub fn admin_token(home: &Home) -> Result<AdminToken, Error> {
    find_or_make(home, &|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
}

/// Finds the admin token for `conductor token show`; it makes none.
///
/// # Errors
/// As [`admin_token`], and [`Error::NoToken`] when no server has started yet.
pub fn shown_token(home: &Home) -> Result<AdminToken, Error> {
    find(home, &|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))?
        .ok_or_else(|| Error::NoToken { path: home.token_file() })
}

/// Reads a token from a file, or nothing when the file is not there.
///
/// # Errors
/// When the file cannot be read or holds no fit token.
pub fn read_token(path: &Path) -> Result<Option<Secret>, Error> {
    match file::read(path) {
        Ok(text) => checked(text, || path.display().to_string()).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    }
}

type Var<'a> = &'a dyn Fn(&str) -> Option<String>;

fn find_or_make(home: &Home, var: Var<'_>) -> Result<AdminToken, Error> {
    if let Some(token) = find(home, var)? {
        return Ok(token);
    }
    let path = home.token_file();
    let made = new_secret(SecretKind::Token)?;
    if file::create_new(&path, made.reveal())? {
        return Ok(AdminToken { secret: made, origin: Origin::Made(path) });
    }
    // Another program that started at the same time was faster; its token is the one.
    let secret = read_token(&path)?.ok_or_else(|| Error::NoToken { path: path.clone() })?;
    Ok(AdminToken { secret, origin: Origin::Kept(path) })
}

fn find(home: &Home, var: Var<'_>) -> Result<Option<AdminToken>, Error> {
    let set = |name| var(name).filter(|value| !value.is_empty());
    match (set(ADMIN_TOKEN_ENV), set(ADMIN_TOKEN_FILE_ENV)) {
        (Some(_), Some(_)) => Err(Error::BothSet),
        (Some(text), None) => {
            let secret = checked(text.trim().to_owned(), || ADMIN_TOKEN_ENV.to_owned())?;
            Ok(Some(AdminToken { secret, origin: Origin::Env }))
        }
        (None, Some(path)) => {
            let path = PathBuf::from(path);
            let not_there = || Error::Read { path: path.clone(), source: io::ErrorKind::NotFound.into() };
            let secret = read_token(&path)?.ok_or_else(not_there)?;
            Ok(Some(AdminToken { secret, origin: Origin::EnvFile(path) }))
        }
        (None, None) => {
            let path = home.token_file();
            Ok(read_token(&path)?.map(|secret| AdminToken { secret, origin: Origin::Kept(path) }))
        }
    }
}

fn checked(text: String, origin: impl Fn() -> String) -> Result<Secret, Error> {
    let problem = if text.is_empty() {
        "is empty"
    } else if text.len() < MIN_CHARS {
        "is shorter than 16 characters"
    } else if text.len() > MAX_CHARS {
        "is longer than 256 characters"
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        "holds white space or characters beyond ASCII"
    } else {
        return Ok(Secret::new(text));
    };
    Err(Error::BadToken { origin: origin(), problem })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const GIVEN: &str = "given-by-the-environment";

    fn home() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        home.create().unwrap();
        (folder, home)
    }

    fn none(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn the_first_start_makes_a_token_and_the_next_keeps_it() {
        let (_folder, home) = home();
        assert!(find(&home, &none).unwrap().is_none());
        let first = find_or_make(&home, &none).unwrap();
        assert_eq!(first.origin, Origin::Made(home.token_file()));
        assert!(first.secret.reveal().starts_with("cnd_") && first.secret.reveal().len() == 68);
        assert_eq!(fs::metadata(home.token_file()).unwrap().mode() & 0o777, 0o600);
        let second = find_or_make(&home, &none).unwrap();
        assert_eq!(second.origin, Origin::Kept(home.token_file()));
        assert!(second.secret.matches(first.secret.reveal()));
        assert_eq!(fs::read_dir(&home.config).unwrap().count(), 1, "a temporary file stayed behind");
    }

    #[test]
    fn programs_that_start_together_agree_on_one_token() {
        let (_folder, home) = home();
        let tokens: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> =
                (0..8).map(|_| scope.spawn(|| find_or_make(&home, &none).unwrap())).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        let made = tokens.iter().filter(|token| matches!(token.origin, Origin::Made(_))).count();
        assert_eq!(made, 1);
        assert!(tokens.iter().all(|token| token.secret.matches(tokens[0].secret.reveal())));
    }

    #[test]
    fn the_environment_sets_the_token_and_nothing_is_written() {
        let (_folder, home) = home();
        let token =
            find_or_make(&home, &|name| (name == ADMIN_TOKEN_ENV).then(|| format!("{GIVEN}\n"))).unwrap();
        assert_eq!(token.origin, Origin::Env);
        assert!(token.secret.matches(GIVEN));
        assert!(!home.token_file().exists());
    }

    #[test]
    fn a_named_file_sets_the_token_and_must_be_there() {
        let (_folder, home) = home();
        let path = home.config.join("secret");
        let var = |name: &str| (name == ADMIN_TOKEN_FILE_ENV).then(|| path.display().to_string());
        let error = find_or_make(&home, &var).unwrap_err();
        assert!(matches!(error, Error::Read { .. }), "{error:?}");
        fs::write(&path, format!("{GIVEN}\n")).unwrap();
        let token = find_or_make(&home, &var).unwrap();
        assert_eq!(token.origin, Origin::EnvFile(path.clone()));
        assert!(token.secret.matches(GIVEN));
    }

    #[test]
    fn a_token_and_a_file_together_are_refused() {
        let (_folder, home) = home();
        let error = find_or_make(&home, &|_| Some(GIVEN.to_owned())).unwrap_err();
        assert!(matches!(error, Error::BothSet), "{error:?}");
    }

    #[test]
    fn unfit_tokens_are_refused_without_being_shown() {
        let (_folder, home) = home();
        for (text, problem) in [
            ("tiny", "shorter"),
            (&*"x".repeat(257), "longer"),
            ("sixteen chars with spaces", "white space"),
            ("schlüssel-schlüssel", "ASCII"),
        ] {
            let error = find_or_make(&home, &|name| (name == ADMIN_TOKEN_ENV).then(|| text.to_owned()))
                .unwrap_err()
                .to_string();
            assert!(error.contains(problem) && error.contains(ADMIN_TOKEN_ENV), "{error}");
            assert!(!error.contains(text), "{error}");
        }
        fs::write(home.token_file(), "\n").unwrap();
        let error = find_or_make(&home, &none).unwrap_err().to_string();
        assert!(error.contains("is empty"), "{error}");
    }
}
