//! Commands to an agent about itself and its fleet: `join`, `leave`, `force-leave`, `reload`.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

use agent::config::{self, Flags, Listen};
use clap::{Args, CommandFactory as _};
use daemon::Exit;
use registry_client::{Client, Request};
use serde_json::json;

use crate::{
    client::{ClientFlags, NoWords, PartitionFlag, block_on, succeed},
    flags,
    output::{failure, line, note, show, told},
    program::{Tree, called_consul},
};

/// Where an agent's configuration stands, when nobody says otherwise.
pub(crate) const CONFIGURATION_FOLDERS: [&str; 2] = ["/etc/ryo.d", "/etc/consul.d"];

/// Let the agent join a fleet
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo join 10.0.0.1 10.0.0.2:8301\n\nExit codes: 0 one address answered, 1 none did"
)]
pub(crate) struct Join {
    /// Join the servers of another datacenter
    #[arg(long)]
    wan: bool,
    #[command(flatten)]
    partition: PartitionFlag,
    #[command(flatten)]
    client: ClientFlags,
    /// A server or any agent; without a port the usual one
    #[arg(value_name = "ADDRESS")]
    words: Vec<String>,
}

impl Join {
    pub(crate) fn run(self) -> Exit {
        if self.words.is_empty() {
            return failure(format!(
                "At least one address to join must be specified.\n\n{}",
                usage(&["join"])
            ));
        }
        self.client.run(async |client| {
            let mut joined = 0;
            for address in &self.words {
                let request = Request::put(Request::path_to("/v1/agent/join", address), "");
                let request = self.partition.apply(request);
                let request = if self.wan { request.with("wan", "1") } else { request };
                match succeed(&client, &request).await {
                    Ok(_) => joined += 1,
                    Err(e) => note(format!("Error joining address '{address}': {e}")),
                }
            }
            if joined == 0 {
                return failure("Failed to join any nodes.");
            }
            show(self.client.json, &json!({ "Joined": joined }), || {
                format!("Successfully joined cluster by contacting {joined} nodes.")
            })
        })
    }
}

/// Let the agent leave its fleet and end
#[derive(Args, Debug)]
#[command(
    after_help = "Without an address, an agent that does not answer on 127.0.0.1:8500 is looked for on [::1] and on the \
    client_addr of its configuration.\n\nExample:\n  ryo leave\n\nExit codes: 0 left, 1 refused or no answer"
)]
pub(crate) struct Leave {
    #[command(flatten)]
    client: ClientFlags,
    #[command(flatten)]
    no_words: NoWords,
}

impl Leave {
    pub(crate) fn run(self) -> Exit {
        let words = self.no_words.words();
        if !words.is_empty() {
            line(usage(&["leave"]));
            return failure(format!("Error found unexpected args: [{}]", words.join(" ")));
        }
        let client = match self.client.client() {
            Ok(client) => client,
            Err(why) => return failure(why),
        };
        block_on(async {
            let leave = Request::put("/v1/agent/leave", "");
            let mut answer = succeed(&client, &leave).await.map(drop);
            if answer.as_ref().is_err_and(|e| e.is_unreachable()) {
                let further: Vec<Client> = self.client.elsewhere(&other_addresses());
                for client in further {
                    match succeed(&client, &leave).await {
                        Err(e) if e.is_unreachable() => continue,
                        found => answer = found.map(drop),
                    }
                    break;
                }
            }
            done(answer, "Error leaving", self.client.json, "Left", "Graceful leave complete")
        })
    }
}

/// Declare a node to have left
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  ryo force-leave web1\n\nExit codes: 0 done, 1 no such node or no answer")]
pub(crate) struct ForceLeave {
    /// Forget the node altogether
    #[arg(long)]
    prune: bool,
    /// A server of another datacenter
    #[arg(long)]
    wan: bool,
    #[command(flatten)]
    partition: PartitionFlag,
    #[command(flatten)]
    client: ClientFlags,
    /// The node's name
    #[arg(value_name = "NODE")]
    words: Vec<String>,
}

impl ForceLeave {
    pub(crate) fn run(self) -> Exit {
        let [node] = self.words.as_slice() else {
            let why = "A single node name must be specified to force leave.";
            return failure(format!("{why}\n\n{}", usage(&["force-leave"])));
        };
        self.client.run(async |client| {
            let request = Request::put(Request::path_to("/v1/agent/force-leave", node), "");
            let mut request = self.partition.apply(request);
            for (name, on) in [("prune", self.prune), ("wan", self.wan)] {
                if on {
                    request = request.with(name, "1");
                }
            }
            match succeed(&client, &request).await {
                Ok(_) => told(self.client.json, &json!({ "Left": node })),
                Err(e) => failure(format!("Error force leaving: {e}")),
            }
        })
    }
}

/// Let the agent read its configuration again
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  ryo reload\n\nExit codes: 0 read, 1 refused (the old one stays) or no answer"
)]
pub(crate) struct Reload {
    #[command(flatten)]
    client: ClientFlags,
    #[command(flatten)]
    no_words: NoWords,
}

impl Reload {
    pub(crate) fn run(self) -> Exit {
        self.client.run(async |client| {
            let answer = succeed(&client, &Request::put("/v1/agent/reload", "")).await.map(drop);
            done(answer, "Error reloading", self.client.json, "Reloaded", "Configuration reload triggered")
        })
    }
}

/// Where an agent of this machine may listen besides `127.0.0.1:8500`: on `[::1]`, and where its configuration says.
fn other_addresses() -> Vec<String> {
    let mut addresses = vec!["[::1]:8500".to_owned()];
    for folder in CONFIGURATION_FOLDERS.into_iter().filter(|folder| Path::new(folder).is_dir()) {
        let flags = Flags::of_sources(vec![folder.to_owned()], None);
        // One that cannot be read is no agent's configuration either.
        for listen in config::load(&flags).into_iter().flat_map(|config| config.http_listen) {
            addresses.push(match listen {
                Listen::Tcp(address) => reachable(address),
                Listen::Unix(path) => format!("unix://{}", path.display()),
            });
        }
    }
    addresses
}

/// How a listener's address is reached from this machine: one that stands for all addresses, on loopback.
pub(crate) fn reachable(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port()).to_string()
}

fn done(
    answer: Result<(), registry_client::RequestError>,
    problem: &str,
    as_json: bool,
    what: &str,
    success: &str,
) -> Exit {
    match answer {
        Ok(()) => show(as_json, &json!({ what: true }), || success.to_owned()),
        Err(e) => failure(format!("{problem}: {e}")),
    }
}

/// The help of a command.
pub(crate) fn usage(path: &[&str]) -> String {
    let name = if called_consul() { "consul" } else { "ryo" };
    let mut root = flags::relax(Tree::command().name(name).bin_name(name));
    root.build();
    let command = path.iter().try_fold(&root, |command, name| command.find_subcommand(name));
    command.map_or_else(String::new, |command| command.clone().render_help().to_string())
}
