//! Records from nodes and instances. Pure: what was found and the settings in, records out.

use std::{net::IpAddr, time::Duration};

use hickory_proto::rr::{
    Name, RData, Record, RecordType,
    rdata::{A, AAAA, CNAME, SOA, SRV, TXT},
};
use registry_wire::catalog::{CheckServiceNode, Node, TextMap};

use super::{
    address::{self, Family},
    settings::Settings,
};

/// The longest character string of a TXT record (RFC 1035 §3.3).
const TEXT_BYTES_MAX: usize = 255;
/// Node meta of such a key is given as its value alone.
const VALUE_ONLY_PREFIX: &str = "rfc1035-";

/// Whether DNS gives this instance at all: not critical (its node's checks count too), with the tag asked for.
pub(super) fn is_given(instance: &CheckServiceNode, tag: Option<&str>, only_passing: bool) -> bool {
    let healthy = instance.checks.iter().all(|check| match check.status.as_str() {
        "critical" => false,
        "passing" => true,
        _ => !only_passing,
    });
    let tags = || instance.service.tags.iter().flatten();
    healthy && tag.is_none_or(|wanted| tags().any(|tag| tag.eq_ignore_ascii_case(wanted)))
}

/// Where an instance is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// At its node's own address.
    Node(IpAddr),
    /// At an address that is not the node's first one.
    Own(IpAddr),
    /// Behind this name.
    Name(&'a str),
}

/// Where the instance is found by a question for this name; `None` when it has no address of the family.
pub(super) fn target<'a>(
    instance: &'a CheckServiceNode,
    asked: &Name,
    family: Family,
    wan: bool,
) -> Option<Target<'a>> {
    let (node, service) = (&instance.node, &instance.service);
    let node_address = address::of_node(node, family, wan);
    let at_node = |text: &'a str| match address::parse_ip(text) {
        Some(ip) if text == node.address => Target::Node(ip),
        Some(ip) => Target::Own(ip),
        None => Target::Name(text),
    };
    let own = match address::of_instance(service, family, wan) {
        Some(own) => own,
        None if address::has_own(service, wan) => return None,
        None => return node_address.map(at_node),
    };
    if let Some(ip) = address::parse_ip(own) {
        return Some(Target::Own(ip));
    }
    // An instance that gives its own service's name as its address means its node.
    if address::parse_ip(&node.address).is_some() && fqdn(own).is_some_and(|name| name == *asked) {
        return node_address.and_then(address::parse_ip).map(Target::Node);
    }
    Some(Target::Name(own))
}

/// The A or AAAA record of an address, if questions of this type are given it. TXT is answered with addresses too (as
/// recorded); MX and the like are not.
pub(super) fn address_record(kind: RecordType, ip: IpAddr, name: &Name, ttl: u32) -> Option<Record> {
    let any = matches!(kind, RecordType::SRV | RecordType::ANY | RecordType::NS | RecordType::TXT);
    let data = match ip {
        IpAddr::V4(ip) if any || kind == RecordType::A => RData::A(A(ip)),
        IpAddr::V6(ip) if any || kind == RecordType::AAAA => RData::AAAA(AAAA(ip)),
        _ => return None,
    };
    Some(Record::from_rdata(name.clone(), ttl, data))
}

/// A CNAME record; `None` when the target is no DNS name.
pub(super) fn cname_record(name: &Name, target: &str, ttl: u32) -> Option<Record> {
    Some(Record::from_rdata(name.clone(), ttl, RData::CNAME(CNAME(fqdn(target)?))))
}

/// The SRV record of an instance.
pub(super) fn srv_record(
    instance: &CheckServiceNode,
    name: &Name,
    target: Name,
    wan: bool,
    ttl: u32,
) -> Record {
    let port = address::port_of(&instance.service, wan);
    Record::from_rdata(name.clone(), ttl, RData::SRV(SRV::new(1, weight(instance), port, target)))
}

/// What makes two instances of a service one SRV record: node, own address and port.
pub(super) fn srv_identity(instance: &CheckServiceNode, wan: bool) -> (&str, Option<&str>, u16) {
    let own = address::of_instance(&instance.service, Family::Any, wan);
    (&instance.node.node, own, address::port_of(&instance.service, wan))
}

fn weight(instance: &CheckServiceNode) -> u16 {
    let weights = instance.service.weights;
    let state = |status: &str| instance.checks.iter().any(|check| check.status == status);
    let weight = match (state("critical"), state("warning")) {
        (true, _) => 0,
        (false, true) => weights.warning,
        (false, false) => weights.passing,
    };
    u16::try_from(weight).unwrap_or(if weight < 0 { 0 } else { u16::MAX })
}

