//! Answers to names of services.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use hickory_proto::rr::{Record, RecordType};
use rand::seq::SliceRandom;
use registry_wire::catalog::CheckServiceNode;

use super::{Asked, Outcome, Resolver, Verdict};
use crate::{
    backend::{Found, Lookup, Reach},
    dns::{
        address::Family,
        answer::{self, Target},
        question::Place,
        ready::Source,
    },
};

/// Records a followed name may add for a client without EDNS.
const CHASED_RECORDS_MAX: usize = 5;

impl Resolver {
    /// The instances to be given, in random order, and whether their `wan` addresses are to be given.
    pub(super) async fn instances(
        &self,
        name: &str,
        reach: Reach,
        tag: Option<&str>,
        place: &Place,
    ) -> Result<Instances, Outcome> {
        let datacenter = self.datacenter(place)?;
        let wan = self.settings.translate_wan_addrs && datacenter.is_some();
        let lookup = Lookup::Service { name: name.to_owned(), reach, datacenter };
        let Found::Service(all) = self.look_up(lookup.clone()).await? else {
            return Err(Verdict::Failed.into());
        };
        let only_passing = self.settings.only_passing;
        let given = |at: &usize| answer::is_given(&all[*at], tag, only_passing);
        let mut order: Vec<usize> = (0..all.len()).filter(given).collect();
        if order.is_empty() {
            return Err(Verdict::NoName.into());
        }
        order.shuffle(&mut rand::rng());
        Ok(Instances { all, order, wan, shuffled: Some(lookup) })
    }

    /// The answer of a service with these instances.
    pub(super) async fn service(&self, asked: &Asked<'_>, ttl: Duration, found: Instances) -> Outcome {
        let ttl = answer::ttl_seconds(ttl);
        // An answer that is kept is made whole, once.
        let keeps = !asked.question.is_empty() && found.shuffled.is_some();
        let enough = match keeps && self.ready.wants(asked.question, &found.all) {
            true => usize::MAX,
            false => asked.enough,
        };
        let outcome = if asked.kind == RecordType::SRV {
            self.service_srv(asked, &found, ttl, enough).await
        } else {
            self.service_addresses(asked, &found, ttl, enough).await
        };
        if outcome.answers.is_empty() { Verdict::NoData.into() } else { outcome }
    }

    /// Addresses, each once; when there are none, one of the names with what it leads to.
    async fn service_addresses(
        &self,
        asked: &Asked<'_>,
        found: &Instances,
        ttl: u32,
        enough: usize,
    ) -> Outcome {
        let family = Family::asked_by(asked.kind);
        let limit = match self.settings.a_record_limit {
            0 => enough,
            limit => limit.min(enough),
        };
        let (mut answers, mut seen, mut alias) = (Vec::new(), HashSet::new(), None);
        let mut is_whole = true;
        for instance in found.iter() {
            match answer::target(instance, asked.name, family, found.wan) {
                Some(Target::Node(ip) | Target::Own(ip)) if seen.insert(ip) => {
                    answers.extend(answer::address_record(asked.kind, ip, asked.name, ttl));
                }
                Some(Target::Name(text)) => alias = alias.or(Some(text)),
                _ => {}
            }
            if answers.len() == limit {
                is_whole = false;
                break;
            }
        }
        if let Some(text) = alias.filter(|_| answers.is_empty())
            && let Some(record) = answer::cname_record(asked.name, text, ttl)
        {
            answers.push(record);
            answers.extend(self.chase_for_service(asked, text, ttl).await);
        }
        Outcome { answers, source: found.source(is_whole), ..Outcome::default() }
    }

    async fn service_srv(&self, asked: &Asked<'_>, found: &Instances, ttl: u32, enough: usize) -> Outcome {
        let (mut outcome, mut is_whole) = (Outcome::default(), true);
        let (mut seen, mut chased) = (HashSet::new(), HashMap::new());
        for instance in found.iter() {
            if !seen.insert(answer::srv_identity(instance, found.wan)) {
                // Of two that are one record, another order gives the other one's weight.
                is_whole = false;
                continue;
            }
            let datacenter = answer::datacenter_of(&instance.node, &self.settings);
            let node_name = answer::node_name(&instance.node, &self.settings, &asked.domain);
            let (target, ip) = match answer::target(instance, asked.name, Family::Any, found.wan) {
                Some(Target::Node(ip)) => (node_name.clone(), Some(ip)),
                Some(Target::Own(ip)) => (answer::address_name(ip, datacenter, &asked.domain), Some(ip)),
                Some(Target::Name(text)) => {
                    is_whole = false;
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
            if outcome.answers.len() == enough {
                is_whole = false;
                break;
            }
        }
        Outcome { source: found.source(is_whole), ..outcome }
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
}

/// The instances of a service that are given, in the order of one answer.
pub(super) struct Instances {
    all: Arc<Vec<CheckServiceNode>>,
    order: Vec<usize>,
    wan: bool,
    /// The look-up that gave them, if their order is chance.
    shuffled: Option<Lookup>,
}

impl Instances {
    /// All of these, in this order.
    pub(super) fn all(all: Arc<Vec<CheckServiceNode>>, wan: bool) -> Self {
        let order = (0..all.len()).collect();
        Self { all, order, wan, shuffled: None }
    }

    fn source(&self, is_whole: bool) -> Option<Box<Source>> {
        let lookup = self.shuffled.clone()?;
        Some(Box::new(Source { lookup, instances: Arc::clone(&self.all), is_whole }))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &CheckServiceNode> {
        self.order.iter().map(|at| &self.all[*at])
    }
}
