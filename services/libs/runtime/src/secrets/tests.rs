use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

fn store() -> (tempfile::TempDir, Secrets) {
    let folder = tempfile::tempdir().unwrap();
    let secrets = Secrets::open(folder.path().join("secrets")).unwrap();
    (folder, secrets)
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn what_is_set_is_read_again_and_is_its_owners_alone() {
    let (_folder, secrets) = store();
    let key = name("OPENAI_API_KEY");
    assert!(secrets.get(&key).unwrap().is_none(), "the folder is not there yet");
    assert!(!secrets.set(&key, &Secret::new("first\n")).unwrap());
    assert!(secrets.set(&key, &Secret::new("line one\nline two\r\n")).unwrap());
    assert_eq!(secrets.get(&key).unwrap().unwrap().reveal(), "line one\nline two");
    assert_eq!((mode(secrets.folder()), mode(&secrets.path(&key))), (0o700, 0o600));
    let names: Vec<_> = secrets.list().unwrap().into_iter().map(|listed| listed.name).collect();
    assert_eq!(names, std::slice::from_ref(&key), "and no temporary file");
    assert!(secrets.remove(&key).unwrap() && !secrets.remove(&key).unwrap());
    assert!(secrets.list().unwrap().is_empty());
}

#[test]
fn a_name_leads_nowhere_but_into_the_folder() {
    for text in ["", ".", "..", "a/b", "../token", "/etc/passwd", "A B", "é", "9a", "-x", "a.new", "a\0"] {
        assert!(text.parse::<Name>().is_err(), "{text:?} was taken");
    }
    assert!("x".repeat(129).parse::<Name>().is_err());
    for text in ["A", "ANTHROPIC_API_KEY", "hook-2", &"x".repeat(128)] {
        assert_eq!(text.parse::<Name>().unwrap().as_str(), text);
    }
}

#[test]
fn what_others_can_read_is_refused_with_the_way_to_close_it() {
    let (_folder, secrets) = store();
    let key = name("KEY");
    secrets.set(&key, &Secret::new("value")).unwrap();
    fs::set_permissions(secrets.path(&key), fs::Permissions::from_mode(0o644)).unwrap();
    let error = secrets.get(&key).unwrap_err().to_string();
    assert!(error.contains("mode 0644") && error.contains("chmod 600"), "{error}");
    assert!(!error.contains("value"), "{error}");
    // Setting it anew closes it.
    secrets.set(&key, &Secret::new("value")).unwrap();
    fs::set_permissions(secrets.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    let error = secrets.get(&key).unwrap_err().to_string();
    assert!(error.contains("mode 0755") && error.contains("chmod 700"), "{error}");
    assert!(Secrets::open(secrets.folder()).is_err());
}

#[test]
fn a_link_a_folder_and_a_pipe_are_no_secrets() {
    let (folder, secrets) = store();
    secrets.set(&name("REAL"), &Secret::new("value")).unwrap();
    symlink(secrets.path(&name("REAL")), secrets.path(&name("LINK"))).unwrap();
    fs::create_dir(secrets.path(&name("FOLDER"))).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        secrets.path(&name("PIPE")),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    for other in ["LINK", "FOLDER", "PIPE"] {
        assert!(secrets.get(&name(other)).is_err(), "{other}");
    }
    assert_eq!(secrets.list().unwrap().len(), 1);
    // A link in the place of the folder is none either.
    let link = folder.path().join("link");
    symlink(secrets.folder(), &link).unwrap();
    assert!(matches!(Secrets::open(link), Err(Error::NotAFolder { .. })));
}

#[test]
fn a_value_that_cannot_be_a_secret_is_refused_without_being_shown() {
    let (_folder, secrets) = store();
    for (value, why) in [("", "empty"), ("\n", "empty"), ("a\0b", "NUL"), (&*"x".repeat(65_537), "longer")] {
        let error = secrets.set(&name("KEY"), &Secret::new(value)).unwrap_err().to_string();
        assert!(error.contains(why) && error.len() < 100, "{error}");
    }
    assert!(secrets.list().unwrap().is_empty());
    secrets.set(&name("KEY"), &Secret::new("x".repeat(MAX_VALUE_BYTES))).unwrap();
    assert_eq!(secrets.get(&name("KEY")).unwrap().unwrap().reveal().len(), MAX_VALUE_BYTES);
    fs::write(secrets.path(&name("KEY")), [0xff, 0xfe]).unwrap();
    assert!(secrets.get(&name("KEY")).unwrap_err().to_string().contains("not text"));
}
