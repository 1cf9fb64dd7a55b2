//! Turns a name below the domain into a typed question. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::{Name, RecordType};

use crate::backend::Reach;

/// What a name below the domain asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// `[tag.]name.service[.dc]`, `_name._tag.service[.dc]`, `name.connect[.dc]`, `name.ingress[.dc]`.
    Service { name: String, reach: Reach, tag: Option<String>, place: Place },
    /// `name.node[.dc]`; the name may contain dots.
    Node { name: String, place: Place },
    /// `<8 or 32 hex digits>.addr`.
    Address(IpAddr),
    /// `name.virtual`: the address a mesh would give. There is no mesh, hence never an address, but the name exists.
    Virtual,
    /// `name.query[.dc]`, `_name._anything.query[.dc]`; the name may contain dots.
    Query { name: String, place: Place },
    /// A name behind which there is nothing, for it is none of ours.
    Nothing,
    /// A name that no server can look up, such as `_._.service`.
    Impossible,
}

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the agent's own datacenter.
    Here,
    /// In this one.
    Datacenter(String),
    /// At a peer of this name; there are none.
    Peer,
}

/// Parses the labels before the domain, in lower case. `_name._tag` without `service` is for SRV only.
pub(super) fn parse(labels: &[String], kind: RecordType) -> Question {
    for (at, label) in labels.iter().enumerate().rev() {
        let (parts, suffix) = (&labels[..at], &labels[at + 1..]);
        match label.as_str() {
            "service" => return service(parts, suffix),
            "node" => return node(parts, suffix),
            "addr" => return address(parts),
            "virtual" if parts.is_empty() || place(suffix).is_none() => return Question::Nothing,
            "virtual" => return Question::Virtual,
            "query" => return query(parts, suffix),
            "connect" => return through(parts, suffix, Reach::Connect),
            "ingress" => return through(parts, suffix, Reach::Ingress),
            _ if kind == RecordType::SRV && label.starts_with('_') => return service(&labels[..=at], suffix),
            _ => {}
        }
    }
    Question::Nothing
}

fn service(parts: &[String], suffix: &[String]) -> Question {
    let (Some((last, before)), Some(place)) = (parts.split_last(), place(suffix)) else {
        return Question::Nothing;
    };
    if let Some((name, tag)) = after_rfc_2782(parts) {
        if name.is_empty() {
            return Question::Impossible;
        }
        // RFC 2782's protocol label; only `_tcp` says nothing about tags.
        let tag = Some(tag).filter(|tag| !tag.is_empty() && *tag != "tcp").map(str::to_owned);
        return Question::Service { name: name.to_owned(), reach: Reach::Itself, tag, place };
    }
    let tag = if before.is_empty() { None } else { Some(before.join(".")) };
    Question::Service { name: last.clone(), reach: Reach::Itself, tag, place }
}

/// What stands before the name does not count here.
fn through(parts: &[String], suffix: &[String], reach: Reach) -> Question {
    match (parts.last(), place(suffix)) {
        (Some(name), Some(place)) => Question::Service { name: name.clone(), reach, tag: None, place },
        _ => Question::Nothing,
    }
}

/// The name and the protocol of `_name._protocol` (RFC 2782).
fn after_rfc_2782(parts: &[String]) -> Option<(&str, &str)> {
    let [name, protocol] = parts else { return None };
    Some((name.strip_prefix('_')?, protocol.strip_prefix('_')?))
}

/// Nothing but a datacenter may follow the label, and that without `dc`.
fn query(parts: &[String], suffix: &[String]) -> Question {
    let place = match suffix {
        [] => Place::Here,
        [datacenter] => Place::Datacenter(datacenter.clone()),
        _ => return Question::Nothing,
    };
    match after_rfc_2782(parts) {
        Some(("", _)) => Question::Impossible,
        Some((name, _)) => Question::Query { name: name.to_owned(), place },
        None if parts.is_empty() => Question::Nothing,
        None => Question::Query { name: parts.join("."), place },
    }
}

fn node(parts: &[String], suffix: &[String]) -> Question {
    match place(suffix) {
        Some(place) if !parts.is_empty() => Question::Node { name: parts.join("."), place },
        _ => Question::Nothing,
    }
}

