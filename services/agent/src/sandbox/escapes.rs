//! Ways out of the sandbox, as commands that a task can be: each tries one and says whether it was held.
//!
//! The tests run them, and so does the drill on a deployment. None does harm where it succeeds: what would is tried only after
//! a harmless form of it was refused.

mod hogs;
mod network;

use super::Feature;
pub use hogs::{Hog, hogs};
pub use network::{NETWORK, TARGETS};

/// The variable with a file of another run, that one's folder and the names in it known.
pub const OTHER_FILE: &str = "ESCAPE_OTHER_FILE";
/// The variable with paths that no task may read, one a line: Conductor's folders, credentials, the owner's keys.
pub const SEALED_PATHS: &str = "ESCAPE_SEALED_PATHS";
/// The variable with Unix sockets that no task may connect to, one a line; with an `@` first, abstract ones.
pub const SOCKETS: &str = "ESCAPE_SOCKETS";

/// The exit code of a try that was held.
pub const HELD: i32 = 0;
/// The exit code of a try that came through.
pub const ESCAPED: i32 = 10;
/// The exit code where what is needed to try is not there.
pub const UNTRIED: i32 = 11;
/// The exit code of a hog that the kernel refused what it would have taken.
pub const REFUSED: i32 = 12;

/// One way out.
#[derive(Debug, Clone, Copy)]
pub struct Escape {
    pub name: &'static str,
    /// What it tries, for a POSIX shell.
    script: &'static str,
    /// What holds it; none is what holds on every kernel.
    pub held_by: Option<Feature>,
}

/// What a script may use.
const PRELUDE: &str = r#"
escaped() { echo "escaped: $*"; exit 10; }
untried() { echo "not tried: $*"; exit 11; }
needs() { command -v "$1" >/dev/null 2>&1 || untried "$1 is not installed"; }
own=$CONDUCTOR_TASK_ID
"#;

const fn escape(name: &'static str, held_by: Feature, script: &'static str) -> Escape {
    Escape { name, script, held_by: Some(held_by) }
}

const fn always(name: &'static str, script: &'static str) -> Escape {
    Escape { name, script, held_by: None }
}

