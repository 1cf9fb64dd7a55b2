//! `include` and `exclude`, `unique`, `limit` and `offset`.

use std::{collections::BTreeSet, net::IpAddr};

use regex::Regex;

use crate::{Address, rfc};

/// Keeps what a selector fits, `include "name" "^eth"`; errors in go-sockaddr's words.
pub(crate) fn include(selector: &str, wanted: &str, all: Vec<Address>) -> Result<Vec<Address>, String> {
    let selector = selector.to_lowercase();
    if selector == "rfc" {
        // One RFC after the other, so that the first named comes first.
        let mut found = Vec::new();
        for number in wanted.split('|') {
            let number = rfc_number(number)?;
            found.extend(all.iter().filter(|address| rfc::is_in(address.ip, number)).cloned());
        }
        return Ok(found);
    }
    let fits = condition(&selector, wanted, &all, "include")?;
    Ok(all.into_iter().filter(|address| fits(address)).collect())
}

/// Drops what a selector fits.
pub(crate) fn exclude(selector: &str, wanted: &str, all: Vec<Address>) -> Result<Vec<Address>, String> {
    let selector = selector.to_lowercase();
    if selector == "rfc" {
        let numbers = wanted.split('|').map(rfc_number).collect::<Result<Vec<_>, _>>()?;
        let fits = |address: &Address| numbers.iter().any(|number| rfc::is_in(address.ip, *number));
        return Ok(all.into_iter().filter(|address| !fits(address)).collect());
    }
    let fits = condition(&selector, wanted, &all, "exclude")?;
    Ok(all.into_iter().filter(|address| !fits(address)).collect())
}

type Condition = Box<dyn Fn(&Address) -> bool>;

fn condition(selector: &str, wanted: &str, all: &[Address], function: &str) -> Result<Condition, String> {
    Ok(match selector {
        "name" => {
            let pattern = pattern("name", wanted)?;
            Box::new(move |address| pattern.is_match(&address.name))
        }
        "address" => {
            let pattern = pattern("address", wanted)?;
            Box::new(move |address| pattern.is_match(&address.ip.to_string()))
        }
        "port" => {
            // An interface's address has none.
            let fits = pattern("port", wanted)?.is_match("0");
            Box::new(move |_| fits)
        }
        "flag" | "flags" => {
            let flags = wanted.to_lowercase().split('|').map(flag).collect::<Result<Vec<_>, _>>()?;
            Box::new(move |address| flags.iter().all(|fits| fits(address)))
        }
        "network" => {
            let network = |text: &str| {
                rfc::read_network(text).ok_or_else(|| {
                    format!("unable to create an IP address from {text:?}: invalid IPAddr {text}")
                })
            };
            let networks = wanted.split('|').map(network).collect::<Result<Vec<_>, _>>()?;
            // The address's own network must lie within.
            Box::new(move |address| {
                let lies_in = |(ip, bits): &(IpAddr, u8)| {
                    address.bits >= *bits && rfc::is_within(address.ip, (*ip, *bits))
                };
                networks.iter().any(lies_in)
            })
        }
        "type" => {
            let kinds = wanted.split('|').map(|kind| kind_of(kind, wanted)).collect::<Result<Vec<_>, _>>()?;
            Box::new(move |address| kinds.iter().any(|fits| fits(&address.ip)))
        }
        "size" => {
            let bits = mask_bits(wanted, all.first())?;
            Box::new(move |address| address.bits == bits)
        }
        _ => return Err(format!("invalid {function} selector {selector:?}")),
    })
}

pub(crate) fn pattern(what: &str, text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| {
        let reason = match &error {
            regex::Error::Syntax(report) if report.contains("unclosed group") => {
                format!("missing closing ): `{text}`")
            }
            other => {
                other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
            }
        };
        format!("Unable to compile {what} regexp {text:?}: error parsing regexp: {reason}")
    })
}