/// What follows the label is not looked at.
fn address(parts: &[String]) -> Question {
    let [digits] = parts else { return Question::Nothing };
    let hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let address = match (hex, digits.len()) {
        (true, 8) => u32::from_str_radix(digits, 16).ok().map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        (true, 32) => u128::from_str_radix(digits, 16).ok().map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
        _ => None,
    };
    address.map_or(Question::Nothing, Question::Address)
}

/// What follows the kind: nothing, a datacenter, or pairs such as `dc1.dc`.
fn place(suffix: &[String]) -> Option<Place> {
    match suffix {
        [] => Some(Place::Here),
        [datacenter] => Some(Place::Datacenter(datacenter.clone())),
        [_, _] | [_, _, _, _] => {
            let mut place = Place::Here;
            for pair in suffix.chunks_exact(2) {
                place = match (pair[1].as_str(), place) {
                    ("dc", Place::Here | Place::Datacenter(_)) => Place::Datacenter(pair[0].clone()),
                    ("peer", Place::Here | Place::Peer) => Place::Peer,
                    _ => return None,
                };
            }
            Some(place)
        }
        _ => None,
    }
}

/// The address in a name below `in-addr.arpa.` or `ip6.arpa.`; `None` when it is not a whole one.
pub(super) fn reverse(name: &Name) -> Option<IpAddr> {
    let labels: Vec<String> = name.iter().map(label_text).collect();
    let [rest @ .., zone, _arpa] = labels.as_slice() else { return None };
    match zone.as_str() {
        "in-addr" if rest.len() == 4 => {
            let text: Vec<&str> = rest.iter().rev().map(String::as_str).collect();
            text.join(".").parse().ok().map(IpAddr::V4)
        }
        "ip6" if rest.len() == 32 && rest.iter().all(|digit| digit.len() == 1) => {
            let digits: String = rest.iter().rev().map(String::as_str).collect();
            let hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            let bits = u128::from_str_radix(&digits, 16).ok().filter(|_| hex)?;
            // An IPv4 address written as IPv6 has its name in the other zone only (as recorded).
            Some(Ipv6Addr::from_bits(bits)).filter(|ip| ip.to_ipv4_mapped().is_none()).map(IpAddr::V6)
        }
        _ => None,
    }
}

