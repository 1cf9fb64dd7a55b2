//! Addresses as operators write them: lists, brackets, unix sockets, templates, and the one to advertise.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::PathBuf,
};

use sockaddr::{Address, Machine};

use super::Listen;

/// The words of a list with its templates filled in: `127.0.0.1 {{ GetInterfaceIPs "eth0" }}`.
///
/// Errors, in Consul's words, when a template cannot be filled in.
pub(super) fn words(key: &str, text: &str) -> Result<Vec<String>, String> {
    let text = expand(text).map_err(|why| format!("{key}: error parsing {text:?}: {why}"))?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

/// A text with its templates filled in; the machine is only looked at where there are some.
pub(super) fn expand(text: &str) -> Result<String, String> {
    if !text.contains("{{") {
        return Ok(text.to_owned());
    }
    let machine =
        Machine::here().map_err(|error| format!("cannot read this machine's addresses: {error}"))?;
    sockaddr::expand(text, &machine).map_err(|error| error.to_string())
}

/// Places to listen at: addresses with this port, none without one, and `unix://` paths. Errors name the key and the word.
pub(super) fn listens(key: &str, text: &str, port: Option<u16>) -> Result<Vec<Listen>, String> {
    let mut listens = Vec::new();
    for word in words(key, text)? {
        match word.strip_prefix("unix://") {
            Some(path) => listens.push(Listen::Unix(PathBuf::from(path))),
            None => {
                let ip = ip(&word).ok_or_else(|| format!("{key}: invalid ip address: {word}"))?;
                listens.extend(port.map(|port| Listen::Tcp(SocketAddr::new(ip, port))));
            }
        }
    }
    Ok(listens)
}

/// At most one address. Errors name the key.
pub(super) fn one(key: &str, text: &str) -> Result<Option<IpAddr>, String> {
    let words = words(key, text)?;
    if words.iter().any(|word| word.starts_with("unix://")) {
        return Err(format!("{key} cannot be a unix socket"));
    }
    let read = |word: &String| ip(word).ok_or_else(|| format!("{key}: invalid ip address: {word}"));
    match words.iter().map(read).collect::<Result<Vec<_>, _>>()?.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        _ => Err(format!("{key}: multiple addresses found: {}", words.join(" "))),
    }
}

/// An address with or without brackets.
pub(super) fn ip(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok()
}

/// The address to advertise when the node is bound to all of them, and what there is to say about the choice.
///
/// One candidate is taken. Of several, the one that packets to a server to be joined would carry; where Consul refuses to
/// start, a machine with two private networks starts here.
pub(super) fn advertised(
    bind: IpAddr,
    machine: &Machine,
    routed: impl FnOnce() -> Option<IpAddr>,
) -> (IpAddr, Option<String>) {
    let usable = |ip: &IpAddr| !ip.is_loopback() && !is_link_local(ip);
    let all = || machine.addresses.iter().map(|address: &Address| address.ip).filter(usable);
    let same_family: Vec<IpAddr> = all().filter(|ip| ip.is_ipv4() == bind.is_ipv4()).collect();
    let preferred = |ip: &&IpAddr| if bind.is_ipv4() { is_private_v4(ip) } else { is_public(ip) };
    let candidates: Vec<IpAddr> = same_family.iter().filter(preferred).copied().collect();
    let kind = if bind.is_ipv4() { "private IPv4" } else { "public IPv6" };
    let how = "set advertise_addr to choose another";
    match candidates.as_slice() {
        [only] => (*only, None),
        several => {
            if let Some(ip) = routed().filter(usable) {
                let why =
                    format!("advertising {ip}, which the way to retry_join's first address leads through");
                return (ip, Some(format!("{why}, for there are {} {kind} addresses: {how}", several.len())));
            }
            let found = several.first().or(same_family.first()).copied().or_else(|| all().next());
            let loopback: IpAddr =
                if bind.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
            let ip = found.unwrap_or(loopback);
            let remark = match several {
                [] => format!("advertising {ip}, for there is no {kind} address: {how}"),
                several => {
                    let list: Vec<String> = several.iter().map(ToString::to_string).collect();
                    format!(
                        "advertising {ip}, the first of several {kind} addresses ({}): {how}",
                        list.join(" ")
                    )
                }
            };
            (ip, Some(remark))
        }
    }
}

