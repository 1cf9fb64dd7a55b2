//! Answers to names of nodes and addresses, and who the zone's name servers are.

use std::net::IpAddr;

use hickory_proto::rr::{
    Name, RData, Record, RecordType,
    rdata::{NS, PTR},
};
use registry_wire::catalog::Node;

use super::{Asked, Outcome, Resolver, Verdict, lower_labels};
use crate::{
    backend::{AddressOwner, Found, Lookup, Reach},
    dns::{
        address::{self, Family},
        answer,
        encode::Reply,
        question::{self, Place},
        request::Request,
    },
};

/// The service every server registers itself under.
const SERVERS: &str = "consul";
/// Name servers given at most.
const NAME_SERVERS_MAX: usize = 3;

impl Resolver {
    /// The answer of a node's name.
    pub(super) async fn node(&self, asked: &Asked<'_>, name: String, place: &Place) -> Outcome {
        let kind = asked.kind;
        if !matches!(kind, RecordType::A | RecordType::AAAA | RecordType::ANY | RecordType::TXT) {
            return Outcome::default();
        }
        let datacenter = match self.datacenter(place) {
            Ok(datacenter) => datacenter,
            Err(outcome) => return outcome,
        };
        let wan = self.settings.translate_wan_addrs && datacenter.is_some();
        let node = match self.look_up(Lookup::Node { name, datacenter }).await {
            Ok(Found::Node(Some(node))) => node,
            Ok(_) => return Verdict::NoName.into(),
            Err(outcome) => return outcome,
        };
        let ttl = answer::ttl_seconds(self.settings.node_ttl);
        let mut outcome = Outcome::default();
        if kind != RecordType::TXT {
            outcome.answers = self.node_addresses(asked, &node, wan, ttl).await;
        }
        let texts = || answer::meta_records(node.meta.as_ref(), asked.name, ttl);
        if matches!(kind, RecordType::TXT | RecordType::ANY) {
            outcome.answers.extend(texts());
        } else if self.settings.enable_additional_node_meta_txt {
            outcome.additionals = texts();
        }
        outcome
    }

    /// A node's address, or the name that is its address with what it leads to.
    async fn node_addresses(&self, asked: &Asked<'_>, node: &Node, wan: bool, ttl: u32) -> Vec<Record> {
        let Some(text) = address::of_node(node, Family::asked_by(asked.kind), wan) else { return Vec::new() };
        if let Some(ip) = address::parse_ip(text) {
            return answer::address_record(asked.kind, ip, asked.name, ttl).into_iter().collect();
        }
        let Some(record) = answer::cname_record(asked.name, text, ttl) else { return Vec::new() };
        let mut records = vec![record];
        records.extend(self.chase(asked, text).await);
        records
    }

    /// An address in hex. Asked for by another type, its record is additional (as recorded).
    pub(super) fn address(&self, asked: &Asked<'_>, ip: IpAddr) -> Outcome {
        let name =
            Name::from_labels(lower_labels(asked).iter().map(String::as_bytes).chain(asked.domain.iter()));
        let Ok(name) = name else { return Verdict::NoName.into() };
        let kind = if ip.is_ipv4() { RecordType::A } else { RecordType::AAAA };
        let ttl = answer::ttl_seconds(self.settings.node_ttl);
        let record = answer::address_record(kind, ip, &name, ttl).into_iter().collect();
        if asked.kind == kind || asked.kind == RecordType::ANY {
            Outcome { answers: record, ..Outcome::default() }
        } else {
            Outcome { additionals: record, ..Outcome::default() }
        }
    }

    /// The healthy servers' names and their addresses; empty when there are none or nobody can be asked.
    pub(super) async fn name_servers(&self, asked: &Asked<'_>) -> (Vec<Record>, Vec<Record>) {
        let ttl = answer::ttl_seconds(self.settings.node_ttl);
        let (mut names, mut glue) = (Vec::new(), Vec::new());
        let Ok(found) = self.instances(SERVERS, Reach::Itself, None, &Place::Here).await else {
            return (names, glue);
        };
        for instance in found.iter().filter(|instance| is_host_name(&instance.node.node)) {
            let Some(name) = answer::node_name(&instance.node, &self.settings, &asked.domain) else {
                continue;
            };
            let name = name.to_lowercase();
            let (kind, domain) = (RecordType::ANY, asked.domain.clone());
            let (enough, client) = (asked.enough, asked.client);
            let any =
                Asked { name: &name, kind, domain, question: &[], edns: false, enough, client, chases: 0 };
            glue.extend(self.node_addresses(&any, &instance.node, false, ttl).await);
            names.push(Record::from_rdata(asked.domain.clone(), ttl, RData::NS(NS(name))));
            if names.len() == NAME_SERVERS_MAX {
                break;
            }
        }
        (names, glue)
    }

    /// The name of an address: `None` when nothing here has it.
    pub(super) async fn reverse_zone(&self, request: &Request) -> Option<Reply> {
        let ip = question::reverse(&request.name)?;
        let Ok(Found::Address(Some(owner))) = self.look_up(Lookup::Address(ip)).await else { return None };
        let (name, kind) = match &owner {
            AddressOwner::Node(name) => (name, "node"),
            AddressOwner::Service(name) => (name, "service"),
        };
        let name = answer::canonical_name(name, kind, &self.settings.datacenter, &self.settings.domain.0)?;
        let record = Record::from_rdata(request.name.clone(), 0, RData::PTR(PTR(name)));
        // Whatever type was asked for, the answer is this one (as recorded).
        let authorities = if request.kind == RecordType::SOA { vec![self.soa(request)] } else { Vec::new() };
        Some(Reply { answers: vec![record], authorities, ..Reply::default() })
    }
}

/// Only such names may stand in NS records.
fn is_host_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