/// A label in lower case. Bytes that could be taken for something else are escaped, so that they match no name.
pub(super) fn label_text(label: &[u8]) -> String {
    let mut text = String::with_capacity(label.len());
    for byte in label {
        match byte {
            b'.' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b'!'..=b'~' => text.push(char::from(byte.to_ascii_lowercase())),
            _ => text.push_str(&format!("\\{byte:03}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(name: &str, kind: RecordType) -> Question {
        let labels: Vec<String> = name.split('.').filter(|l| !l.is_empty()).map(str::to_owned).collect();
        parse(&labels, kind)
    }

    fn web(name: &str, tag: Option<&str>, place: Place) -> Question {
        let (name, tag) = (name.into(), tag.map(str::to_owned));
        Question::Service { name, reach: Reach::Itself, tag, place }
    }

    #[test]
    fn services_with_tags_and_datacenters() {
        let dc = |name: &str| Place::Datacenter(name.into());
        let table = [
            ("web.service", web("web", None, Place::Here)),
            ("t.web.service", web("web", Some("t"), Place::Here)),
            ("a.b.web.service.dc1", web("web", Some("a.b"), dc("dc1"))),
            ("web.service.dc1.dc", web("web", None, dc("dc1"))),
            ("web.service.p.peer", web("web", None, Place::Peer)),
            ("web.service.dc1.x", Question::Nothing),
            ("web.service.default.ns.dc1.dc", Question::Nothing),
            ("web.service.a.b.c", Question::Nothing),
            ("service", Question::Nothing),
            ("node.service", web("node", None, Place::Here)),
            ("web.service.service", web("service", Some("web"), Place::Here)),
            ("web.services", Question::Nothing),
            ("", Question::Nothing),
        ];
        for (name, wanted) in table {
            assert_eq!(ask(name, RecordType::A), wanted, "{name}");
        }
    }

    #[test]
    fn names_after_rfc_2782() {
        let table = [
            ("_web._tcp.service", web("web", None, Place::Here)),
            ("_web._udp.service", web("web", Some("udp"), Place::Here)),
            ("_web._.service", web("web", None, Place::Here)),
            ("_._.service", Question::Impossible),
            ("__._tcp.service", web("_", None, Place::Here)),
            ("web._tcp.service", web("_tcp", Some("web"), Place::Here)),
            ("_web.service", web("_web", None, Place::Here)),
            ("x._web._tcp.service", web("_tcp", Some("x._web"), Place::Here)),
        ];
        for (name, wanted) in table {
            assert_eq!(ask(name, RecordType::A), wanted, "{name}");
        }
        let short = web("web", None, Place::Datacenter("dc1".into()));
        assert_eq!(ask("_web._tcp.dc1", RecordType::SRV), short);
        assert_eq!(ask("_web._tcp.dc1", RecordType::A), Question::Nothing);
    }

    #[test]
    fn nodes_addresses_and_the_rest() {
        let node = Question::Node { name: "a.b".into(), place: Place::Here };
        assert_eq!(ask("a.b.node", RecordType::A), node);
        assert_eq!(ask("node", RecordType::A), Question::Nothing);
        assert_eq!(ask("7f000001.addr.nodc", RecordType::A), Question::Address([127, 0, 0, 1].into()));
        for odd in ["7f00000.addr", "+f000001.addr", "zz000001.addr", "x.7f000001.addr", "addr"] {
            assert_eq!(ask(odd, RecordType::A), Question::Nothing, "{odd}");
        }
        assert_eq!(ask("web.virtual.dc1", RecordType::A), Question::Virtual);
        let through =
            |name: &str, reach, place| Question::Service { name: name.into(), reach, tag: None, place };
        assert_eq!(ask("v1.web.connect", RecordType::A), through("web", Reach::Connect, Place::Here));
        let dc1 = Place::Datacenter("dc1".into());
        assert_eq!(ask("web.ingress.dc1.dc", RecordType::SRV), through("web", Reach::Ingress, dc1));
        assert_eq!(ask("connect", RecordType::A), Question::Nothing);
    }

    #[test]
    fn prepared_queries() {
        let query = |name: &str, place| Question::Query { name: name.into(), place };
        let dc1 = || Place::Datacenter("dc1".into());
        let table = [
            ("pq.query", query("pq", Place::Here)),
            ("a.b.query.dc1", query("a.b", dc1())),
            ("_pq._tcp.query", query("pq", Place::Here)),
            ("_pq._x.query.dc1", query("pq", dc1())),
            ("_pq._.query", query("pq", Place::Here)),
            ("__pq._tcp.query", query("_pq", Place::Here)),
            ("_pq.query", query("_pq", Place::Here)),
            ("pq._tcp.query", query("pq._tcp", Place::Here)),
            ("x._pq._tcp.query", query("x._pq._tcp", Place::Here)),
            ("_._x.query", Question::Impossible),
            ("query", Question::Nothing),
            ("pq.query.dc1.dc", Question::Nothing),
            ("pq.query.p.peer", Question::Nothing),
        ];
        for (name, wanted) in table {
            for kind in [RecordType::A, RecordType::SRV] {
                assert_eq!(ask(name, kind), wanted, "{name}");
            }
        }
    }

    #[test]
    fn reverse_names() {
        let at = |name: &str| reverse(&Name::from_ascii(name).unwrap());
        assert_eq!(at("5.0.36.10.IN-ADDR.arpa."), Some([10, 36, 0, 5].into()));
        let v6 = "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.3.0.0.8.b.d.0.1.0.0.2.ip6.arpa.";
        assert_eq!(at(v6), Some("2001:db8:36::5".parse().unwrap()));
        let mapped = "4.0.0.0.1.0.a.0.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.";
        assert_eq!(at(mapped), None);
        for odd in ["0.99.10.in-addr.arpa.", "x.y.in-addr.arpa.", "arpa.", "in-addr.arpa.", "1.2.ip6.arpa."] {
            assert_eq!(at(odd), None, "{odd}");
        }
    }

    #[test]
    fn odd_bytes_match_no_name() {
        assert_eq!(label_text(b"We.B\x00"), "we\\.b\\000");
    }
}
