//! From a question to its reply: decides who answers (the own zone, the reverse zone, a recursor), looks things up and
//! follows names that lead to names. What each kind of name has for an answer stands in the files beside this one.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use hickory_proto::rr::{Name, Record, RecordType};

use super::{
    answer,
    encode::{Reply, encode},
    figures::{About, Figures},
    question::{self, Place, Question},
    ready::{Ready, Source},
    recurse::Recursion,
    request::{Edns, Rcode, Request, flags},
    settings::Settings,
    size::{self, Transport},
};
use crate::backend::{Backend, BoxFuture, Found, Lookup, Unavailable};

mod node;
mod query;
mod service;

/// How often a name that leads to a name is followed, so that a loop ends.
const CHASES_MAX: u8 = 3;

/// Answers questions. Cheap to clone.
#[derive(Clone)]
pub(super) struct Resolver {
    backend: Arc<dyn Backend>,
    pub(super) settings: Arc<Settings>,
    /// Whether the last look-up failed, so that a failure is logged once and not once per question.
    failing: Arc<AtomicBool>,
    recursion: Arc<Recursion>,
    ready: Arc<Ready>,
    figures: Figures,
}

/// A question of the own zone, with what its answer's names depend on.
pub(super) struct Asked<'a> {
    pub(super) name: &'a Name,
    pub(super) kind: RecordType,
    /// The zone's name with the spelling of the question.
    pub(super) domain: Name,
    /// The question's bytes, where its answer may be kept.
    pub(super) question: &'a [u8],
    /// Whether the client has EDNS.
    pub(super) edns: bool,
    /// So many answers are enough: of more, none would be sent.
    pub(super) enough: usize,
    /// Who asks.
    pub(super) client: IpAddr,
    /// How often names have been followed to get here.
    chases: u8,
}

/// What became of a question of the own zone.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    pub(super) answers: Vec<Record>,
    pub(super) additionals: Vec<Record>,
    /// Whether another client could be given another answer, and its order.
    pub(super) for_this_client: bool,
    /// What the records are made of, where their order is chance.
    pub(super) source: Option<Box<Source>>,
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
        let (failing, recursion) = (Arc::new(AtomicBool::new(false)), Arc::new(Recursion::new()));
        let ready = Arc::default();
        Self { backend, settings, failing, recursion, ready, figures: Figures::default() }
    }

    /// The reply to a request; always one.
    pub(super) async fn reply(&self, request: &Request, transport: Transport, client: SocketAddr) -> Vec<u8> {
        let start = Instant::now();
        let recursion = if self.settings.recursors.is_empty() { 0 } else { flags::RECURSION_AVAILABLE };
        let own = flags::AUTHORITATIVE | recursion;
        let reply = match Zone::of(&request.name, &self.settings) {
            Zone::Own(domain) => {
                if let Some(written) = self.again(request, transport, own).await {
                    self.figures.took(&self.settings.node, About::Domain, request.kind, start);
                    return written;
                }
                let mut reply = self.own_zone(request, domain, transport, client.ip()).await;
                reply.flags |= own;
                let written = size::write(request, reply, &self.settings, transport);
                self.figures.took(&self.settings.node, About::Domain, request.kind, start);
                return written;
            }
            Zone::Reverse => match self.reverse_zone(request).await {
                Some(reply) => {
                    self.figures.took(&self.settings.node, About::Reverse, request.kind, start);
                    Reply { flags: own, edns: request.edns.clone(), ..reply }
                }
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

    /// The reply to a question whose long answer is kept and still holds, in an order of its own.
    async fn again(&self, request: &Request, transport: Transport, flags: u16) -> Option<Vec<u8>> {
        let kept = self.ready.find(request, &self.settings)?;
        let Ok(Found::Service(instances)) = self.look_up(kept.lookup.clone()).await else { return None };
        if !kept.is_of(&instances) {
            return None;
        }
        kept.reply(request, &self.settings, transport, flags)
    }

    async fn recurse(&self, request: &Request, transport: Transport, client: SocketAddr) -> Vec<u8> {
        if let Some(reply) = self.recursion.forward(request, transport, client, &self.settings).await {
            return reply;
        }
        let edns = request.edns.clone();
        let reply =
            Reply { rcode: Rcode::ServFail, flags: flags::RECURSION_AVAILABLE, edns, ..Reply::default() };
        encode(request, &reply, !self.settings.disable_compression)
    }

    async fn own_zone(&self, request: &Request, domain: Name, transport: Transport, client: IpAddr) -> Reply {
        let enough = size::enough(request, &self.settings, transport);
        let (name, kind, edns) = (&request.name, request.kind, request.edns.is_some());
        // A resolver that asks for somebody else may say for whom.
        let client = request.edns.as_ref().and_then(Edns::client).unwrap_or(client).to_canonical();
        let question = if self.settings.disable_compression { &[][..] } else { &request.question };
        let asked = Asked { name, kind, domain, question, edns, enough, client, chases: 0 };
        let mut edns = request.edns.clone();
        let reply = match request.kind {
            RecordType::SOA => {
                let (authorities, additionals) = self.name_servers(&asked).await;
                Reply { answers: vec![self.soa(request)], authorities, additionals, ..Reply::default() }
            }
            RecordType::NS => {
                let (answers, additionals) = self.name_servers(&asked).await;
                Reply { answers, additionals, ..Reply::default() }
            }
            RecordType::AXFR => Reply { rcode: Rcode::NotImp, ..Reply::default() },
            _ => {
                let outcome = self.dispatch(&asked).await;
                if let Some(edns) = edns.as_mut().filter(|_| outcome.for_this_client) {
                    edns.narrow();
                }
                if let Some(source) = &outcome.source {
                    let records = [outcome.answers.as_slice(), &outcome.additionals];
                    self.ready.keep(request, &self.settings, source, records);
                }
                self.reply_of(request, outcome)
            }
        };
        Reply { edns, ..reply }
    }

    /// The reply that an outcome makes, with the SOA record that negative answers carry.
    fn reply_of(&self, request: &Request, outcome: Outcome) -> Reply {
        let Outcome { verdict, answers, additionals, .. } = outcome;
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
                Question::Service { name, reach, tag, place } => {
                    match self.instances(&name, reach, tag.as_deref(), &place).await {
                        Ok(found) => self.service(asked, self.settings.ttl_of_service(&name), found).await,
                        Err(outcome) => outcome,
                    }
                }
                Question::Query { name, place } => self.query(asked, name, &place).await,
                Question::Node { name, place } => self.node(asked, name, &place).await,
                Question::Address(ip) => self.address(asked, ip),
                Question::Virtual => Outcome::default(),
                Question::Nothing => Verdict::NoName.into(),
                Question::Impossible => Verdict::Failed.into(),
            }
        })
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
                let (enough, client) = (asked.enough, asked.client);
                let next =
                    Asked { name: &name, kind, domain, question: &[], edns: false, enough, client, chases };
                self.dispatch(&next).await.answers
            }
            _ => self.recursion.addresses(&name, &self.settings).await,
        }
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
        let failed = found.as_ref().is_err_and(|error| *error != Unavailable::NoPathToDatacenter);
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
            Unavailable::NoServers
            | Unavailable::NoLeader
            | Unavailable::Unreachable(_)
            | Unavailable::Interrupted => Verdict::Failed.into(),
        })
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

/// All labels; hickory's own count leaves a `*` out.
fn label_count(name: &Name) -> usize {
    name.iter().count()
}