/// `<node>.node.<datacenter>.<domain>`; `None` when that is no DNS name.
pub(super) fn node_name(node: &Node, settings: &Settings, domain: &Name) -> Option<Name> {
    canonical_name(&node.node, "node", datacenter_of(node, settings), domain)
}

/// `<name>.<kind>.<datacenter>.<domain>`; `None` when that is no DNS name.
pub(super) fn canonical_name(name: &str, kind: &str, datacenter: &str, domain: &Name) -> Option<Name> {
    let labels = name.split('.').chain([kind, datacenter]).map(str::as_bytes);
    Name::from_labels(labels.chain(domain.iter())).ok()
}

/// `<hex>.addr.<datacenter>.<domain>`: the name of an address that is nobody's name.
pub(super) fn address_name(ip: IpAddr, datacenter: &str, domain: &Name) -> Option<Name> {
    let hex = match ip {
        IpAddr::V4(ip) => format!("{:08x}", ip.to_bits()),
        IpAddr::V6(ip) => format!("{:032x}", ip.to_bits()),
    };
    canonical_name(&hex, "addr", datacenter, domain)
}

pub(super) fn datacenter_of<'a>(node: &'a Node, settings: &'a Settings) -> &'a str {
    if node.datacenter.is_empty() { &settings.datacenter } else { &node.datacenter }
}

/// The name in this text, with or without a final dot; `None` when it is no DNS name.
pub(super) fn fqdn(text: &str) -> Option<Name> {
    if text == "." {
        return Some(Name::root());
    }
    let labels = text.strip_suffix('.').unwrap_or(text).split('.');
    Name::from_labels(labels.map(str::as_bytes)).ok()
}

/// A TXT record for each pair of a node's meta.
pub(super) fn meta_records(meta: Option<&TextMap>, name: &Name, ttl: u32) -> Vec<Record> {
    let record = |(key, value): (&String, &String)| {
        let text = unescape(&meta_text(key, value));
        // Consul falls silent when a text is too long for one string; RFC 1035 has several strings for that.
        let strings = if text.is_empty() { vec![&text[..]] } else { text.chunks(TEXT_BYTES_MAX).collect() };
        Record::from_rdata(name.clone(), ttl, RData::TXT(TXT::from_bytes(strings)))
    };
    meta.into_iter().flatten().map(record).collect()
}

/// `key=value` after RFC 1464: a backquote goes before what could be taken for the end of the key.
fn meta_text(key: &str, value: &str) -> String {
    if key.to_ascii_lowercase().starts_with(VALUE_ONLY_PREFIX) {
        return value.to_owned();
    }
    let quoted = key.replace('`', "``").replace('=', "`=");
    let inner = quoted.trim_matches(' ');
    if inner.is_empty() {
        return format!("{}={}", "` ".repeat(quoted.len()), value.replace('`', "``"));
    }
    let leading = quoted.len() - quoted.trim_start_matches(' ').len();
    let trailing = quoted.len() - quoted.trim_end_matches(' ').len();
    let (before, after) = ("` ".repeat(leading), "` ".repeat(trailing));
    format!("{before}{inner}{after}={}", value.replace('`', "``"))
}

/// The text as zone files write it: `\123` is a byte, and any other character after a backslash is itself (recorded).
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            bytes.push(*byte);
        } else if let Some((code, after)) = decimal_byte(rest) {
            bytes.push(code);
            rest = after;
        } else if let Some((literal, after)) = rest.split_first() {
            bytes.push(*literal);
            rest = after;
        }
    }
    bytes
}

fn decimal_byte(text: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, rest) = text.split_at_checked(3)?;
    let number = str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit))?;
    // Three digits beyond 255 wrap, as they do in Consul's library.
    Some((number.parse::<u16>().ok()? as u8, rest))
}

/// The zone's SOA record. `serial` is the time in unix seconds.
pub(super) fn soa_record(domain: &Name, settings: &Settings, serial: u32) -> Record {
    let below = |label: &str| domain.prepend_label(label.as_bytes()).unwrap_or_else(|_| domain.clone());
    let soa = settings.soa;
    let [refresh, retry, expire] = [soa.refresh, soa.retry, soa.expire].map(|seconds| seconds as i32);
    let data = SOA::new(below("ns"), below("hostmaster"), serial, refresh, retry, expire, soa.min_ttl);
    Record::from_rdata(domain.clone(), soa.min_ttl, RData::SOA(data))
}

