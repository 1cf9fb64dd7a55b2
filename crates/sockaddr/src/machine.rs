//! A machine's interfaces with their addresses, and how they are read.

use std::{
    fmt, fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use nix::{
    ifaddrs::{InterfaceAddress, getifaddrs},
    net::if_::{InterfaceFlags, if_nametoindex},
    sys::socket::SockaddrStorage,
};

/// An address with the interface that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// How many bits of it are the network's: 24 of `10.1.2.3/24`.
    pub bits: u8,
    /// The interface's number.
    pub index: u32,
    /// The interface's name.
    pub name: String,
    /// The interface's largest packet in bytes.
    pub mtu: u32,
    /// The interface's flags as Go names them, in Go's order: `up|broadcast|multicast|running`.
    pub flags: String,
}

/// What templates work on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// All addresses, in the order of their interfaces.
    pub addresses: Vec<Address>,
    /// The name of the interface that the default route goes through.
    pub default: Option<String>,
}

impl fmt::Display for Address {
    /// `10.1.2.3/24`; without the length where it is the address alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bits == self.width() { self.ip.fmt(f) } else { write!(f, "{}/{}", self.ip, self.bits) }
    }
}

impl Address {
    /// How many bits an address of this kind has.
    pub(crate) fn width(&self) -> u8 {
        if self.ip.is_ipv4() { 32 } else { 128 }
    }

    pub(crate) fn has_flag(&self, flag: &str) -> bool {
        self.flags.split('|').any(|own| own == flag)
    }

    /// The address as a number.
    pub(crate) fn number(&self) -> u128 {
        match self.ip {
            IpAddr::V4(v4) => u32::from(v4).into(),
            IpAddr::V6(v6) => v6.into(),
        }
    }

    /// The bits of the network, as a number.
    pub(crate) fn mask(&self) -> u128 {
        mask(self.bits, self.width())
    }

    /// The same with another address of its kind; of a larger number the low bits count.
    pub(crate) fn with_number(&self, number: u128) -> Self {
        Self { ip: ip(number, self.ip.is_ipv4()), ..self.clone() }
    }

    /// The first address of the network.
    pub(crate) fn network(&self) -> u128 {
        self.number() & self.mask()
    }

    /// The last address of the network.
    pub(crate) fn last(&self) -> u128 {
        self.network() | (!self.mask() & mask(self.width(), self.width()))
    }
}

/// The highest `bits` of `width`.
pub(crate) fn mask(bits: u8, width: u8) -> u128 {
    let all = if width == 128 { u128::MAX } else { (1 << width) - 1 };
    if bits == 0 { 0 } else { (all << (width - bits.min(width))) & all }
}

/// A number as an address.
pub(crate) fn ip(number: u128, is_v4: bool) -> IpAddr {
    if is_v4 {
        let low = u32::try_from(number & u128::from(u32::MAX)).expect("32 bits fit");
        return Ipv4Addr::from(low).into();
    }
    Ipv6Addr::from(number).into()
}

impl Machine {
    /// Reads this machine. Errors when the kernel does not tell its addresses.
    pub fn here() -> io::Result<Self> {
        let mut addresses: Vec<Address> = getifaddrs()?.filter_map(|found| address(&found)).collect();
        // The kernel tells all IPv4 addresses before the others; by interface they are easier to follow, and so does Go.
        addresses.sort_by_key(|address| address.index);
        let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
        Ok(Self { addresses, default: default_interface(&routes) })
    }
}

fn address(found: &InterfaceAddress) -> Option<Address> {
    let ip = ip_of(found.address.as_ref()?)?;
    let bits = found.netmask.as_ref().and_then(ip_of).map(|mask| match mask {
        IpAddr::V4(mask) => u32::from(mask).count_ones(),
        IpAddr::V6(mask) => u128::from(mask).count_ones(),
    });
    let whole = if ip.is_ipv4() { 32 } else { 128 };
    let name = &found.interface_name;
    let mtu = fs::read_to_string(format!("/sys/class/net/{name}/mtu")).ok();
    Some(Address {
        ip,
        bits: bits.and_then(|bits| bits.try_into().ok()).unwrap_or(whole),
        // An interface that is gone by now is last.
        index: if_nametoindex(name.as_str()).unwrap_or(u32::MAX),
        name: name.clone(),
        mtu: mtu.and_then(|text| text.trim().parse().ok()).unwrap_or_default(),
        flags: flags(found.flags),
    })
}

fn ip_of(storage: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = storage.as_sockaddr_in().map(|at| at.ip().into());
    v4.or_else(|| Some(storage.as_sockaddr_in6()?.ip().into()))
}

fn flags(set: InterfaceFlags) -> String {
    let names = [
        (InterfaceFlags::IFF_UP, "up"),
        (InterfaceFlags::IFF_BROADCAST, "broadcast"),
        (InterfaceFlags::IFF_LOOPBACK, "loopback"),
        (InterfaceFlags::IFF_POINTOPOINT, "pointtopoint"),
        (InterfaceFlags::IFF_MULTICAST, "multicast"),
        (InterfaceFlags::IFF_RUNNING, "running"),
    ];
    let set: Vec<&str> =
        names.into_iter().filter(|(flag, _)| set.contains(*flag)).map(|(_, name)| name).collect();
    if set.is_empty() { "0".into() } else { set.join("|") }
}

/// The interface of the best route to everywhere in the kernel's table; its columns are described in proc(5).
fn default_interface(routes: &str) -> Option<String> {
    let best = routes.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [name, to, _, flags, _, _, metric, mask, ..] = fields.as_slice() else { return None };
        let is_up = u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 != 0);
        let is_default = *to == "00000000" && *mask == "00000000" && is_up;
        is_default.then(|| Some((metric.parse::<u32>().ok()?, (*name).to_owned())))?
    });
    best.min_by_key(|(metric, _)| *metric).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_with_the_lowest_metric() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
            wlan0\t00000000\t0100A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
            eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
            eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        assert_eq!(default_interface(table).as_deref(), Some("eth0"));
        assert_eq!(default_interface(""), None);
    }

    #[test]
    fn this_machine_has_loopback() {
        let here = Machine::here().unwrap();
        let loopback = here.addresses.iter().find(|address| address.ip == Ipv4Addr::LOCALHOST).unwrap();
        assert!(loopback.bits == 8 && loopback.has_flag("loopback"), "{loopback:?}");
    }
}
