//! `members`: the nodes and how they are.

use std::collections::BTreeMap;

use clap::Args;
use daemon::Exit;
use registry_client::Request;
use registry_wire::regexp;
use serde::{Deserialize, Serialize};

use crate::{
    client::{ClientFlags, NoWords, PartitionFlag},
    output::{failure, show, table},
};

/// The name that stands for every segment.
const ALL_SEGMENTS: &str = "_all";

/// List the nodes and how they are
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  ryo members\n  ryo members -status=failed -detailed\n\n\
    Exit codes: 0 listed, 1 no answer, 2 no member fits")]
pub(crate) struct Members {
    /// Print all tags
    #[arg(long)]
    detailed: bool,
    /// Only members that this expression selects, `Name == web1`
    #[arg(long, value_name = "EXPRESSION")]
    filter: Option<String>,
    /// Only members of a segment
    #[arg(long, default_value = ALL_SEGMENTS, value_name = "NAME", hide_default_value = true)]
    segment: String,
    /// Only members whose status matches this regular expression
    #[arg(long, default_value = ".*", value_name = "REGEX")]
    status: String,
    /// The servers of all datacenters
    #[arg(long)]
    wan: bool,
    #[command(flatten)]
    partition: PartitionFlag,
    #[command(flatten)]
    client: ClientFlags,
    #[command(flatten)]
    no_words: NoWords,
}

/// A member as `/v1/agent/members` shows it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Member {
    name: String,
    addr: String,
    port: u16,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    status: u8,
}

impl Members {
    pub(crate) fn run(self) -> Exit {
        let status = match regexp::compile(&self.status) {
            Ok(status) => status,
            Err(e) => return failure(format!("Failed to compile status regexp: {e}")),
        };
        self.client.run(async |client| {
            let request = self.partition.apply(Request::get("/v1/agent/members"));
            // Segments are within a datacenter: the two do not go together.
            let request = match (self.wan, &*self.segment) {
                (true, ALL_SEGMENTS) => request.with("wan", "1"),
                (true, segment) => request.with("wan", "1").with("segment", segment),
                (false, segment) => request.with("segment", segment),
            };
            let request = request.with_unless_empty("filter", self.filter.as_deref().unwrap_or_default());
            let mut members: Vec<Member> = match client.json(&request).await {
                Ok(members) => members,
                Err(e) => return failure(format!("Error retrieving members: {e}")),
            };
            members.retain(|member| status.is_match(member.status()));
            members.iter_mut().for_each(|member| member.complete(self.segment == ALL_SEGMENTS));
            if members.is_empty() && !self.client.json {
                return Exit::NoMatch;
            }
            members.sort_by(|a, b| {
                (!a.is_server(), a.tag("segment"), &a.name).cmp(&(!b.is_server(), b.tag("segment"), &b.name))
            });
            let exit = if members.is_empty() { Exit::NoMatch } else { Exit::Success };
            show(self.client.json, &members, || table(&self.rows(&members)));
            exit
        })
    }

    fn rows(&self, members: &[Member]) -> Vec<Vec<String>> {
        let header: &[&str] = if self.detailed {
            &["Node", "Address", "Status", "Tags"]
        } else {
            &["Node", "Address", "Status", "Type", "Build", "Protocol", "DC", "Partition", "Segment"]
        };
        let header = header.iter().map(|title| (*title).to_owned()).collect();
        let row = |member: &Member| if self.detailed { member.detailed_row() } else { member.row() };
        std::iter::once(header).chain(members.iter().map(row)).collect()
    }
}

impl Member {
    fn status(&self) -> &'static str {
        match self.status {
            1 => "alive",
            2 => "leaving",
            3 => "left",
            4 => "failed",
            _ => "none",
        }
    }

    fn tag(&self, name: &str) -> &str {
        self.tags.get(name).map(String::as_str).unwrap_or_default()
    }

    fn is_server(&self) -> bool {
        self.tag("role") == "consul"
    }

    /// Fills in what is only said where it is unusual. A server is of all segments, where all of them were asked for.
    fn complete(&mut self, all_segments: bool) {
        let segment = match self.tag("segment") {
            _ if all_segments && self.is_server() => "<all>",
            "" => "<default>",
            segment => segment,
        };
        self.tags.insert("segment".into(), segment.to_owned());
        if self.tag("ap").is_empty() {
            self.tags.insert("ap".into(), "default".into());
        }
    }

    fn address(&self) -> String {
        let (host, port) = (&self.addr, self.port);
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    fn row(&self) -> Vec<String> {
        let build = self.tag("build").split(':').next().unwrap_or_default();
        let kind = if self.is_server() { "server" } else { "client" };
        let (address, dc, protocol) = (self.address(), self.tag("dc"), self.tag("vsn"));
        let (partition, segment) = (self.tag("ap"), self.tag("segment"));
        [&self.name, address.as_str(), self.status(), kind, build, protocol, dc, partition, segment]
            .map(str::to_owned)
            .to_vec()
    }

    fn detailed_row(&self) -> Vec<String> {
        let tags: Vec<String> = self.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
        vec![self.name.clone(), self.address(), self.status().to_owned(), tags.join(",")]
    }
}

#[cfg(test)]
mod tests {
    use super::Member;

    fn member(json: &str) -> Member {
        let mut member: Member = serde_json::from_str(json).unwrap();
        member.complete(true);
        member
    }

    #[test]
    fn a_row_tells_what_the_tags_say() {
        let server = member(
            r#"{"Name":"s1","Addr":"::1","Port":8301,"Status":1,
                "Tags":{"role":"consul","build":"1.21.4:abc","vsn":"2","dc":"dc1","segment":""}}"#,
        );
        assert_eq!(
            server.row(),
            ["s1", "[::1]:8301", "alive", "server", "1.21.4", "2", "dc1", "default", "<all>"]
        );
        let client = member(
            r#"{"Name":"c1","Addr":"10.0.0.1","Port":8301,"Status":3,"Tags":{"role":"node","id":"x"}}"#,
        );
        assert_eq!(client.row()[2..4], ["left", "client"]);
        assert_eq!(
            client.detailed_row(),
            ["c1", "10.0.0.1:8301", "left", "ap=default,id=x,role=node,segment=<default>"]
        );
    }
}
