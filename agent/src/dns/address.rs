//! Which of its addresses a node or an instance is given by.

use std::net::IpAddr;

use hickory_proto::rr::RecordType;
use registry_wire::catalog::{Node, NodeService, ServiceAddress};

/// Which family of addresses a question can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
    Any,
}

impl Family {
    pub(super) fn asked_by(kind: RecordType) -> Self {
        match kind {
            RecordType::A => Self::V4,
            RecordType::AAAA => Self::V6,
            _ => Self::Any,
        }
    }
}

/// The node's address for this family; `None` when it has none of it. The text is an IP address or a name.
pub(super) fn of_node(node: &Node, family: Family, wan: bool) -> Option<&str> {
    let tagged = |tag: &str| node.tagged_addresses.as_ref().and_then(|all| all.get(tag)).map(String::as_str);
    choose(&node.address, tagged, family, wan)
}

/// The instance's own address for this family; `None` when it has none of its own or none of the family.
pub(super) fn of_instance(service: &NodeService, family: Family, wan: bool) -> Option<&str> {
    choose(&service.address, |tag| Some(tagged(service, tag)?.address.as_str()), family, wan)
}

/// Whether the instance has an address of its own that is not just one of its tags.
pub(super) fn has_own(service: &NodeService, wan: bool) -> bool {
    let elsewhere = if wan { tagged(service, "wan") } else { None };
    !service.address.is_empty() || elsewhere.is_some_and(|at| !at.address.is_empty())
}

/// The instance's port: the one of its `wan` address when that is what others are given.
pub(super) fn port_of(service: &NodeService, wan: bool) -> u16 {
    let elsewhere = if wan { tagged(service, "wan").filter(|at| !at.address.is_empty()) } else { None };
    let port = elsewhere.map_or(service.port, |at| at.port);
    // A port beyond 65535 loses its upper bits, as recorded.
    port as u16
}

/// The IP address in this text; an IPv4 address written as IPv6 is IPv4.
pub(super) fn parse_ip(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

fn tagged<'a>(service: &'a NodeService, tag: &str) -> Option<&'a ServiceAddress> {
    service.tagged_addresses.as_ref()?.get(tag)
}

/// A tagged address of the family wins over the plain one; for questions that take any address, IPv6 wins over all
/// (as recorded: `ANY` of a node with a `lan_ipv6` gives that one only).
fn choose<'a>(
    plain: &'a str,
    tagged: impl Fn(&str) -> Option<&'a str>,
    family: Family,
    wan: bool,
) -> Option<&'a str> {
    let known = |tag: &str| tagged(tag).filter(|text| !text.is_empty());
    let (own, v4, v6) = if wan {
        (known("wan").unwrap_or(plain), known("wan_ipv4"), known("wan_ipv6"))
    } else {
        (plain, known("lan_ipv4"), known("lan_ipv6"))
    };
    let own = Some(own).filter(|text| !text.is_empty());
    let is_v6 = |text: &str| parse_ip(text).map(|ip| ip.is_ipv6());
    match family {
        Family::Any => v6.or(v4).or(own),
        Family::V4 => v4.or(own.filter(|text| is_v6(text) != Some(true))),
        Family::V6 => v6.or(own.filter(|text| is_v6(text) != Some(false))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(address: &str, tags: &[(&str, &str)]) -> Node {
        let tagged = tags.iter().map(|(tag, text)| ((*tag).to_owned(), (*text).to_owned())).collect();
        Node { address: address.into(), tagged_addresses: Some(tagged), ..Node::default() }
    }

    #[test]
    fn the_family_and_the_tags_choose_the_address() {
        let dual =
            node("10.0.0.1", &[("lan_ipv4", "10.0.0.1"), ("lan_ipv6", "2001:db8::1"), ("wan", "192.0.2.1")]);
        assert_eq!(of_node(&dual, Family::V4, false), Some("10.0.0.1"));
        assert_eq!(of_node(&dual, Family::V6, false), Some("2001:db8::1"));
        assert_eq!(of_node(&dual, Family::Any, false), Some("2001:db8::1"));
        assert_eq!(of_node(&dual, Family::Any, true), Some("192.0.2.1"));
        let plain = node("10.0.0.2", &[]);
        assert_eq!(of_node(&plain, Family::V6, false), None);
        assert_eq!(of_node(&plain, Family::Any, false), Some("10.0.0.2"));
        assert_eq!(of_node(&node("::ffff:10.0.0.4", &[]), Family::V6, false), None);
        assert_eq!(of_node(&node("www.example.org", &[]), Family::V6, false), Some("www.example.org"));
    }

    #[test]
    fn the_wan_port_goes_with_the_wan_address() {
        let at = ServiceAddress { address: "192.0.2.1".into(), port: 8080 };
        let service = NodeService {
            port: 80,
            tagged_addresses: Some([("wan".to_owned(), at)].into()),
            ..NodeService::default()
        };
        assert_eq!((port_of(&service, false), port_of(&service, true)), (80, 8080));
        assert_eq!(of_instance(&service, Family::Any, false), None);
    }
}
