//! The node's own addresses: where it listens, and what it is reached by.

use std::net::IpAddr;

use registry_wire::catalog::TextMap;
use sockaddr::Machine;

use super::{ConfigError, Listen, Reader, address};
use crate::config::settings::Ports;

/// Everything about addresses.
pub(super) struct Addresses {
    pub(super) bind: IpAddr,
    pub(super) serf_lan: IpAddr,
    pub(super) serf_wan: IpAddr,
    pub(super) advertise: IpAddr,
    pub(super) advertise_wan: IpAddr,
    pub(super) tagged: TextMap,
    pub(super) clients: Vec<IpAddr>,
    pub(super) http: Vec<Listen>,
    pub(super) https: Vec<Listen>,
    pub(super) dns: Vec<Listen>,
    /// What Consul warns about too.
    pub(super) warnings: Vec<String>,
    /// How an address was chosen that nobody named.
    pub(super) remark: Option<String>,
    /// What to wait for before the agent starts.
    pub(super) awaited: Option<String>,
}

impl Addresses {
    pub(super) fn read(r: &mut Reader<'_>, ports: &Ports, join: &[String]) -> Result<Self, ConfigError> {
        let bind = bind(r)?;
        let mut given = |key: &str| {
            let one = address::one(key, r.text(key)?);
            one.unwrap_or_else(|why| {
                // Consul reads this one for other datacenters as well.
                let times = if key == "advertise_addr" { 2 } else { 1 };
                (0..times).for_each(|_| r.error(why.clone()));
                None
            })
        };
        let serf_lan = given("serf_lan").unwrap_or(bind);
        let serf_wan = given("serf_wan").unwrap_or(bind);
        let (lan4, lan6) = (given("advertise_addr_ipv4"), given("advertise_addr_ipv6"));
        let (wan4, wan6) = (given("advertise_addr_wan_ipv4"), given("advertise_addr_wan_ipv6"));
        of_family("advertise_addr", lan4, lan6)?;
        of_family("advertise_addr_wan", wan4, wan6)?;
        let family = if bind.is_ipv6() { lan6.or(lan4) } else { lan4.or(lan6) };
        let (advertise, remark) = match given("advertise_addr").or(family) {
            Some(advertise) => (advertise, None),
            None if !bind.is_unspecified() => (bind, None),
            // A machine that does not tell its addresses is left with loopback.
            None => address::advertised(bind, &Machine::here().unwrap_or_default(), || address::routed(join)),
        };
        let advertise_wan = given("advertise_addr_wan").unwrap_or(advertise);
        for (address, name) in [(advertise, "Advertise"), (advertise_wan, "Advertise WAN")] {
            if address.is_unspecified() {
                return Err(ConfigError::new(format!("{name} address cannot be 0.0.0.0, :: or [::]")));
            }
        }
        let v4 = |ip: IpAddr| Some(ip).filter(IpAddr::is_ipv4);
        let v6 = |ip: IpAddr| Some(ip).filter(IpAddr::is_ipv6);
        let tags = [
            ("lan", Some(advertise)),
            ("lan_ipv4", lan4.or(v4(advertise))),
            ("lan_ipv6", lan6.or(v6(advertise))),
            ("wan", Some(advertise_wan)),
            ("wan_ipv4", wan4.or(v4(advertise_wan))),
            ("wan_ipv6", wan6.or(v6(advertise_wan))),
        ];
        let tagged = tags.into_iter().filter_map(|(tag, ip)| Some((tag.to_owned(), ip?.to_string())));
        let tagged = tagged.chain(r.text_map("tagged_addresses")).collect();
        let warnings = Vec::new();
        let (clients, http, https, dns) = Default::default();
        let own = Self {
            bind,
            serf_lan,
            serf_wan,
            advertise,
            advertise_wan,
            tagged,
            clients,
            http,
            https,
            dns,
            warnings,
            remark,
            awaited: None,
        };
        own.with_listeners(r, ports)
    }

