//! Addresses as operators write them: lists, brackets, unix sockets, templates, and the one to advertise.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::PathBuf,
};

use super::Listen;

/// Reads a list of addresses with blanks between them: `127.0.0.1 [::1] {{ GetPrivateIP }}`.
///
/// `None` for what is neither an address nor a template that gives one.
pub(super) fn ips(text: &str) -> Option<Vec<IpAddr>> {
    let expanded = expand(text)?;
    let ips: Option<Vec<_>> = expanded.split_whitespace().map(ip).collect();
    ips.filter(|ips| !ips.is_empty())
}

/// Places to listen at: addresses with this port, and `unix://` paths.
pub(super) fn listens(text: &str, port: Option<u16>) -> Option<Vec<Listen>> {
    let mut listens = Vec::new();
    for word in expand(text)?.split_whitespace() {
        match word.strip_prefix("unix://") {
            Some(path) => listens.push(Listen::Unix(PathBuf::from(path))),
            None => {
                let ip = ip(word)?;
                listens.extend(port.map(|port| Listen::Tcp(SocketAddr::new(ip, port))));
            }
        }
    }
    Some(listens)
}

/// An address with or without brackets.
pub(super) fn ip(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok()
}

/// Replaces `{{ … }}` by the addresses they stand for.
fn expand(text: &str) -> Option<String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (template, after) = after.split_once("}}")?;
        let found = template_addresses(template.trim())?;
        expanded.push_str(before);
        expanded.push_str(&found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        rest = after;
    }
    expanded.push_str(rest);
    Some(expanded)
}

/// The commonly used functions of go-sockaddr's templates.
fn template_addresses(template: &str) -> Option<Vec<IpAddr>> {
    let mut words = template.split_whitespace();
    let name = words.next()?;
    let argument = words.next().map(|word| word.trim_matches(['"', '`']));
    let all = interfaces();
    let of = |wanted: &dyn Fn(&str, &IpAddr) -> bool| -> Vec<IpAddr> {
        all.iter().filter(|(name, ip)| wanted(name, ip)).map(|(_, ip)| *ip).collect()
    };
    let found = match (name, argument) {
        ("GetPrivateIP", None) => first(of(&|_, ip| is_private_v4(ip))),
        ("GetPrivateIPs", None) => of(&|_, ip| is_private_v4(ip)),
        ("GetPublicIP", None) => first(of(&|_, ip| is_public(ip))),
        ("GetPublicIPs", None) => of(&|_, ip| is_public(ip)),
        ("GetInterfaceIP", Some(wanted)) => first(of(&|name, _| name == wanted)),
        ("GetInterfaceIPs", Some(wanted)) => of(&|name, ip| name == wanted && !is_link_local(ip)),
        _ => return None,
    };
    Some(found).filter(|found| !found.is_empty())
}

fn first(mut ips: Vec<IpAddr>) -> Vec<IpAddr> {
    ips.truncate(1);
    ips
}

/// The address to advertise when the node is bound to all of them.
///
/// One candidate is taken. Of several, the one that packets to a server to be joined would carry; where Consul refuses to
/// start, a machine with two private networks starts here.
pub(super) fn advertised(bind: IpAddr, join: &[String]) -> IpAddr {
    if !bind.is_unspecified() {
        return bind;
    }
    let all = interfaces();
    let usable = |ip: &IpAddr| !ip.is_loopback() && !is_link_local(ip);
    let same_family: Vec<IpAddr> =
        all.iter().map(|(_, ip)| *ip).filter(|ip| ip.is_ipv4() == bind.is_ipv4() && usable(ip)).collect();
    let preferred = |ip: &&IpAddr| if bind.is_ipv4() { is_private_v4(ip) } else { is_public(ip) };
    let candidates: Vec<IpAddr> = same_family.iter().filter(preferred).copied().collect();
    let loopback =
        if bind.is_ipv4() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::V6(Ipv6Addr::LOCALHOST) };
    match candidates.as_slice() {
        [only] => *only,
        several => routed(join)
            .filter(usable)
            .or_else(|| several.first().copied())
            .or_else(|| same_family.first().copied())
            .or_else(|| all.iter().map(|(_, ip)| *ip).find(usable))
            .unwrap_or(loopback),
    }
}

/// The local address that packets to the first server given by its address would carry. Sends nothing.
fn routed(join: &[String]) -> Option<IpAddr> {
    let target =
        join.iter().find_map(|text| ip(text).or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip())))?;
    let any =
        if target.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((target, 8301)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// All addresses of all interfaces, in the system's order.
fn interfaces() -> Vec<(String, IpAddr)> {
    let Ok(addresses) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let one = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let ip = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(v4), _) => IpAddr::V4(v4.ip()),
            (_, Some(v6)) => IpAddr::V6(v6.ip()),
            _ => return None,
        };
        Some((interface.interface_name, ip))
    };
    addresses.filter_map(one).collect()
}

fn is_private_v4(ip: &IpAddr) -> bool {
    matches!(ip, IpAddr::V4(v4) if v4.is_private())
}

fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Not private, not loopback, not of one link. Unique local IPv6 addresses count as public, as in Consul.
fn is_public(ip: &IpAddr) -> bool {
    !ip.is_loopback() && !is_link_local(ip) && !is_private_v4(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_brackets_and_sockets() {
        assert_eq!(ips("[::]"), Some(vec!["::".parse().unwrap()]));
        assert_eq!(ips("127.0.0.1 ::1").map(|ips| ips.len()), Some(2));
        assert_eq!(ips("not an ip"), None);
        assert_eq!(ips(r#"{{ GetInterfaceIP "lo" }}"#), Some(vec!["127.0.0.1".parse().unwrap()]));
        assert_eq!(ips("{{ GetNothing }}"), None);
        assert_eq!(
            listens("unix:///run/x.sock [fd00::1]", Some(8500)),
            Some(vec![Listen::Unix("/run/x.sock".into()), Listen::Tcp("[fd00::1]:8500".parse().unwrap())])
        );
        assert_eq!(listens("127.0.0.1", None), Some(Vec::new()));
    }

    #[test]
    fn a_bound_address_is_the_advertised_one() {
        assert_eq!(advertised("10.1.2.3".parse().unwrap(), &[]), "10.1.2.3".parse::<IpAddr>().unwrap());
        assert!(!advertised("0.0.0.0".parse().unwrap(), &[]).is_unspecified());
    }
}