/// All of them.
pub const ESCAPES: [Escape; 24] = [
    escape(
        "read a file of another run",
        Feature::Files,
        r#"cat "$ESCAPE_OTHER_FILE" && escaped "$ESCAPE_OTHER_FILE""#,
    ),
    escape(
        "write into another run",
        Feature::Files,
        r#"(: >> "$ESCAPE_OTHER_FILE") && escaped append; (: > "$ESCAPE_OTHER_FILE.new") && escaped create"#,
    ),
    escape(
        "remove or move a file of another run",
        Feature::Files,
        r#"mv "$ESCAPE_OTHER_FILE" "$ESCAPE_OTHER_FILE.moved" && escaped move
           rm -f "$ESCAPE_OTHER_FILE" && escaped remove"#,
    ),
    escape(
        "link a file of another run",
        Feature::Files,
        r#"ln "$ESCAPE_OTHER_FILE" stolen && cat stolen && escaped link"#,
    ),
    escape(
        "read through a symbolic link",
        Feature::Files,
        r#"ln -s "$ESCAPE_OTHER_FILE" way && cat way && escaped link"#,
    ),
    escape(
        "empty a file of another run",
        Feature::Truncate,
        r#"needs perl; perl -e 'exit(truncate($ENV{ESCAPE_OTHER_FILE}, 3) ? 0 : 1)' && escaped truncate"#,
    ),
    escape(
        "read what is sealed",
        Feature::Files,
        r#"echo "$ESCAPE_SEALED_PATHS" | while read -r path; do
             if [ -d "$path" ]; then ls "$path" && exit 10; elif [ -e "$path" ]; then cat "$path" && exit 10; fi
           done; [ $? = 10 ] && escaped a sealed path"#,
    ),
    escape(
        "read keys of the system",
        Feature::Files,
        r#"for path in /etc/shadow /etc/sudoers /etc/ssh/ssh_host_*_key /etc/ssl/private/* /run/secrets/*; do
             cat "$path" && escaped "$path"; done"#,
    ),
    escape("list the runs", Feature::Files, r#"ls ../.. && escaped tasks; ls .. && escaped the run folder"#),
    escape(
        "change the record of its own run",
        Feature::Files,
        r#"(: > ../task.json) && escaped task.json
           (: > ../attempts/1/result.json) && escaped result.json; (: >> ../attempts/1/output.log) && escaped output.log"#,
    ),
    escape(
        "write below /tmp, /var/tmp and /dev/shm",
        Feature::Files,
        r#"for folder in /tmp /var/tmp /dev/shm; do
             (: > "$folder/escape-$own") && { rm -f "$folder/escape-$own"; escaped "$folder"; }; done"#,
    ),
    escape(
        "write into the system",
        Feature::Files,
        r#"for folder in /usr/local /usr/bin /etc; do
             (: > "$folder/escape-$own") && { rm -f "$folder/escape-$own"; escaped "$folder"; }; done"#,
    ),
    escape(
        "write to the kernel's settings",
        Feature::Files,
        r#"for file in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /sys/fs/cgroup/cgroup.procs \
             /sys/fs/cgroup/memory/cgroup.procs /proc/self/oom_score_adj /proc/sysrq-trigger; do
             [ -e "$file" ] || continue; (: >> "$file") && escaped "$file"; done"#,
    ),
    escape(
        "read the environment of other processes",
        Feature::Ptrace,
        r#"for process in /proc/[0-9]*; do
             tr '\0' '\n' < "$process/environ" > seen || continue
             [ -s seen ] || continue
             grep -q "^CONDUCTOR_TASK_ID=$own$" seen || escaped "$process/environ"
           done"#,
    ),
    escape(
        "look into the process that started it",
        Feature::Ptrace,
        r#"ls "/proc/$PPID/cwd/" && escaped cwd; ls "/proc/$PPID/root/" && escaped root; ls -l "/proc/$PPID/fd/" && escaped fd
           (: < "/proc/$PPID/mem") && escaped mem"#,
    ),
    escape(
        "send signals to other processes",
        Feature::Signals,
        r#"kill -0 "$PPID" && escaped its keeper
           for process in /proc/[0-9]*; do
             pid=${process#/proc/}; [ "$pid" = "$$" ] && continue
             kill -0 "$pid" || continue
             ours=$(tr '\0' '\n' < "$process/environ" | grep -c "^CONDUCTOR_TASK_ID=$own$")
             [ "$ours" = 1 ] || [ ! -e "$process/environ" ] || escaped "$pid"
           done"#,
    ),
    escape(
        "kill everything",
        Feature::Signals,
        r#"kill -0 "$PPID" && escaped its keeper can be signalled, so nothing was killed
           command -v pkill && pkill -9 -f '^[^ ]*conductor'; kill -9 -1"#,
    ),
    escape(
        "connect to Unix sockets",
        Feature::LocalSockets,
        r#"needs perl; echo "$ESCAPE_SOCKETS" | while read -r path; do
             case $path in ''|@*) continue;; esac
             perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0) && connect(S, sockaddr_un($ARGV[0])) or exit 1' "$path" && exit 10
           done; [ $? = 10 ] && escaped a socket"#,
    ),
    escape(
        "connect to abstract sockets",
        Feature::LocalSockets,
        r#"needs perl; echo "$ESCAPE_SOCKETS" | while read -r path; do
             case $path in @*) ;; *) continue;; esac
             perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0) && connect(S, sockaddr_un("\0" . substr($ARGV[0], 1))) or exit 1' \
               "$path" && exit 10
           done; [ $? = 10 ] && escaped a socket"#,
    ),
    escape(
        "use shared memory of System V",
        Feature::LocalSockets,
        r#"needs perl; perl -e '$id = shmget(0, 4096, 01600); exit 1 unless defined $id; shmctl($id, 0, 0); exit 0' && escaped shmget"#,
    ),
    always(
        "have capabilities or get privileges",
        r#"grep -q '^NoNewPrivs:.*1$' /proc/self/status || escaped new privileges
           for set in CapInh CapPrm CapEff CapBnd CapAmb; do
             value=$(sed -n "s/^$set://p" /proc/self/status | tr -d '0\t ')
             # Whoever is not root cannot empty the last set, from which nothing comes without new privileges.
             [ -z "$value" ] || { [ "$set" = CapBnd ] && [ "$(id -u)" != 0 ]; } || escaped "$set $value"
           done"#,
    ),
    escape(
        "mount something over it",
        Feature::Files,
        r#"mkdir -p over; mount -t tmpfs none over && { umount over; escaped mount; }
           command -v unshare && unshare -Ur mount -t tmpfs none over && escaped mount in a namespace of its own"#,
    ),
    escape(
        "reach a device",
        Feature::Files,
        r#"for device in /dev/mem /dev/kmsg /dev/kvm /dev/sda /dev/vda /dev/fuse /dev/net/tun /dev/ptmx; do
             [ -e "$device" ] || continue; (: < "$device") && escaped "$device"; done"#,
    ),
    always(
        "leave a daemon",
        r#"setsid nohup sh -c 'trap "" TERM HUP INT; while :; do sleep 1000; done' escape-daemon > /dev/null 2>&1 & true"#,
    ),
];

/// Looks for the daemon that an earlier task tried to leave.
pub const DAEMON_IS_GONE: Escape = always(
    "leave a daemon that outlives its task",
    r#"for process in /proc/[0-9]*; do
         tr '\0' ' ' < "$process/cmdline" | grep -q 'escape[-]daemon' && escaped "$process"; done"#,
);

impl Escape {
    /// The command of a task that tries it.
    #[must_use]
    pub fn command(&self) -> Vec<String> {
        ["sh", "-c", &format!("{PRELUDE}\n{}\nexit 0", self.script)].map(str::to_owned).into()
    }
}
