//! From a question to its reply: decides who answers (the own zone, the reverse zone, a recursor), looks things up and
//! follows names that lead to names.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use hickory_proto::rr::{
    Name, RData, Record, RecordType,
    rdata::{NS, PTR},
};
use rand::seq::SliceRandom;
use registry_wire::catalog::{CheckServiceNode, Node};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::{
    address::{self, Family},
    answer::{self, Target},
    encode::{Reply, encode},
    question::{self, Place, Question},
    recurse,
    request::{Rcode, Request, flags},
    settings::Settings,
    size::{self, Transport},
};
use crate::backend::{AddressOwner, Backend, BoxFuture, Found, Lookup, Unavailable};

/// The service every server registers itself under.
const SERVERS: &str = "consul";
/// Questions to recursors under way at once.
const RECURSIONS_MAX: usize = 256;
/// Name servers given at most.
const NAME_SERVERS_MAX: usize = 3;
/// How often a name that leads to a name is followed, so that a loop ends.
const CHASES_MAX: u8 = 3;
/// Records a followed name may add for a client without EDNS.
const CHASED_RECORDS_MAX: usize = 5;

/// Answers questions. Cheap to clone.
#[derive(Clone)]
pub(super) struct Resolver {
    backend: Arc<dyn Backend>,
    pub(super) settings: Arc<Settings>,
    /// Whether the last look-up failed, so that a failure is logged once and not once per question.
    failing: Arc<AtomicBool>,
    /// Places for questions to recursors, for each takes a socket.
    recursions: Arc<Semaphore>,
}

/// A question of the own zone, with what its answer's names depend on.
pub(super) struct Asked<'a> {
    pub(super) name: &'a Name,
    pub(super) kind: RecordType,
    /// The zone's name with the spelling of the question.
    pub(super) domain: Name,
    /// Whether the client has EDNS.
    pub(super) edns: bool,
    /// So many answers are enough: of more, none would be sent.
    pub(super) enough: usize,
    /// How often names have been followed to get here.
    chases: u8,
}

/// What became of a question of the own zone.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    pub(super) answers: Vec<Record>,
    pub(super) additionals: Vec<Record>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Answered, perhaps with nothing.
    #[default]
    Answered,
    /// There is no such name.
    NoName,
    /// The name is there, but nothing of the type.
    NoData,
    /// Nobody could be asked.
    Failed,
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, ..Self::default() }
    }
}

/// Which zone a name belongs to.
pub(super) enum Zone {
    /// The main or the alternative domain, as the question spells it.
    Own(Name),
    /// `arpa.`: names of addresses.
    Reverse,
    /// Somebody else's.
    Other,
}

impl Zone {
    pub(super) fn of(name: &Name, settings: &Settings) -> Self {
        let domains = [Some(&settings.domain), settings.alt_domain.as_ref()].into_iter().flatten();
        let own = domains.filter(|domain| domain.0.zone_of(name)).map(|domain| label_count(&domain.0)).max();
        match own {
            Some(labels) => Self::Own(name.trim_to(labels)),
            None if name.iter().next_back().is_some_and(|top| top.eq_ignore_ascii_case(b"arpa")) => {
                Self::Reverse
            }
            None => Self::Other,
        }
    }
}

impl Resolver {
    pub(super) fn new(backend: Arc<dyn Backend>, settings: Arc<Settings>) -> Self {
        let recursions = Arc::new(Semaphore::new(RECURSIONS_MAX));
        Self { backend, settings, failing: Arc::new(AtomicBool::new(false)), recursions }
    }

    /// The reply to a request; always one.
    pub(super) async fn reply(&self, request: &Request, transport: Transport, client: SocketAddr) -> Vec<u8> {
        let recursion = if self.settings.recursors.is_empty() { 0 } else { flags::RECURSION_AVAILABLE };
        let own = flags::AUTHORITATIVE | recursion;
        let reply = match Zone::of(&request.name, &self.settings) {
            Zone::Own(domain) => {
                let mut reply = self.own_zone(request, domain, transport).await;
                reply.edns.clone_from(&request.edns);
                reply.flags |= own;
                return size::write(request, reply, &self.settings, transport);
            }
            Zone::Reverse => match self.reverse_zone(request).await {
                Some(reply) => Reply { flags: own, edns: request.edns.clone(), ..reply },
                None if recursion != 0 => return self.recurse(request, transport, client).await,
                None => {
                    // Once because there is no such name, once more when it was asked for (as recorded).
                    let times = if request.kind == RecordType::SOA { 2 } else { 1 };
                    let authorities = vec![self.soa(request); times];
                    let edns = request.edns.clone();
                    Reply { rcode: Rcode::NxDomain, flags: own, authorities, edns, ..Reply::default() }
                }
            },
            Zone::Other if recursion != 0 => return self.recurse(request, transport, client).await,
            Zone::Other => Reply { rcode: Rcode::Refused, ..Reply::default() },
        };
        encode(request, &reply, !self.settings.disable_compression)
    }