/// The local address that packets to the first server given by its address would carry. Sends nothing.
pub(super) fn routed(join: &[String]) -> Option<IpAddr> {
    let target =
        join.iter().find_map(|text| ip(text).or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip())))?;
    let any =
        if target.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((target, 8301)).ok()?;
    Some(socket.local_addr().ok()?.ip())
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
        let at = |text: &str| Listen::Tcp(text.parse().unwrap());
        assert_eq!(listens("k", "[::]", Some(1)), Ok(vec![at("[::]:1")]));
        assert_eq!(
            listens("k", r#"{{ GetInterfaceIPs "^lo$" }}"#, Some(1)).unwrap().first(),
            Some(&at("127.0.0.1:1"))
        );
        assert_eq!(
            listens("k", "unix:///run/x.sock [fd00::1]", Some(8500)),
            Ok(vec![Listen::Unix("/run/x.sock".into()), at("[fd00::1]:8500")])
        );
        assert_eq!(listens("k", "127.0.0.1", None), Ok(Vec::new()));
        assert_eq!(listens("k", "a b", Some(1)), Err("k: invalid ip address: a".into()));
        assert_eq!(one("k", ""), Ok(None));
        assert_eq!(one("k", "::1"), Ok(Some(Ipv6Addr::LOCALHOST.into())));
        assert_eq!(one("k", "::1 ::2"), Err("k: multiple addresses found: ::1 ::2".into()));
        assert_eq!(one("k", "unix:///x"), Err("k cannot be a unix socket".into()));
    }

    #[test]
    fn the_way_to_the_registry_decides_between_several_addresses() {
        let machine = |ips: &[&str]| Machine {
            addresses: ips
                .iter()
                .map(|ip| Address {
                    ip: ip.parse().unwrap(),
                    bits: 24,
                    index: 2,
                    name: "eth0".into(),
                    mtu: 1500,
                    flags: "up".into(),
                })
                .collect(),
            default: None,
        };
        let chosen = |bind: &str, ips: &[&str], routed: Option<&str>| {
            let routed = routed.map(|ip| ip.parse().unwrap());
            let (ip, remark) = advertised(bind.parse().unwrap(), &machine(ips), || routed);
            (ip.to_string(), remark.unwrap_or_default())
        };
        assert_eq!(
            chosen("0.0.0.0", &["127.0.0.1", "10.0.0.5", "8.8.4.4"], None),
            ("10.0.0.5".into(), String::new())
        );
        let two = ["10.0.0.5", "192.168.1.5"];
        let (ip, remark) = chosen("0.0.0.0", &two, Some("192.168.1.5"));
        assert_eq!(ip, "192.168.1.5");
        assert!(remark.contains("retry_join") && remark.contains("2 private IPv4"), "{remark}");
        let (ip, remark) = chosen("0.0.0.0", &two, None);
        assert_eq!(ip, "10.0.0.5");
        assert!(remark.contains("(10.0.0.5 192.168.1.5): set advertise_addr"), "{remark}");
        assert_eq!(chosen("0.0.0.0", &["8.8.4.4"], None).0, "8.8.4.4");
        assert_eq!(chosen("0.0.0.0", &["fd00::1"], None).0, "fd00::1");
        assert_eq!(chosen("0.0.0.0", &["169.254.1.1", "127.0.0.1"], None).0, "127.0.0.1");
        assert_eq!(
            chosen("::", &["10.0.0.5", "fe80::1", "fd00::1"], None),
            ("fd00::1".into(), String::new())
        );
    }
}
