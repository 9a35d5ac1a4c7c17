use std::fs;

use conductor_core::Incarnation;
use conductor_protocol::agent::End;
use tempfile::TempDir;

use super::*;

fn lease(number: u64) -> Lease {
    Lease { incarnation: Incarnation(7), number }
}

fn entry(number: u64, message: &str) -> Entry {
    Arc::new(Finished {
        lease: lease(number),
        end: End::Crashed { message: message.into() },
        exit_code: None,
        simulated: false,
        usage: None,
        result: None,
        lane: None,
        told: 0,
    })
}

fn entries(numbers: impl IntoIterator<Item = u64>) -> Vec<Entry> {
    numbers.into_iter().map(|number| entry(number, "x")).collect()
}

fn held(folder: &TempDir) -> Vec<u64> {
    Journal::open(folder.path(), false).unwrap().live().map(|entry| entry.lease.number).collect()
}

fn fault(folder: &TempDir) -> String {
    Journal::open(folder.path(), false).unwrap_err().to_string()
}

#[test]
fn what_was_stored_and_not_forgotten_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(folder.path(), false).unwrap();
    journal.write(&entries([1, 2, 3])).unwrap();
    journal.forget([lease(2), lease(9)]);
    journal.write(&entries([4])).unwrap();
    journal.forget([lease(1)]);
    drop(journal);
    assert_eq!(held(&folder), [1, 3, 4], "what was forgotten after the last write comes back");
    let mut journal = Journal::open(folder.path(), false).unwrap();
    journal.forget([lease(1), lease(3)]);
    assert!(journal.is_behind());
    journal.write(&[]).unwrap();
    assert!(!journal.is_behind());
    drop(journal);
    assert_eq!(held(&folder), [4]);
}

#[test]
fn the_files_stay_small_over_many_results() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(folder.path(), false).unwrap();
    let message = "m".repeat(10_000);
    for number in 0..300 {
        journal.write(&[entry(number, &message)]).unwrap();
        if number >= 2 {
            journal.forget([lease(number - 2)]);
        }
    }
    drop(journal);
    assert_eq!(held(&folder), [297, 298, 299]);
    for name in ["outbox.0", "outbox.1"] {
        let bytes = fs::metadata(folder.path().join(name)).unwrap().len();
        assert!(bytes < 400_000, "{name} has {bytes} bytes");
    }
}

#[test]
fn a_generation_that_was_not_finished_gives_way_to_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    Journal::open(folder.path(), false).unwrap().write(&entries([1])).unwrap();
    let written = ["outbox.0", "outbox.1"]
        .map(|name| folder.path().join(name))
        .into_iter()
        .find(|path| fs::read(path).unwrap().iter().any(|byte| *byte != 0))
        .unwrap();
    Journal::open(folder.path(), false).unwrap().write(&entries([2])).unwrap();
    assert_eq!(held(&folder), [1, 2]);
    let newer =
        ["outbox.0", "outbox.1"].map(|name| folder.path().join(name)).into_iter().find(|p| *p != written);
    let newer = newer.unwrap();
    let mut bytes = fs::read(&newer).unwrap();
    bytes[30] ^= 1;
    fs::write(&newer, &bytes).unwrap();
    assert_eq!(held(&folder), [1]);
}

#[test]
fn damage_is_refused_with_the_files_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(folder.path(), false).unwrap();
    for number in 1..5 {
        journal.write(&entries([number])).unwrap();
    }
    drop(journal);
    let path = folder.path().join("outbox.1");
    let whole = fs::read(&path).unwrap();
    for at in [1, 12, 30, 250, 310] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        let text = fault(&folder);
        assert!(text.contains("outbox.1") && text.contains("damaged"), "byte {at}: {text}");
    }
    fs::write(&path, &whole[..300]).unwrap();
    assert!(fault(&folder).contains("cut off"));
    fs::remove_file(&path).unwrap();
    assert!(fault(&folder).contains("missing"));
    let mut newer = whole.clone();
    newer[3] = b'2';
    assert!(Journal::open(&folder.path().join("."), true).unwrap_err().to_string().contains("missing"));
    fs::write(&path, &newer).unwrap();
    assert!(fault(&folder).contains("later release"));
    fs::write(&path, &whole).unwrap();
    assert_eq!(held(&folder), [1, 2, 3, 4]);
}

#[test]
fn what_a_lost_host_left_unwritten_is_cut_off_and_only_after_another_boot() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(folder.path(), false).unwrap();
    for number in 1..5 {
        journal.write(&entries([number])).unwrap();
    }
    drop(journal);
    let path = folder.path().join("outbox.1");
    let mut bytes = fs::read(&path).unwrap();
    let starts: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"CdO1")).collect();
    assert_eq!(starts.len(), 4);
    bytes[starts[2]..starts[3]].fill(0);
    fs::write(&path, &bytes).unwrap();
    assert!(fault(&folder).contains("damaged"));
    let journal = Journal::open_after_reboot(folder.path()).unwrap();
    assert_eq!(journal.live().map(|entry| entry.lease.number).collect::<Vec<_>>(), [1, 2]);
    drop(journal);
    // The first record of a generation is synced before anything else, so its loss is damage in any boot.
    bytes[starts[0] + 30] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(Journal::open_after_reboot(folder.path()).unwrap_err().to_string().contains("damaged"));
}

#[test]
fn results_are_kept_when_they_are_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let (sender, mut stored) = mpsc::channel(16);
    let (outbox, found) = Outbox::open(folder.path(), false, sender).unwrap();
    assert!(found.is_empty());
    for number in 0..100 {
        outbox.store(entry(number, "x"));
    }
    let mut said = Vec::new();
    while said.len() < 100 {
        said.extend(stored.blocking_recv().unwrap().into_iter().map(|entry| entry.lease.number));
        let held = held(&folder);
        assert!(said.iter().all(|number| held.contains(number)));
    }
    outbox.forget((0..98).map(lease).collect());
    outbox.close();
    assert_eq!(held(&folder), [98, 99]);
}

#[test]
fn a_disk_that_refuses_is_asked_again_and_nothing_is_said_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(folder.path(), false).unwrap();
    journal.write(&entries([1])).unwrap();
    journal.break_files(folder.path(), true);
    assert!(journal.write(&entries([2])).is_err());
    assert!(journal.write(&entries([2])).is_err());
    assert_eq!(held(&folder), [1]);
    journal.break_files(folder.path(), false);
    journal.write(&entries([2])).unwrap();
    assert_eq!(held(&folder), [1, 2]);
}
