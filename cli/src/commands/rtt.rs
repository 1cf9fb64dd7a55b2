//! `rtt`: how long a round trip between two nodes takes, by their coordinates.

use clap::Args;
use daemon::Exit;
use registry_client::{Client, Request};
use registry_wire::coordinate::{Coordinate, DatacenterCoordinates, NodeCoordinate};
use serde_json::{Value, json};

use super::cluster::usage;
use crate::{
    client::ClientFlags,
    output::{failure, show},
};

/// Estimate the round trip between two nodes
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  ryo rtt web1\n  ryo rtt web1 db1\n  ryo rtt -wan srv1.dc1 srv1.dc2\n\n\
    Exit codes: 0 estimated, 1 a node has no coordinate, or no answer")]
pub(crate) struct Rtt {
    /// Between servers of datacenters, each as NODE.DATACENTER
    #[arg(long)]
    wan: bool,
    #[command(flatten)]
    client: ClientFlags,
    /// A node, and another one; the agent's own when it is left out
    #[arg(value_name = "NODE")]
    words: Vec<String>,
}

impl Rtt {
    pub(crate) fn run(self) -> Exit {
        if self.words.is_empty() || self.words.len() > 2 {
            let why = "One or two node names must be specified";
            return failure(format!("{why}\n\n{}", usage(&["rtt"])));
        }
        self.client.run(async |client| self.estimate(&client).await.unwrap_or_else(failure))
    }

    async fn estimate(&self, client: &Client) -> Result<Exit, String> {
        let mut nodes = self.words.clone();
        if nodes.len() == 1 {
            nodes.push(self.own_node(client).await?);
        }
        let (known, source) = if self.wan {
            (servers(client, &nodes).await?, "WAN")
        } else {
            let listed: Result<Vec<NodeCoordinate>, _> =
                client.json(&Request::get("/v1/coordinate/nodes")).await;
            (listed.map_err(|e| format!("Error getting coordinates: {e}"))?, "LAN")
        };
        let place = |node: &String| -> Result<&Coordinate, String> {
            let found = known.iter().find(|known| known.node == *node);
            found
                .map(|known| &known.coord)
                .ok_or_else(|| format!("Could not find a coordinate for node {node:?}"))
        };
        let millis = place(&nodes[0])?.distance(place(&nodes[1])?) * 1e3;
        let (one, other) = (&nodes[0], &nodes[1]);
        let answer = json!({ "From": one, "To": other, "Milliseconds": millis, "Coordinates": source });
        Ok(show(self.client.json, &answer, || {
            format!("Estimated {one} <-> {other} rtt: {millis:.3} ms (using {source} coordinates)")
        }))
    }

    async fn own_node(&self, client: &Client) -> Result<String, String> {
        let own: Result<Value, _> = client.json(&Request::get("/v1/agent/self")).await;
        let own = own.map_err(|e| format!("Unable to look up agent info: {e}"))?;
        let text = |name: &str| own["Config"][name].as_str().unwrap_or_default().to_owned();
        let node = text("NodeName");
        Ok(if self.wan { format!("{node}.{}", text("Datacenter")) } else { node })
    }
}

/// The servers of all datacenters, each named with its own.
async fn servers(client: &Client, asked: &[String]) -> Result<Vec<NodeCoordinate>, String> {
    if asked.iter().any(|node| node.split('.').count() != 2) {
        return Err("Node names must be specified as <node name>.<datacenter> with -wan".into());
    }
    let listed: Result<Vec<DatacenterCoordinates>, _> =
        client.json(&Request::get("/v1/coordinate/datacenters")).await;
    let listed = listed.map_err(|e| format!("Error getting coordinates: {e}"))?;
    let of = |datacenter: DatacenterCoordinates| {
        let DatacenterCoordinates { datacenter, coordinates, .. } = datacenter;
        let named = move |server: NodeCoordinate| {
            let node = format!("{}.{datacenter}", server.node);
            NodeCoordinate { node, ..server }
        };
        coordinates.into_iter().map(named)
    };
    Ok(listed.into_iter().flat_map(of).collect())
}
