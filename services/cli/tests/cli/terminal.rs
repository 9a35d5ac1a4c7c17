//! What a terminal gets.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::place::Place;

/// Runs a command with a terminal for its output and gives everything that the terminal got.
fn on_a_terminal(place: &Place, args: &[&str]) -> String {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let open = || -> OwnedFd {
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
        rustix::fs::open(name.as_c_str(), flags, rustix::fs::Mode::empty()).unwrap()
    };
    let mut command = place.command(args);
    command.stdout(Stdio::from(open())).stderr(Stdio::from(open()));
    let mut child = command.spawn().unwrap();
    drop(command);
    // The end of a terminal is an error: its other side is closed.
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        let mut buffer = [0; 4_096];
        let mut master = File::from(master);
        while let Ok(count @ 1..) = master.read(&mut buffer) {
            got.extend_from_slice(&buffer[..count]);
        }
        got
    });
    place.until("it ends", || child.try_wait().unwrap().is_some());
    String::from_utf8(reader.join().unwrap()).unwrap()
}

#[test]
fn a_terminal_gets_colours_and_obeys_nothing_else() {
    let place = Place::new();
    let script = r"printf '\033[31mred\033[0m \033[2J\033]0;title\007 end'";
    let got = on_a_terminal(&place, &["run", "--", "sh", "-c", script]);
    assert!(got.contains("\u{1b}[31mred\u{1b}[0m ^[[2J^[]0;title^G end\r\n"), "{got:?}");
    // What is left of control sequences is the progress line's own.
    let ours = got.replace("\u{1b}[2K", "").replace("\u{1b}[31m", "").replace("\u{1b}[0m", "");
    assert!(!ours.contains('\u{1b}'), "{got:?}");
}

#[test]
fn a_name_of_a_task_cannot_steer_the_terminal() {
    let place = Place::new();
    let up = place.up(&[]);
    let body = "{\"prompt\": \"print x\\u001b[2J\\n\\u009b2J\\u202eevil\"}";
    place.feed(&["submit", "-f", "-"], body.as_bytes()).with(0);
    for command in [&["list"][..], &["events"]] {
        let got = on_a_terminal(&place, command);
        assert!(!got.contains('\u{1b}') && !got.contains('\u{9b}') && !got.contains('\u{202e}'), "{got:?}");
    }
    drop(up);
}

#[test]
fn a_wait_is_shown_on_one_line_that_goes_away() {
    let place = Place::new();
    let _up = place.up(&[]);
    let got = on_a_terminal(&place, &["run", "--queue-timeout", "1s", "--requires", "nobody", "x"]);
    assert!(got.contains("\r\u{1b}[2Kqueued"), "{got:?}");
    let quiet = on_a_terminal(&place, &["run", "-q", "--queue-timeout", "1s", "--requires", "nobody", "x"]);
    assert!(!quiet.contains("\u{1b}[2K"), "{quiet:?}");
}