    async fn recurse(&self, request: &Request, transport: Transport, client: SocketAddr) -> Vec<u8> {
        let place = self.recursion().await;
        if place.is_some()
            && let Some(reply) = recurse::forward(request, transport, &self.settings).await
        {
            return reply;
        }
        tracing::error!(
            target: "agent.dns",
            question = %request.name,
            kind = %request.kind,
            %client,
            client_network = match transport { Transport::Udp => "udp", Transport::Tcp => "tcp" },
            "all resolvers failed for question from client"
        );
        let edns = request.edns.clone();
        let reply =
            Reply { rcode: Rcode::ServFail, flags: flags::RECURSION_AVAILABLE, edns, ..Reply::default() };
        encode(request, &reply, !self.settings.disable_compression)
    }

    /// A place for a question to the recursors; `None` when none gets free in the time that a recursor has.
    async fn recursion(&self) -> Option<SemaphorePermit<'_>> {
        timeout(self.settings.recursor_timeout, self.recursions.acquire()).await.ok()?.ok()
    }

    async fn own_zone(&self, request: &Request, domain: Name, transport: Transport) -> Reply {
        let enough = size::enough(request, &self.settings, transport);
        let (name, kind, edns) = (&request.name, request.kind, request.edns.is_some());
        let asked = Asked { name, kind, domain, edns, enough, chases: 0 };
        match request.kind {
            RecordType::SOA => {
                let (authorities, additionals) = self.name_servers(&asked).await;
                Reply { answers: vec![self.soa(request)], authorities, additionals, ..Reply::default() }
            }
            RecordType::NS => {
                let (answers, additionals) = self.name_servers(&asked).await;
                Reply { answers, additionals, ..Reply::default() }
            }
            RecordType::AXFR => Reply { rcode: Rcode::NotImp, ..Reply::default() },
            _ => self.reply_of(request, self.dispatch(&asked).await),
        }
    }

    /// The reply that an outcome makes, with the SOA record that negative answers carry.
    fn reply_of(&self, request: &Request, outcome: Outcome) -> Reply {
        let Outcome { verdict, answers, additionals } = outcome;
        let (rcode, soa) = match verdict {
            Verdict::Answered => (Rcode::NoError, false),
            Verdict::NoName => (Rcode::NxDomain, true),
            Verdict::NoData => (Rcode::NoError, true),
            Verdict::Failed => (Rcode::ServFail, false),
        };
        let authorities = if soa { vec![self.soa(request)] } else { Vec::new() };
        Reply { rcode, answers, authorities, additionals, ..Reply::default() }
    }

    /// The main domain's SOA record; below the alternative domain, but not at its top, that one's (as recorded).
    fn soa(&self, request: &Request) -> Record {
        let below = |domain: &Name| {
            domain.zone_of_case(&request.name) && label_count(domain) < label_count(&request.name)
        };
        let alternative =
            self.settings.alt_domain.as_ref().map(|domain| &domain.0).filter(|domain| below(domain));
        let serial = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as u32;
        answer::soa_record(alternative.unwrap_or(&self.settings.domain.0), &self.settings, serial)
    }

    fn dispatch<'a>(&'a self, asked: &'a Asked<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match question_of(asked) {
                Question::Service { name, tag, place } => {
                    match self.instances(&name, tag.as_deref(), &place).await {
                        Ok(found) => self.service(asked, &name, found).await,
                        Err(outcome) => outcome,
                    }
                }
                Question::Node { name, place } => self.node(asked, name, &place).await,
                Question::Address(ip) => self.address(asked, ip),
                Question::Virtual => Outcome::default(),
                Question::Nothing => Verdict::NoName.into(),
                Question::Impossible => Verdict::Failed.into(),
            }
        })
    }

    /// The instances to be given, in random order, and whether their `wan` addresses are to be given.
    async fn instances(&self, name: &str, tag: Option<&str>, place: &Place) -> Result<Instances, Outcome> {
        let datacenter = self.datacenter(place)?;
        let wan = self.settings.translate_wan_addrs && datacenter.is_some();
        let lookup = Lookup::Service { name: name.to_owned(), datacenter };
        let Found::Service(all) = self.look_up(lookup).await? else { return Err(Verdict::Failed.into()) };
        let only_passing = self.settings.only_passing;
        let given = |at: &usize| answer::is_given(&all[*at], tag, only_passing);
        let mut order: Vec<usize> = (0..all.len()).filter(given).collect();
        if order.is_empty() {
            return Err(Verdict::NoName.into());
        }
        order.shuffle(&mut rand::rng());
        Ok(Instances { all, order, wan })
    }

    async fn service(&self, asked: &Asked<'_>, name: &str, found: Instances) -> Outcome {
        let ttl = answer::ttl_seconds(self.settings.ttl_of_service(name));
        let outcome = if asked.kind == RecordType::SRV {
            self.service_srv(asked, &found, ttl).await
        } else {
            self.service_addresses(asked, &found, ttl).await
        };
        if outcome.answers.is_empty() { Verdict::NoData.into() } else { outcome }
    }

    /// Addresses, each once; when there are none, one of the names with what it leads to.
    async fn service_addresses(&self, asked: &Asked<'_>, found: &Instances, ttl: u32) -> Outcome {
        let family = Family::asked_by(asked.kind);
        let limit = match self.settings.a_record_limit {
            0 => asked.enough,
            limit => limit.min(asked.enough),
        };
        let (mut answers, mut seen, mut alias) = (Vec::new(), HashSet::new(), None);
        for instance in found.iter() {
            match answer::target(instance, asked.name, family, found.wan) {
                Some(Target::Node(ip) | Target::Own(ip)) if seen.insert(ip) => {
                    answers.extend(answer::address_record(asked.kind, ip, asked.name, ttl));
                }
                Some(Target::Name(text)) => alias = alias.or(Some(text)),
                _ => {}
            }
            if answers.len() == limit {
                break;
            }
        }
        if let Some(text) = alias.filter(|_| answers.is_empty())
            && let Some(record) = answer::cname_record(asked.name, text, ttl)
        {
            answers.push(record);
            answers.extend(self.chase_for_service(asked, text, ttl).await);
        }
        Outcome { answers, ..Outcome::default() }
    }

    async fn service_srv(&self, asked: &Asked<'_>, found: &Instances, ttl: u32) -> Outcome {
        let mut outcome = Outcome::default();
        let (mut seen, mut chased) = (HashSet::new(), HashMap::new());
        for instance in found.iter() {
            if !seen.insert(answer::srv_identity(instance, found.wan)) {
                continue;
            }
            let datacenter = answer::datacenter_of(&instance.node, &self.settings);
            let node_name = answer::node_name(&instance.node, &self.settings, &asked.domain);
            let (target, ip) = match answer::target(instance, asked.name, Family::Any, found.wan) {
                Some(Target::Node(ip)) => (node_name.clone(), Some(ip)),
                Some(Target::Own(ip)) => (answer::address_name(ip, datacenter, &asked.domain), Some(ip)),
                Some(Target::Name(text)) => {
                    if !chased.contains_key(text) {
                        chased.insert(text, self.chase_for_service(asked, text, ttl).await);
                    }
                    outcome.additionals.extend(chased.get(text).into_iter().flatten().cloned());
                    (answer::fqdn(text), None)
                }
                None => continue,
            };
            let Some(target) = target else { continue };
            let glue = ip.and_then(|ip| answer::address_record(asked.kind, ip, &target, ttl));
            outcome.additionals.extend(glue);
            outcome.answers.push(answer::srv_record(instance, asked.name, target, found.wan, ttl));
            if let Some(name) = node_name.filter(|_| self.settings.enable_additional_node_meta_txt) {
                outcome.additionals.extend(answer::meta_records(instance.node.meta.as_ref(), &name, ttl));
            }
            if outcome.answers.len() == asked.enough {
                break;
            }
        }
        outcome
    }

    /// What a service's name leads to: addresses and further names only, all with the service's TTL.
    async fn chase_for_service(&self, asked: &Asked<'_>, text: &str, ttl: u32) -> Vec<Record> {
        let limit = if asked.edns { usize::MAX } else { CHASED_RECORDS_MAX };
        let usable = |record: &Record| {
            matches!(record.record_type(), RecordType::CNAME | RecordType::A | RecordType::AAAA)
        };
        let mut records = self.chase(asked, text).await;
        records.retain(usable);
        records.truncate(limit);
        records.iter_mut().for_each(|record| record.ttl = ttl);
        records
    }

    async fn node(&self, asked: &Asked<'_>, name: String, place: &Place) -> Outcome {
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

    /// What a name leads to: in the own zone whatever it has, elsewhere what a recursor knows of its addresses.
    async fn chase(&self, asked: &Asked<'_>, text: &str) -> Vec<Record> {
        let Some(name) = answer::fqdn(text) else { return Vec::new() };
        match Zone::of(&name, &self.settings) {
            Zone::Own(_) if asked.chases == CHASES_MAX => {
                tracing::debug!(target: "agent.dns", %name, "this name leads to too many others, not followed further");
                Vec::new()
            }
            Zone::Own(domain) => {
                let (kind, chases) = (RecordType::ANY, asked.chases + 1);
                let next = Asked { name: &name, kind, domain, edns: false, enough: asked.enough, chases };
                self.dispatch(&next).await.answers
            }
            _ => match self.recursion().await {
                Some(_place) => recurse::addresses(&name, &self.settings).await,
                None => Vec::new(),
            },
        }
    }

    /// An address in hex. Asked for by another type, its record is additional (as recorded).
    fn address(&self, asked: &Asked<'_>, ip: IpAddr) -> Outcome {
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
    async fn name_servers(&self, asked: &Asked<'_>) -> (Vec<Record>, Vec<Record>) {
        let ttl = answer::ttl_seconds(self.settings.node_ttl);
        let (mut names, mut glue) = (Vec::new(), Vec::new());
        let Ok(found) = self.instances(SERVERS, None, &Place::Here).await else { return (names, glue) };
        for instance in found.iter().filter(|instance| is_host_name(&instance.node.node)) {
            let Some(name) = answer::node_name(&instance.node, &self.settings, &asked.domain) else {
                continue;
            };
            let name = name.to_lowercase();
            let (kind, domain) = (RecordType::ANY, asked.domain.clone());
            let any = Asked { name: &name, kind, domain, edns: false, enough: asked.enough, chases: 0 };
            glue.extend(self.node_addresses(&any, &instance.node, false, ttl).await);
            names.push(Record::from_rdata(asked.domain.clone(), ttl, RData::NS(NS(name))));
            if names.len() == NAME_SERVERS_MAX {
                break;
            }
        }
        (names, glue)
    }

    /// The name of an address: `None` when nothing here has it.
    async fn reverse_zone(&self, request: &Request) -> Option<Reply> {
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

    /// The datacenter to name to the backend; there are no peers to be asked.
    fn datacenter(&self, place: &Place) -> Result<Option<String>, Outcome> {
        match place {
            Place::Here => Ok(None),
            Place::Datacenter(name) if name.eq_ignore_ascii_case(&self.settings.datacenter) => Ok(None),
            Place::Datacenter(name) => Ok(Some(name.clone())),
            Place::Peer => Err(Verdict::NoName.into()),
        }
    }

    async fn look_up(&self, lookup: Lookup) -> Result<Found, Outcome> {
        let found = self.backend.lookup(lookup).await;
        let failed = matches!(found, Err(Unavailable::NoServers | Unavailable::NoLeader));
        if self.failing.load(Ordering::Relaxed) != failed
            && self.failing.swap(failed, Ordering::Relaxed) != failed
        {
            match &found {
                Err(error) => tracing::warn!(target: "agent.dns", %error, "questions cannot be answered"),
                Ok(_) => tracing::info!(target: "agent.dns", "questions are answered again"),
            }
        }
        found.map_err(|error| match error {
            Unavailable::NoPathToDatacenter => Verdict::NoName.into(),
            Unavailable::NoServers | Unavailable::NoLeader => Verdict::Failed.into(),
        })
    }
}

/// The instances of a service that are given, in the order of one answer.
pub(super) struct Instances {
    all: Arc<Vec<CheckServiceNode>>,
    order: Vec<usize>,
    wan: bool,
}

impl Instances {
    fn iter(&self) -> impl Iterator<Item = &CheckServiceNode> {
        self.order.iter().map(|at| &self.all[*at])
    }
}

fn question_of(asked: &Asked<'_>) -> Question {
    question::parse(&lower_labels(asked), asked.kind)
}

/// The labels before the domain, in lower case.
fn lower_labels(asked: &Asked<'_>) -> Vec<String> {
    let before = label_count(asked.name) - label_count(&asked.domain);
    asked.name.iter().take(before).map(question::label_text).collect()
}

/// Only such names may stand in NS records.
fn is_host_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// All labels; hickory's own count leaves a `*` out.
fn label_count(name: &Name) -> usize {
    name.iter().count()
}
