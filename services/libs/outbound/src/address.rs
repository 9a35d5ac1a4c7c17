//! Where Conductor may connect to: public addresses, and those that the owner allows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use conductor_runtime::config::Reachable;

/// Whether a host may be reached at an address.
#[must_use]
pub fn may_reach(allowed: &[Reachable], host: &str, at: IpAddr) -> bool {
    is_public(at) || allowed.iter().any(|reachable| reachable.holds(host, at))
}

/// Whether an address belongs to nobody in particular's own network.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => is_public_v4(inner),
            // 2000::/3 is what is given out; the rest is loopback, private, link-local, multicast or nobody's.
            None => address.segments()[0] & 0xe000 == 0x2000,
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        (0 | 10 | 127 | 224..=255, _, _) => true,
        // Shared by carriers, link-local, and between a network's own machines.
        (100, 64..=127, _) | (169, 254, _) | (172, 16..=31, _) | (192, 168, _) => true,
        // For protocols and for benchmarks.
        (192, 0, 0) | (198, 18 | 19, _) => true,
        _ => false,
    };
    !special
}

/// The IPv4 address that an IPv6 address stands for.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low));
    match (a, b, c, d, e, f) {
        // Mapped, compatible, and translated addresses.
        (0, 0, 0, 0, 0, 0xffff | 0) | (0, 0, 0, 0, 0xffff, 0) | (0x64, 0xff9b, 0, 0, 0, 0) => {
            Some(v4(high, low))
        }
        (0x64, 0xff9b, 1, _, _, _) => Some(Ipv4Addr::LOCALHOST),
        // 6to4 holds it behind its prefix; Teredo leads to whom it pleases.
        (0x2002, high, low, ..) => Some(v4(high, low)),
        (0x2001, 0, ..) => Some(Ipv4Addr::LOCALHOST),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn addresses_of_this_machine_and_of_private_networks_are_not_public() {
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(ip(text)), "{text}");
        }
        for text in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "192.0.2.1", "2606:4700::1", "::ffff:8.8.8.8"] {
            assert!(is_public(ip(text)), "{text}");
        }
    }

    #[test]
    fn what_the_owner_allows_may_be_reached_and_nothing_beside_it() {
        let allowed = ["10.1.0.0/16", "hooks.internal"].map(|text| text.parse().expect("one"));
        assert!(may_reach(&allowed, "x", ip("10.1.2.3")));
        assert!(!may_reach(&allowed, "x", ip("10.2.2.3")));
        assert!(may_reach(&allowed, "hooks.internal", ip("192.168.1.1")));
        assert!(!may_reach(&allowed, "other.internal", ip("192.168.1.1")));
    }
}
