//! Answers to names of prepared queries.

use super::{Asked, Outcome, Resolver, Verdict, service::Instances};
use crate::{
    backend::{Found, Lookup},
    dns::question::Place,
};

impl Resolver {
    /// The answer of a prepared query: its instances as the registry ordered them, with the query's TTL or its service's.
    ///
    /// The query alone says which health is enough; `only_passing` of the DNS settings is for services (as recorded).
    pub(super) async fn query(&self, asked: &Asked<'_>, name: String, place: &Place) -> Outcome {
        let datacenter = match self.datacenter(place) {
            Ok(datacenter) => datacenter,
            Err(outcome) => return outcome,
        };
        let wan = self.settings.translate_wan_addrs && datacenter.is_some();
        let ran = match self.look_up(Lookup::Query { name, datacenter, client: asked.client }).await {
            Ok(Found::Query(Some(ran))) if !ran.instances.is_empty() => ran,
            Ok(Found::Query(_)) => return Verdict::NoName.into(),
            Ok(Found::Refused(reason)) => {
                tracing::debug!(target: "agent.dns", name = %asked.name, reason, "the prepared query cannot be run");
                return Verdict::Failed.into();
            }
            Ok(_) => return Verdict::Failed.into(),
            Err(outcome) => return outcome,
        };
        let ttl = ran.ttl.unwrap_or_else(|| self.settings.ttl_of_service(&ran.service));
        let outcome = self.service(asked, ttl, Instances::all(ran.instances, wan)).await;
        Outcome { for_this_client: true, ..outcome }
    }
}
