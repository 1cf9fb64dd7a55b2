//! Findings out of what was seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    path::Path,
    time::{Duration, SystemTime},
};

use serde_json::Value;

use super::Finding;

/// Below this little room on the disk writes may fail at any time.
const ROOM_MIN: u64 = 64 << 20;
/// Below this little room it is time to look.
const ROOM_LOW: u64 = 512 << 20;
/// How far ahead of the clock a file may be: clocks of a host and its containers are one, disks over a network are not.
const AHEAD_MAX: Duration = Duration::from_secs(120);
/// Below this number of files a registry with thousands of waiting readers cannot take connections.
const FILES_LOW: u64 = 4096;

/// Whether the configuration can be read; `problem` is why not.
pub(super) fn configuration(sources: &[String], problem: Option<&str>) -> Finding {
    let named = sources.join(", ");
    match problem {
        _ if sources.is_empty() => Finding::remark(
            "configuration",
            "neither /etc/ryo.d nor /etc/consul.d is there: the agent runs on flags alone",
            "ryo doctor -config-dir=FOLDER",
        ),
        None => Finding::good("configuration", format!("{named} can be used")),
        Some(why) => Finding::wrong(
            "configuration",
            format!("{named} cannot be used: {}", why.trim_end()),
            format!("ryo validate {}", sources.join(" ")),
        ),
    }
}

/// Whether the agent answers, and as what.
///
/// `configured` is where it listens by its configuration.
pub(super) fn agent(address: &str, configured: Option<&str>, answer: &Result<Value, String>) -> Finding {
    match answer {
        Ok(own) => {
            let text = |name: &str| own["Config"][name].as_str().unwrap_or_default().to_owned();
            let kind = if own["Config"]["Server"] == true { "registry" } else { "agent" };
            Finding::good(
                "agent",
                format!("{} answers at {address}, {kind} of {}", text("NodeName"), text("Datacenter")),
            )
        }
        Err(why) if why.contains("403") => {
            Finding::wrong("agent", format!("it does not let us ask: {why}"), "ryo doctor -token-file=FILE")
        }
        Err(why) => match configured.filter(|configured| *configured != address) {
            Some(configured) => Finding::wrong(
                "agent",
                format!("no agent answers at {address}, and its configuration says {configured}: {why}"),
                format!("export CONSUL_HTTP_ADDR={configured}"),
            ),
            None => Finding::wrong(
                "agent",
                format!("no agent answers at {address}: {why}"),
                "systemctl start ryo",
            ),
        },
    }
}

/// Whether another machine runs under this node's name; `known` is the id that the registry has for it.
pub(super) fn name(own: &Value, known: &str) -> Option<Finding> {
    let text = |name: &str| own["Config"][name].as_str().unwrap_or_default();
    let (node, id) = (text("NodeName"), text("NodeID"));
    (!known.is_empty() && !id.is_empty() && known != id).then(|| {
        Finding::wrong(
            "name",
            format!(
                "another machine is called {node} too: the registry knows it as {known}, this one is {id}"
            ),
            "hostnamectl set-hostname NAME && systemctl restart ryo    # or node_name in the configuration",
        )
    })
}

/// Whether there is a registry behind the agent.
pub(super) fn registry(leader: &Result<String, String>, joins: &[String]) -> Finding {
    match leader {
        Ok(leader) if !leader.is_empty() => Finding::good("registry", format!("{leader} leads")),
        _ if joins.is_empty() => Finding::wrong(
            "registry",
            "the agent knows no registry, and retry_join names none",
            "ryo join ADDRESS",
        ),
        _ => Finding::wrong(
            "registry",
            format!("none answers; the agent looks for it at {}", joins.join(", ")),
            format!("ryo join {}", joins.join(" ")),
        ),
    }
}