fn flag(name: &str) -> Result<fn(&Address) -> bool, String> {
    Ok(match name {
        "broadcast" => |address| address.has_flag("broadcast"),
        // go-sockaddr looks for an interface without any flag set to one, which fits all of them.
        "down" => |_| true,
        "forwardable" => |address| rfc::is_forwardable(address.ip),
        "global unicast" => |address| is_global(address.ip),
        "interface-local multicast" => |address| v6_start(address.ip, 0xff0f) == Some(0xff01),
        "link-local multicast" => |address| match address.ip {
            IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
            v6 => v6_start(v6, 0xff0f) == Some(0xff02),
        },
        "link-local unicast" => |address| is_link_local(address.ip),
        "loopback" => |address| address.has_flag("loopback"),
        "multicast" => |address| address.has_flag("multicast"),
        "point-to-point" => |address| address.has_flag("pointtopoint"),
        "unspecified" => |address| address.ip.is_unspecified(),
        "up" => |address| address.has_flag("up"),
        _ => return Err(format!("Unknown interface flag: {name:?}")),
    })
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Private addresses count, as in Go.
fn is_global(ip: IpAddr) -> bool {
    let is_broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    !(is_broadcast || ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || is_link_local(ip))
}

fn v6_start(ip: IpAddr, mask: u16) -> Option<u16> {
    match ip {
        IpAddr::V6(v6) => Some(v6.segments()[0] & mask),
        IpAddr::V4(_) => None,
    }
}

fn kind_of(kind: &str, wanted: &str) -> Result<fn(&IpAddr) -> bool, String> {
    Ok(match kind.to_lowercase().as_str() {
        "ip" => |_| true,
        "ipv4" => IpAddr::is_ipv4,
        "ipv6" => IpAddr::is_ipv6,
        // Interfaces have none.
        "unix" => |_| false,
        _ => return Err(format!("unsupported type {kind:?} {wanted:?}")),
    })
}

fn mask_bits(wanted: &str, first: Option<&Address>) -> Result<u8, String> {
    let bits: u64 = wanted.parse().map_err(|_| {
        format!("invalid exclude size argument ({wanted:?}): strconv.ParseUint: parsing {wanted:?}: invalid syntax")
    })?;
    let (width, kind) = match first {
        Some(first) if first.ip.is_ipv4() => (32, "IPv4"),
        _ => (128, "IPv6"),
    };
    match u8::try_from(bits) {
        Ok(bits) if bits <= width || first.is_none() => Ok(bits),
        _ => Err(format!("mask size out of bounds for {kind} address: {bits}")),
    }
}

fn rfc_number(text: &str) -> Result<u32, String> {
    let number = text.trim().parse::<u32>().map_err(|_| {
        format!("unable to parse RFC number {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax")
    });
    let known = number.and_then(|number| match rfc::blocks(number) {
        Some(_) => Ok(number),
        None => Err(format!("unsupported RFC {number}")),
    });
    known.map_err(|why| format!("unable to lookup RFC number {text:?}: {why}"))
}

/// The first address of each name, or each address once.
pub(crate) fn unique(by: &str, all: Vec<Address>) -> Result<Vec<Address>, String> {
    let key: fn(&Address) -> String = match by.to_lowercase().as_str() {
        "address" => |address| address.ip.to_string(),
        "name" => |address| address.name.clone(),
        _ => return Err(format!("unsupported unique constraint {by:?}")),
    };
    let mut seen = BTreeSet::new();
    Ok(all.into_iter().filter(|address| seen.insert(key(address))).collect())
}

/// Leaves out the first ones; a negative number keeps so many of the last.
pub(crate) fn offset(by: i64, mut all: Vec<Address>) -> Result<Vec<Address>, String> {
    let steps = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX);
    if steps > all.len() {
        return Err(format!(
            "unable to seek past the end of the interface array: offset ({steps}) exceeds the number of interfaces ({})",
            all.len()
        ));
    }
    let from = if by < 0 { all.len() - steps } else { steps };
    Ok(all.split_off(from))
}
