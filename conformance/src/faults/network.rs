//! A bridge on which clients are, and a network namespace behind it for each node.

use std::{
    net::{IpAddr, Ipv4Addr},
    process::Command,
};

use anyhow::Context as _;

use super::run_program;

/// The bridge, in the network namespace of the run itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network;

impl Network {
    /// Makes the bridge, and a namespace for each of these addresses' last numbers.
    pub(super) fn new(hosts: impl IntoIterator<Item = u8>) -> anyhow::Result<Self> {
        run_program(Command::new("nft").arg("--version"))
            .context("nftables has to be installed, to cut hosts off")?;
        ip("link set lo up")?;
        ip("link add bridge type bridge")?;
        ip("address add 10.77.0.1/24 dev bridge")?;
        ip("link set bridge up")?;
        for host in hosts {
            let (name, address) = (Self::namespace(host), Self::address(host));
            ip(&format!("netns add {name}"))?;
            ip(&format!("-n {name} link set lo up"))?;
            ip(&format!("link add plug{host} type veth peer name eth0 netns {name}"))?;
            ip(&format!("link set plug{host} master bridge up"))?;
            ip(&format!("-n {name} address add {address}/24 dev eth0"))?;
            ip(&format!("-n {name} link set eth0 up"))?;
        }
        Ok(Self)
    }

    pub(super) fn address(host: u8) -> IpAddr {
        Ipv4Addr::new(10, 77, 0, host).into()
    }

    fn namespace(host: u8) -> String {
        format!("host{host}")
    }

    /// A program on one of the hosts.
    pub(super) fn command(host: u8) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &Self::namespace(host)]);
        command
    }

    /// Lets a host hear nothing more of others.
    pub(super) fn deafen(self, host: u8, others: &[u8]) -> anyhow::Result<()> {
        let from: Vec<String> = others.iter().map(|other| Self::address(*other).to_string()).collect();
        let rules = format!(
            "table inet cut {{ chain input {{ type filter hook input priority 0; ip saddr {{ {} }} drop; }}; }}",
            from.join(", ")
        );
        run_program(Self::command(host).args(["nft", &rules]))
    }

    /// Lets a host hear everybody again.
    pub(super) fn mend(self, host: u8) {
        // Who was not cut off has no such table.
        let _ = run_program(Self::command(host).args(["nft", "delete table inet cut"]));
    }
}

fn ip(words: &str) -> anyhow::Result<()> {
    run_program(Command::new("ip").args(words.split(' ')))
}