/// Whether the clock can be right: nothing here can be newer than now.
pub(super) fn clock(now: SystemTime, newest: Option<SystemTime>) -> Finding {
    match newest.and_then(|newest| newest.duration_since(now).ok()).filter(|ahead| *ahead > AHEAD_MAX) {
        Some(ahead) => Finding::wrong(
            "clock",
            format!(
                "it is at least {} min behind: files of this node are newer than now",
                ahead.as_secs() / 60
            ),
            "timedatectl set-ntp true",
        ),
        None => Finding::good("clock", "it is not behind the files of this node"),
    }
}

/// Whether there is room for the data.
pub(super) fn disk(folder: &Path, room: &io::Result<u64>) -> Finding {
    let look = format!("du -xh --max-depth=2 {} | sort -h | tail", folder.display());
    let shown = folder.display();
    match room {
        Ok(room) if *room < ROOM_MIN => {
            Finding::wrong("disk", format!("{} MB are free for {shown}: writes fail soon", room >> 20), look)
        }
        Ok(room) if *room < ROOM_LOW => {
            Finding::remark("disk", format!("only {} MB are free for {shown}", room >> 20), look)
        }
        Ok(room) => Finding::good("disk", format!("{} MB are free for {shown}", room >> 20)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Finding::wrong(
            "disk",
            format!("{shown} is not there"),
            format!("install -d -o consul -g consul {shown}"),
        ),
        Err(e) => {
            Finding::wrong("disk", format!("{shown} cannot be looked at: {e}"), format!("ls -ld {shown}"))
        }
    }
}

/// Whether a port that the agent wants can be had; asked while the agent does not run.
pub(super) fn port(what: &str, address: SocketAddr, bound: &io::Result<()>) -> Option<Finding> {
    let port = address.port();
    match bound.as_ref().map_err(io::Error::kind) {
        Ok(()) => None,
        Err(io::ErrorKind::AddrInUse) => Some(Finding::wrong(
            "ports",
            format!("{what} wants {address}, and another program has it"),
            format!("ss -lntup 'sport = :{port}'"),
        )),
        Err(io::ErrorKind::PermissionDenied) => Some(Finding::wrong(
            "ports",
            format!("{what} wants {address}, which only root may have"),
            "setcap cap_net_bind_service=+ep $(command -v ryo)",
        )),
        Err(io::ErrorKind::AddrNotAvailable) => Some(Finding::remark(
            "ports",
            format!("{what} wants {address}, and no interface has that address yet"),
            "ip address show",
        )),
        Err(kind) => {
            Some(Finding::wrong("ports", format!("{what} cannot have {address}: {kind}"), "ip address show"))
        }
    }
}

/// Whether names of the fleet are resolved: by the agent, and by what the machine's programs ask.
pub(super) fn names(domain: &str, agent: Option<(SocketAddr, bool)>, machine: bool) -> Finding {
    match agent {
        None => Finding::remark("dns", "the agent serves none: ports.dns is off", "ryo agent -dns-port=8600"),
        Some((address, false)) => Finding::wrong(
            "dns",
            format!("the agent does not answer at {address}"),
            format!("dig @{} -p {} consul.service.{domain}", address.ip(), address.port()),
        ),
        Some((address, true)) if !machine => Finding::remark(
            "dns",
            format!(
                "the agent answers at {address}, but programs of this machine do not ask it: no forwarder on port 53"
            ),
            format!("echo 'server=/{domain}/{}#{}' > /etc/dnsmasq.d/ryo", address.ip(), address.port()),
        ),
        Some((address, true)) => Finding::good(
            "dns",
            format!("names below .{domain} are resolved, by the agent at {address} and by the machine"),
        ),
    }
}

/// What the agent's checks say.
pub(super) fn checks(found: &BTreeMap<String, Value>) -> Vec<Finding> {
    let text = |check: &Value, name: &str| check[name].as_str().unwrap_or_default().to_owned();
    let mut out = Vec::new();
    for (id, check) in found {
        let service = text(check, "ServiceID");
        if id == "_node_maintenance" {
            out.push(Finding::remark(
                "checks",
                format!("the node is in maintenance: {}", text(check, "Notes")),
                "ryo maint -disable",
            ));
        } else if let Some(service) = id.strip_prefix("_service_maintenance:") {
            let why = format!("{service} is in maintenance: {}", text(check, "Notes"));
            out.push(Finding::remark("checks", why, format!("ryo maint -disable -service={service}")));
        } else if text(check, "Status") == "critical" {
            let of = if service.is_empty() { "the node".into() } else { service };
            let output = text(check, "Output");
            let why = format!("{id} of {of} is critical: {}", output.lines().next().unwrap_or("no word yet"));
            out.push(Finding::wrong("checks", why, "ryo monitor -log-level=debug"));
        }
    }
    if out.is_empty() {
        out.push(Finding::good("checks", format!("none of {} is critical", found.len())));
    }
    out
}

/// How many files the agent may have open.
pub(super) fn files(limit: Option<u64>, is_registry: bool) -> Finding {
    let mend = "systemctl edit ryo    # [Service] LimitNOFILE=65536";
    match limit {
        Some(limit) if limit < FILES_LOW && is_registry => Finding::remark(
            "files",
            format!("a registry that may open {limit} files runs out with as many readers"),
            mend,
        ),
        Some(limit) if limit < 256 => {
            Finding::wrong("files", format!("{limit} open files are too few for an agent"), mend)
        }
        Some(limit) => Finding::good("files", format!("{limit} may be open")),
        None => Finding::good("files", "no limit"),
    }
}

/// Whether all members are of one release, and all are there.
pub(super) fn members(found: &[Value]) -> Vec<Finding> {
    let name = |member: &Value| member["Name"].as_str().unwrap_or_default().to_owned();
    let builds = found.iter().filter_map(|member| member["Tags"]["build"].as_str()?.split(':').next());
    let builds: BTreeSet<&str> = builds.collect();
    let versions = if builds.len() > 1 {
        let builds: Vec<&str> = builds.into_iter().collect();
        Finding::remark("versions", format!("the fleet runs several: {}", builds.join(", ")), "ryo members")
    } else {
        Finding::good("versions", format!("all {} members run one", found.len()))
    };
    // 4 is what Consul numbers a failed member with.
    let silent = found.iter().filter(|member| member["Status"] == 4);
    let silent = silent.map(|member| {
        let node = name(member);
        Finding::remark("members", format!("{node} is silent"), format!("ryo force-leave {node}"))
    });
    std::iter::once(versions).chain(silent).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        io,
        path::Path,
        time::{Duration, SystemTime},
    };

    use serde_json::json;

    use super::super::Grade::{Good, Remark, Wrong};
    use super::*;

    #[test]
    fn configuration_and_agent() {
        let folder = ["/etc/ryo.d".to_owned()];
        assert_eq!(configuration(&folder, None).grade, Good);
        assert_eq!(configuration(&[], None).grade, Remark);
        let bad = configuration(&folder, Some("invalid config key x\n"));
        assert_eq!((bad.grade, bad.mend.as_deref()), (Wrong, Some("ryo validate /etc/ryo.d")));
        let own = json!({"Config": {"NodeName": "web1", "Datacenter": "dc1", "Server": false}});
        assert!(agent("a:1", None, &Ok(own)).text.contains("web1 answers at a:1, agent of dc1"));
        let away = |configured| agent("a:1", configured, &Err("refused".into())).mend.unwrap();
        assert_eq!([away(None), away(Some("a:1"))], ["systemctl start ryo"; 2]);
        assert_eq!(away(Some("b:2")), "export CONSUL_HTTP_ADDR=b:2");
        assert!(agent("a:1", None, &Err("response code: 403".into())).mend.unwrap().contains("token"));
    }

    #[test]
    fn a_name_that_another_has_too() {
        let own = json!({"Config": {"NodeName": "web1", "NodeID": "a"}});
        assert_eq!((name(&own, ""), name(&own, "a")), (None, None));
        let said = name(&own, "b").unwrap();
        assert!(said.grade == Wrong && said.text.contains("web1") && said.mend.unwrap().contains("hostname"));
    }

    #[test]
    fn registry_and_clock() {
        assert_eq!(registry(&Ok("10.0.0.1:8300".into()), &[]).grade, Good);
        assert_eq!(registry(&Ok(String::new()), &[]).mend.as_deref(), Some("ryo join ADDRESS"));
        let known = ["10.0.0.1".to_owned()];
        assert_eq!(registry(&Err("x".into()), &known).mend.as_deref(), Some("ryo join 10.0.0.1"));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10_000);
        assert_eq!(clock(now, None).grade, Good);
        assert_eq!(clock(now, Some(now + Duration::from_secs(60))).grade, Good);
        let behind = clock(now, Some(now + Duration::from_secs(3600)));
        assert!(behind.grade == Wrong && behind.text.contains("60 min"), "{behind:?}");
    }

    #[test]
    fn disk_and_files() {
        let at = Path::new("/opt/consul");
        assert_eq!(disk(at, &Ok(1 << 40)).grade, Good);
        assert_eq!(disk(at, &Ok(100 << 20)).grade, Remark);
        assert_eq!(disk(at, &Ok(1 << 20)).grade, Wrong);
        assert!(disk(at, &Err(io::ErrorKind::NotFound.into())).mend.unwrap().starts_with("install -d"));
        assert_eq!(disk(at, &Err(io::ErrorKind::PermissionDenied.into())).grade, Wrong);
        assert_eq!((files(None, true).grade, files(Some(1024), false).grade), (Good, Good));
        assert_eq!((files(Some(1024), true).grade, files(Some(64), false).grade), (Remark, Wrong));
    }

    #[test]
    fn ports() {
        let at = "127.0.0.1:53".parse().unwrap();
        assert_eq!(port("DNS", at, &Ok(())), None);
        let mend = |kind: io::ErrorKind| port("DNS", at, &Err(kind.into())).unwrap().mend.unwrap();
        assert_eq!(mend(io::ErrorKind::AddrInUse), "ss -lntup 'sport = :53'");
        assert!(mend(io::ErrorKind::PermissionDenied).starts_with("setcap"));
        assert!(mend(io::ErrorKind::AddrNotAvailable).starts_with("ip "));
        assert!(mend(io::ErrorKind::Other).starts_with("ip "));
    }

    #[test]
    fn names_are_resolved_or_not() {
        let at = "127.0.0.1:8600".parse().unwrap();
        assert_eq!(names("consul", None, false).grade, Remark);
        assert_eq!(names("consul", Some((at, false)), false).grade, Wrong);
        let silent = names("ryo", Some((at, true)), false);
        assert_eq!(silent.mend.as_deref(), Some("echo 'server=/ryo/127.0.0.1#8600' > /etc/dnsmasq.d/ryo"));
        assert_eq!(names("consul", Some((at, true)), true).grade, Good);
    }

    #[test]
    fn checks_and_members() {
        let found = BTreeMap::from([
            ("_node_maintenance".to_owned(), json!({"Notes": "disks"})),
            ("_service_maintenance:web".to_owned(), json!({"Notes": ""})),
            ("c1".to_owned(), json!({"Status": "critical", "ServiceID": "db", "Output": "refused\nmore"})),
            ("c2".to_owned(), json!({"Status": "passing"})),
        ]);
        let said = checks(&found);
        assert_eq!(said.iter().map(|f| f.grade).collect::<Vec<_>>(), [Remark, Remark, Wrong]);
        assert!(said[2].text.ends_with("c1 of db is critical: refused"), "{said:?}");
        assert_eq!(checks(&BTreeMap::new())[0].grade, Good);
        let member = |name: &str, status: u8, build: &str| json!({"Name": name, "Status": status, "Tags": {"build": build}});
        let said = members(&[member("a", 1, "1"), member("b", 4, "2")]);
        assert_eq!(said[1].mend.as_deref(), Some("ryo force-leave b"));
        assert_eq!((said[0].grade, members(&[member("a", 1, "1")])[0].grade), (Remark, Good));
    }
}
