//! `members`: the nodes and how they are.

use std::collections::BTreeMap;

use clap::Args;
use daemon::Exit;
use regex::Regex;
use registry_client::Request;
use serde::{Deserialize, Serialize};

use crate::{
    client::{ClientFlags, NoWords},
    output::{failure, show, table},
};

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
    #[arg(long, default_value = "_all", value_name = "NAME", hide_default_value = true)]
    segment: String,
    /// Only members whose status matches this regular expression
    #[arg(long, default_value = ".*", value_name = "REGEX")]
    status: String,
    /// The servers of all datacenters
    #[arg(long)]
    wan: bool,
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
        let status = match Regex::new(&self.status) {
            Ok(status) => status,
            Err(e) => {
                return failure(format!(
                    "Failed to compile status regexp: {}",
                    regex_problem(&self.status, &e)
                ));
            }
        };
        self.client.run(async |client| {
            let request = Request::get("/v1/agent/members");
            // Segments are within a datacenter: the two do not go together.
            let request = if self.wan {
                request.with("wan", "1")
            } else {
                request.with("segment", self.segment.as_str())
            };
            let request = request.with_unless_empty("filter", self.filter.as_deref().unwrap_or_default());
            let mut members: Vec<Member> = match client.json(&request).await {
                Ok(members) => members,
                Err(e) => return failure(format!("Error retrieving members: {e}")),
            };
            members.retain(|member| status.is_match(member.status()));
            if members.is_empty() && !self.client.json {
                return Exit::NoMatch;
            }
            members.sort_by(|a, b| {
                (!a.is_server(), a.segment(), &a.name).cmp(&(!b.is_server(), b.segment(), &b.name))
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

    fn segment(&self) -> &str {
        match self.tag("segment") {
            _ if self.is_server() => "<all>",
            "" => "<default>",
            segment => segment,
        }
    }

    fn address(&self) -> String {
        let (host, port) = (&self.addr, self.port);
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    fn row(&self) -> Vec<String> {
        let build = self.tag("build").split(':').next().unwrap_or_default();
        let kind = if self.is_server() { "server" } else { "client" };
        let partition = Some(self.tag("ap")).filter(|ap| !ap.is_empty()).unwrap_or("default");
        let (address, dc, protocol) = (self.address(), self.tag("dc"), self.tag("vsn"));
        [&self.name, address.as_str(), self.status(), kind, build, protocol, dc, partition, self.segment()]
            .map(str::to_owned)
            .to_vec()
    }

    fn detailed_row(&self) -> Vec<String> {
        let tags: Vec<String> = self.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
        vec![self.name.clone(), self.address(), self.status().to_owned(), tags.join(",")]
    }
}

/// What is wrong with an expression, in the words of Go's library where scripts may look for them.
fn regex_problem(pattern: &str, error: &regex::Error) -> String {
    let text = error.to_string();
    let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
    match reason {
        "unclosed group" => format!("error parsing regexp: missing closing ): `{pattern}`"),
        reason => format!("error parsing regexp: {reason}: `{pattern}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::Member;

    fn member(json: &str) -> Member {
        serde_json::from_str(json).unwrap()
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
        assert_eq!(client.detailed_row(), ["c1", "10.0.0.1:8301", "left", "id=x,role=node"]);
    }
}