/// A TTL in whole seconds; fractions are cut.
pub(super) fn ttl_seconds(ttl: Duration) -> u32 {
    u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use registry_wire::catalog::{HealthCheck, NodeService, Weights};

    use super::*;

    fn instance(node: &str, own: &str, statuses: &[&str]) -> CheckServiceNode {
        let check = |status: &&str| HealthCheck { status: (*status).into(), ..HealthCheck::default() };
        CheckServiceNode {
            node: Node { node: "n1".into(), address: node.into(), ..Node::default() },
            service: NodeService {
                address: own.into(),
                tags: Some(vec!["Blue".into()]),
                weights: Weights { passing: 10, warning: 3 },
                ..NodeService::default()
            },
            checks: statuses.iter().map(check).collect(),
        }
    }

    #[test]
    fn critical_instances_are_left_out() {
        let table = [
            (&[][..], true, true),
            (&["passing"], true, true),
            (&["warning", "passing"], true, false),
            (&["passing", "critical"], false, false),
        ];
        for (statuses, given, passing) in table {
            let it = instance("10.0.0.1", "", statuses);
            assert_eq!(
                (is_given(&it, None, false), is_given(&it, None, true)),
                (given, passing),
                "{statuses:?}"
            );
        }
        let it = instance("10.0.0.1", "", &[]);
        assert!(is_given(&it, Some("blue"), false) && !is_given(&it, Some("green"), false));
    }

    #[test]
    fn the_weight_follows_the_state() {
        let weight_of = |statuses: &[&str]| weight(&instance("10.0.0.1", "", statuses));
        assert_eq!((weight_of(&[]), weight_of(&["passing"]), weight_of(&["warning"])), (10, 10, 3));
    }

    #[test]
    fn an_instance_is_found_at_its_own_address_first() {
        let asked = fqdn("web.service.consul").unwrap();
        let find = |node: &str, own: &str, family| {
            let it = instance(node, own, &[]);
            target(&it, &asked, family, false).map(|target| format!("{target:?}"))
        };
        let table = [
            ("10.0.0.1", "", Family::V4, Some("Node(10.0.0.1)")),
            ("10.0.0.1", "", Family::V6, None),
            ("10.0.0.1", "10.0.0.1", Family::Any, Some("Own(10.0.0.1)")),
            ("10.0.0.1", "2001:db8::1", Family::V4, None),
            ("10.0.0.1", "x.example.org", Family::V6, Some("Name(\"x.example.org\")")),
            ("x.example.org", "", Family::V4, Some("Name(\"x.example.org\")")),
            ("10.0.0.1", "Web.service.consul", Family::V4, Some("Node(10.0.0.1)")),
            ("10.0.0.1", "web.service.consul.", Family::V6, None),
        ];
        for (node, own, family, wanted) in table {
            assert_eq!(find(node, own, family).as_deref(), wanted, "{node} {own} {family:?}");
        }
    }

    #[test]
    fn meta_is_written_as_rfc_1464_says() {
        let long = "x".repeat(300);
        let table = [
            ("rack", "r1", &["rack=r1"][..]),
            ("a=b", "c`d", &["a`=b=c``d"]),
            (" k ", "v", &["` k` =v"]),
            ("rfc1035-spf", "v=spf1", &["v=spf1"]),
            ("q", "say \"hi\" \\ there \\065", &["q=say \"hi\"  there A"]),
            ("empty", "", &["empty="]),
            ("rfc1035-l", &long, &[&long[..255], &long[255..]]),
        ];
        for (key, value, wanted) in table {
            let meta = TextMap::from([(key.to_owned(), value.to_owned())]);
            let records = meta_records(Some(&meta), &Name::root(), 0);
            let RData::TXT(text) = &records[0].data else { panic!("no TXT") };
            let strings: Vec<&str> = text.txt_data.iter().map(|s| str::from_utf8(s).unwrap()).collect();
            assert_eq!(strings, wanted, "{key}");
        }
    }

    #[test]
    fn names_of_addresses() {
        let domain = fqdn("consul").unwrap();
        let name = |ip: &str| address_name(ip.parse().unwrap(), "dc1", &domain).unwrap().to_ascii();
        assert_eq!(name("127.0.0.1"), "7f000001.addr.dc1.consul.");
        assert_eq!(name("2001:db8::1"), "20010db8000000000000000000000001.addr.dc1.consul.");
    }
}
