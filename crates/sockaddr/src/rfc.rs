//! Blocks of addresses, by the RFC that speaks of them. Rows are what go-sockaddr answers for these numbers.

use std::net::IpAddr;

use crate::machine::mask;

const V6_DOCUMENTATION: &str = "2001:db8::/32";

/// Numbers and blocks, as far as an interface may have one of their addresses.
const TABLE: &[(u32, &[&str])] = &[
    (919, &["255.255.255.255/32"]),
    (1112, &["224.0.0.0/4"]),
    (1122, &["0.0.0.0/8", "127.0.0.0/8"]),
    (1918, &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]),
    (2544, &["198.18.0.0/15"]),
    (2765, &["::ffff:0:0/96"]),
    (2928, &["2001::/16"]),
    (3056, &["2002::/16"]),
    (3068, &["192.88.99.0/24"]),
    (3171, &["224.0.0.0/4"]),
    (
        3330,
        &[
            "0.0.0.0/8",
            "10.0.0.0/8",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ],
    ),
    (3849, &[V6_DOCUMENTATION]),
    (3927, &["169.254.0.0/16"]),
    (4038, &["::ffff:0:0/96"]),
    (4193, &["fc00::/7"]),
    (4291, &["::/96", "fe80::/10", "fec0::/10", "ff00::/8"]),
    (4380, &["2001::/32"]),
    (4773, &["2001::/23"]),
    (4843, &["2001:10::/28"]),
    (5180, &["2001:200::/48"]),
    (5735, &["192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"]),
    (5737, &["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"]),
    (6052, &["64:ff9b::/96"]),
    (6333, &["192.0.0.0/29"]),
    (6598, &["100.64.0.0/10"]),
    (6666, &["100::/64"]),
    (
        6890,
        &[
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "240.0.0.0/4",
            "::/128",
            "::1/128",
            "64:ff9b::/96",
            "100::/64",
            "2001::/16",
            "2002::/16",
            "fc00::/7",
            "fe80::/10",
        ],
    ),
    (7335, &["192.0.0.0/29"]),
];

/// Blocks whose addresses no router hands on.
const NOT_FORWARDED: &[&str] = &[
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "2001:10::/28",
    V6_DOCUMENTATION,
    "fe80::/10",
];

/// The blocks of an RFC; `None` for a number that is not in the table.
pub(crate) fn blocks(number: u32) -> Option<&'static [&'static str]> {
    TABLE.iter().find(|(known, _)| *known == number).map(|(_, blocks)| *blocks)
}

/// Whether an address is in a block that an RFC of the table speaks of.
pub(crate) fn is_in(ip: IpAddr, number: u32) -> bool {
    blocks(number).unwrap_or_default().iter().any(|block| contains(block, ip))
}

/// Whether routers hand packets to this address on.
pub(crate) fn is_forwardable(ip: IpAddr) -> bool {
    !NOT_FORWARDED.iter().any(|block| contains(block, ip))
}

fn contains(block: &str, ip: IpAddr) -> bool {
    let network = read_network(block).expect("the table's blocks are networks");
    is_within(ip, network)
}

/// Reads `10.0.0.0/8`, or an address, which is a network of its own.
pub(crate) fn read_network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/').unwrap_or((text, ""));
    let ip: IpAddr = address.parse().ok()?;
    let width = if ip.is_ipv4() { 32 } else { 128 };
    let bits = if bits.is_empty() && !text.ends_with('/') { width } else { bits.parse().ok()? };
    (bits <= width).then_some((ip, bits))
}

/// Whether an address is in a network.
pub(crate) fn is_within(ip: IpAddr, (network, bits): (IpAddr, u8)) -> bool {
    match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            u128::from(u32::from(ip) ^ u32::from(network)) & mask(bits, 32) == 0
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => {
            (u128::from(ip) ^ u128::from(network)) & mask(bits, 128) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_can_be_read() {
        for block in TABLE.iter().flat_map(|(_, blocks)| *blocks).chain(NOT_FORWARDED) {
            assert!(read_network(block).is_some(), "{block}");
        }
        assert_eq!(read_network("10.0.0.0/"), None);
        assert_eq!(read_network("10.0.0.0/33"), None);
        assert_eq!(read_network("bad"), None);
    }
}
