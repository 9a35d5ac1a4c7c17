//! Ways out by the network.

use super::{Escape, Feature, escape};

/// The variable with servers that no run is to reach, `ADDRESS:PORT`, one a line.
pub const TARGETS: &str = "ESCAPE_TARGETS";

/// Each tries to reach what a run may not, where egress is held.
pub const NETWORK: [Escape; 5] = [
    escape(
        "connect past the proxy",
        Feature::Tcp,
        r#"needs perl; for target in $ESCAPE_TARGETS; do
             perl -MSocket -e 'alarm 5; ($host, $port) = $ARGV[0] =~ /^(.*):(\d+)$/;
               socket(S, PF_INET, SOCK_STREAM, 0) && connect(S, sockaddr_in($port, inet_aton($host))) or exit 1' "$target" \
               && escaped "$target"; done"#,
    ),
    escape(
        "send datagrams",
        Feature::Tcp,
        // An address that documents use and nobody has.
        r#"needs perl; perl -MSocket -e 'socket(S, PF_INET, SOCK_DGRAM, 0) or exit 1;
             defined send(S, "x", 0, sockaddr_in(53, inet_aton("192.0.2.1"))) or exit 1' && escaped a datagram"#,
    ),
    escape(
        "send packets of its own making",
        Feature::Tcp,
        r#"needs perl; perl -MSocket -e 'socket(S, PF_INET, SOCK_RAW, 1) or exit 1' && escaped a raw socket"#,
    ),
    escape("resolve names", Feature::Tcp, r#"needs getent; getent hosts example.com && escaped a name"#),
    escape(
        "have the proxy connect to this machine and to hosts that are on no list",
        Feature::Tcp,
        r#"needs perl; [ -n "$https_proxy" ] || exit 0
           for target in 127.0.0.1:22 localhost:8081 169.254.169.254:80 10.0.0.1:443 [::1]:8080 no-list.example:443; do
             perl -MSocket -e 'alarm 10; ($user, $host, $port) = $ENV{https_proxy} =~ m{^http://([^@]*)@([^:]*):(\d+)} or exit 1;
               $b = pack("u", $user); $b =~ s/^.//mg; $b =~ s/\n//g; $b =~ tr|` -_|AA-Za-z0-9+/|;
               $pad = (3 - length($user) % 3) % 3; substr($b, -$pad) = "=" x $pad if $pad;
               socket(S, PF_INET, SOCK_STREAM, 0) && connect(S, sockaddr_in($port, inet_aton($host))) or exit 1;
               syswrite S, "CONNECT $ARGV[0] HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic $b\r\n\r\n"; sysread S, $said, 64;
               print "$ARGV[0]: $said\n"; exit($said =~ /^HTTP\/1.1 2/ ? 0 : 1)' "$target" && escaped "$target"
           done"#,
    ),
];