    /// Reads where clients are served: `addresses.http` and the like, else `client_addr`.
    fn with_listeners(mut self, r: &mut Reader<'_>, ports: &Ports) -> Result<Self, ConfigError> {
        let client_addr = r.text("client_addr").unwrap_or("127.0.0.1");
        let clients = listens(r, "client_addr", client_addr, Some(0));
        if clients.is_empty() && r.is_fine() {
            let said = "client_addr is empty, client services (DNS, HTTP, HTTPS, GRPC) will not be listening for connections";
            self.warnings.push(said.into());
        }
        self.awaited = awaited(r, &clients);
        self.clients = clients.iter().filter_map(|listen| Some(tcp(listen)?.ip())).collect();
        let mut served = |key: &str, port: Option<u16>| {
            let path = format!("addresses.{key}");
            let own = r.text(&path).unwrap_or_default();
            // A template may give none, and then the common ones hold.
            let own_places = listens(r, &path, own, port.or(Some(0)));
            let places = if own_places.is_empty() { &clients } else { &own_places };
            let with_port = places.iter().filter_map(|listen| match (listen, port) {
                (Listen::Unix(path), _) => Some(Listen::Unix(path.clone())),
                (Listen::Tcp(address), Some(port)) => Some(Listen::Tcp((address.ip(), port).into())),
                (Listen::Tcp(_), None) => None,
            });
            with_port.collect::<Vec<Listen>>()
        };
        self.http = served("http", ports.http);
        self.https = if ports.https.is_some() { served("https", ports.https) } else { Vec::new() };
        served("grpc", None);
        served("grpc_tls", None);
        self.dns = served("dns", ports.dns);
        if r.text("addresses.dns").is_some_and(|text| text.contains("unix://")) {
            return Err(ConfigError::new("DNS address cannot be a unix socket"));
        }
        self.dns.retain(|listen| tcp(listen).is_some());
        Ok(self)
    }
}

fn bind(r: &Reader<'_>) -> Result<IpAddr, ConfigError> {
    let text = r.text("bind_addr").unwrap_or(if r.dev() { "127.0.0.1" } else { "0.0.0.0" });
    match address::one("bind_addr", text) {
        Ok(Some(bind)) => Ok(bind),
        Err(why) if why.contains("unix socket") => Err(ConfigError::new(why)),
        Err(why) if why.contains("multiple addresses") => Err(ConfigError::new(
            "bind_addr cannot contain multiple addresses. Use 'addresses.{dns,http,https}' instead.",
        )),
        Err(why) => Err(ConfigError::new("bind_addr cannot be empty").with_hint(why)),
        Ok(None) => {
            let error =
                ConfigError::new("bind_addr cannot be empty").with_hint(gives_none("bind_addr", text));
            Err(ConfigError { awaits: text.contains("{{"), ..error })
        }
    }
}

fn gives_none(key: &str, text: &str) -> String {
    format!("{key}: {text:?} gives no address")
}

/// What Consul starts without, and an agent is of little use without: an address for clients, or the one of an interface that
/// is to be advertised, where a template gives none yet.
fn awaited(r: &Reader<'_>, clients: &[Listen]) -> Option<String> {
    let client_addr = r.text("client_addr").filter(|text| text.contains("{{") && clients.is_empty());
    let advertised = r.text("advertise_addr").filter(|text| {
        text.contains("GetInterfaceIP") && matches!(address::one("advertise_addr", text), Ok(None))
    });
    let none = client_addr.map(|text| gives_none("client_addr", text));
    none.or_else(|| advertised.map(|text| gives_none("advertise_addr", text)))
}

fn of_family(key: &str, v4: Option<IpAddr>, v6: Option<IpAddr>) -> Result<(), ConfigError> {
    let wrong = match (v4, v6) {
        (Some(v4), _) if !v4.is_ipv4() => "4",
        (_, Some(v6)) if !v6.is_ipv6() => "6",
        _ => return Ok(()),
    };
    Err(ConfigError::new(format!("{key}_ipv{wrong} must be an ipv{wrong} address")))
}

fn listens(r: &mut Reader<'_>, key: &str, text: &str, port: Option<u16>) -> Vec<Listen> {
    address::listens(key, text, port).unwrap_or_else(|why| {
        r.error(why);
        Vec::new()
    })
}

fn tcp(listen: &Listen) -> Option<std::net::SocketAddr> {
    match listen {
        Listen::Tcp(address) => Some(*address),
        Listen::Unix(_) => None,
    }
}
