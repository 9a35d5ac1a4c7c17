//! What was written once still reads. A fixture is the hexadecimal text of one record with its version byte; it is never
//! changed. A new kind, or a new version, gets new ones with `CONDUCTOR_WRITE_FIXTURES=1 cargo test -p conductor-store`.

use std::collections::HashSet;
use std::mem::discriminant;
use std::path::PathBuf;

use conductor_core::{Event, Wall};

use super::{Decoder, VERSION, begin_parts, encode_events, encode_part};
use crate::conformance::samples;

fn fixture(kind: &str, name: &str, bytes: &[u8]) -> Vec<u8> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/records-v{VERSION}/{kind}"));
    let path = dir.join(format!("{name}.hex"));
    if std::env::var_os("CONDUCTOR_WRITE_FIXTURES").is_some() && !path.exists() {
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(&path, hex::encode(bytes) + "\n").unwrap();
    }
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; write it as the module says", path.display()));
    hex::decode(text.trim()).unwrap()
}

#[test]
fn every_kind_of_event_is_written_and_read_as_its_fixture_says() {
    for (name, kind) in samples::event_kinds() {
        let event = Event { at: Wall(1_700_000_000_123), kind };
        let mut bytes = Vec::new();
        encode_events(std::slice::from_ref(&event), &mut bytes);
        let fixture = fixture("events", name, &bytes);
        assert_eq!(bytes, fixture, "{name} is written in another way than before");
        assert_eq!(Decoder::default().events(&fixture, 1).unwrap(), [event], "{name}");
    }
}

#[test]
fn every_kind_of_part_is_written_and_read_as_its_fixture_says() {
    for (name, part) in samples::parts() {
        let mut bytes = Vec::new();
        begin_parts(&mut bytes);
        encode_part(&part, &mut bytes);
        let fixture = fixture("parts", name, &bytes);
        assert_eq!(bytes, fixture, "{name} is written in another way than before");
        assert_eq!(Decoder::default().parts(&fixture).unwrap(), [part], "{name}");
    }
}

#[test]
fn there_is_a_sample_of_every_kind() {
    // The last kind has the highest number, so a kind without a sample shows as a hole below it; one added at the end
    // shows when its number is not the count.
    let events: HashSet<_> = samples::event_kinds().iter().map(|(_, kind)| discriminant(kind)).collect();
    let written: HashSet<u8> = samples::event_kinds()
        .into_iter()
        .map(|(_, kind)| {
            let mut bytes = Vec::new();
            encode_events(&[Event { at: Wall(0), kind }], &mut bytes);
            bytes[2]
        })
        .collect();
    assert_eq!(events.len(), written.len());
    assert!((0..events.len()).all(|number| written.contains(&u8::try_from(number).unwrap())));
}

#[test]
fn a_record_of_a_version_that_is_not_known_is_refused() {
    assert_eq!(Decoder::default().events(&[VERSION + 1, 0], 1), Err(super::Error::Version(VERSION + 1)));
    assert_eq!(Decoder::default().events(&[], 0), Err(super::Error::Empty));
}

#[test]
fn a_shortened_or_lengthened_record_is_refused() {
    for (name, kind) in samples::event_kinds() {
        let mut bytes = Vec::new();
        encode_events(&[Event { at: Wall(1), kind }], &mut bytes);
        for length in 0..bytes.len() {
            assert!(Decoder::default().events(&bytes[..length], 1).is_err(), "{name} cut to {length}");
        }
        bytes.push(0);
        assert!(Decoder::default().events(&bytes, 1).is_err(), "{name} with a byte more");
    }
}

#[test]
fn equal_names_and_actors_share_their_memory() {
    let events: Vec<_> = (0..2).map(|id| samples::submitted(id, Wall(0))).collect();
    let mut bytes = Vec::new();
    encode_events(&events, &mut bytes);
    let read = Decoder::default().events(&bytes, 2).unwrap();
    let by = |event: &Event| match &event.kind {
        conductor_core::EventKind::TaskSubmitted { by, .. } => by.clone(),
        other => panic!("{other:?}"),
    };
    assert!(std::sync::Arc::ptr_eq(&by(&read[0]), &by(&read[1])));
}
