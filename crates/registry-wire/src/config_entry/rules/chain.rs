//! `service-router`, `service-splitter` and `service-resolver`.

use super::{elements, flag, inside, list, number, objects, set, text};
use crate::{
    config_entry::loose,
    filter::{Filter, fields},
    json::Json,
};

/// `service-router`.
pub(super) fn router(entry: &mut Json) -> Result<(), String> {
    for route in elements(entry, "Routes") {
        let Some(http) = inside(route, "Match").and_then(|m| inside(m, "HTTP")) else { continue };
        for method in elements(http, "Methods") {
            if let Json::Text(method) = method {
                *method = method.to_uppercase();
            }
        }
    }
    for (at, route) in list(entry, "Routes").iter().enumerate() {
        if let Some(http) = route.field("Match").and_then(|m| m.field("HTTP")) {
            check_match(http, &format!("Route[{at}]"))?;
        }
    }
    Ok(())
}

fn check_match(http: &Json, place: &str) -> Result<(), String> {
    super::trust::check_path(http, &format!("{place} "))?;
    for (at, header) in list(http, "Header").iter().enumerate() {
        one_of(header, &["Present", "Exact", "Prefix", "Suffix", "Regex"], &format!("{place} Header[{at}]"))?;
    }
    for (at, param) in list(http, "QueryParam").iter().enumerate() {
        one_of(param, &["Present", "Exact", "Regex"], &format!("{place} QueryParam[{at}]"))?;
    }
    let methods = list(http, "Methods");
    for (at, method) in methods.iter().enumerate() {
        if let Json::Text(name) = method
            && methods[..at].contains(method)
        {
            return Err(format!("{place} Methods contains {name:?} more than once"));
        }
    }
    Ok(())
}

/// A named match with exactly one condition.
pub(super) fn one_of(object: &Json, conditions: &[&str], place: &str) -> Result<(), String> {
    if text(object, "Name").is_empty() {
        return Err(format!("{place} missing required Name field"));
    }
    let has = |name: &&&str| flag(object, name) || !text(object, name).is_empty();
    if conditions.iter().filter(has).count() == 1 {
        return Ok(());
    }
    let (last, others) = conditions.split_last().expect("there are conditions");
    Err(format!("{place} should only contain one of {}, or {last}", others.join(", ")))
}

/// `service-splitter`: weights are kept to a hundredth, and are 100 together.
pub(super) fn splitter(entry: &mut Json) -> Result<(), String> {
    let mut sum = 0.0;
    for split in elements(entry, "Splits") {
        let hundredths = (number(split, "Weight") * 100.0).round();
        sum += hundredths;
        set(split, "Weight", loose::json_float((hundredths / 100.0) as f32));
    }
    let name = text(entry, "Name");
    let splits = list(entry, "Splits");
    if splits.is_empty() {
        return Err("no splits configured".to_owned());
    }
    let mut seen = Vec::new();
    for split in splits {
        let service = Some(text(split, "Service")).filter(|s| !s.is_empty()).unwrap_or(name);
        let (subset, namespace) = (text(split, "ServiceSubset"), text(split, "Namespace"));
        let partition = text(split, "Partition");
        let place = (service, subset, namespace, partition);
        if seen.contains(&place) {
            return Err(format!(
                "split destination occurs more than once: service={service:?}, subset={subset:?}, \
                 namespace={namespace:?}, partition={partition:?}"
            ));
        }
        seen.push(place);
    }
    if sum != 10_000.0 {
        return Err(format!("the sum of all split weights must be 100, not {:.6}", (sum / 100.0) as f32));
    }
    Ok(())
}

/// `service-resolver`.
pub(super) fn resolver(entry: &mut Json) -> Result<(), String> {
    let subsets = objects(entry, "Subsets");
    for (name, subset) in subsets {
        check_subset(name, subset)?;
    }
    let is_subset = |name: &str| name.is_empty() || subsets.iter().any(|(known, _)| known == name);
    let default = text(entry, "DefaultSubset");
    if !is_subset(default) {
        return Err(format!("DefaultSubset {default:?} is not a valid subset"));
    }
    let failovers = objects(entry, "Failover");
    if let Some(redirect) = entry.field("Redirect") {
        check_redirect(redirect, text(entry, "Name"), !failovers.is_empty(), is_subset)?;
    }
    for (subset, failover) in failovers {
        check_failover(subset, failover, is_subset)?;
    }
    for field in ["ConnectTimeout", "RequestTimeout"] {
        let timeout = text(entry, field);
        if timeout.starts_with('-') {
            return Err(format!("Bad {field} '{timeout}', must be >= 0"));
        }
    }
    if let Some(balancer) = entry.field("LoadBalancer") {
        check_balancer(balancer)?;
    }
    if entry.field("PrioritizeByLocality").is_some() {
        return Err("Prioritize-by-locality requires Consul Enterprise ".to_owned());
    }
    Ok(())
}

fn check_subset(name: &str, subset: &Json) -> Result<(), String> {
    if name.is_empty() {
        return Err("Subset defined with empty name".to_owned());
    }
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let fits = name.len() <= 63
        && name.bytes().all(|b| inner(b) || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !fits {
        return Err(format!(
            "Subset {name:?} is invalid: must be 63 characters or fewer, begin or end with lower case alphanumeric \
             characters, and contain lower case alphanumeric characters or '-' in between"
        ));
    }
    match text(subset, "Filter") {
        "" => Ok(()),
        filter => Filter::parse(filter, &fields::HEALTH_INSTANCE)
            .map(drop)
            .map_err(|why| format!("Filter for subset {name:?} is not a valid expression: {why}")),
    }
}

fn check_redirect(
    redirect: &Json,
    own: &str,
    fails_over: bool,
    is_subset: impl Fn(&str) -> bool,
) -> Result<(), String> {
    if fails_over {
        return Err("Redirect and Failover cannot both be set".to_owned());
    }
    let has = |name| !text(redirect, name).is_empty();
    if !["Service", "ServiceSubset", "Namespace", "Partition", "Datacenter", "Peer", "SamenessGroup"]
        .into_iter()
        .any(has)
    {
        return Err("Redirect is empty".to_owned());
    }
    if !has("Service") {
        for field in ["ServiceSubset", "Namespace", "Partition", "Peer"] {
            if has(field) {
                return Err(format!("Redirect.{field} defined without Redirect.Service"));
            }
        }
    }
    if has("Peer") && has("Datacenter") {
        return Err("Redirect.Peer cannot be set with Redirect.Datacenter".to_owned());
    }
    let subset = text(redirect, "ServiceSubset");
    if text(redirect, "Service") == own && !is_subset(subset) {
        return Err(format!("Redirect.ServiceSubset {subset:?} is not a valid subset of {own:?}"));
    }
    Ok(())
}

fn check_failover(subset: &str, failover: &Json, is_subset: impl Fn(&str) -> bool) -> Result<(), String> {
    let bad = |why: &str| Err(format!("Bad Failover[{subset:?}]{why}"));
    if subset != "*" && !is_subset(subset) {
        return bad(": not a valid subset subset");
    }
    if failover.field("Policy").is_some_and(|policy| !text(policy, "Mode").is_empty()) {
        return bad(": Setting failover policies requires Consul Enterprise");
    }
    let has = |name: &str| !text(failover, name).is_empty();
    let (datacenters, targets) = (list(failover, "Datacenters"), list(failover, "Targets"));
    if !targets.is_empty() {
        let fields = ["Service", "ServiceSubset", "Namespace", "SamenessGroup"];
        if let Some(field) = fields.into_iter().find(|name| has(name)) {
            return bad(&format!(": Targets cannot be set with {field}"));
        }
        if !datacenters.is_empty() {
            return bad(": Targets cannot be set with Datacenters");
        }
    } else if !["Service", "ServiceSubset", "Namespace", "SamenessGroup"].into_iter().any(has)
        && datacenters.is_empty()
    {
        return bad(
            ": one of Service, ServiceSubset, Namespace, Targets, SamenessGroup, or Datacenters is required",
        );
    }
    if datacenters.iter().any(|dc| *dc == Json::Text(String::new())) {
        return bad(".Datacenters: found empty datacenter");
    }
    for (at, target) in targets.iter().enumerate() {
        let set = |name: &str| !text(target, name).is_empty();
        if set("Peer")
            && let Some(field) = ["Datacenter", "ServiceSubset", "Partition"].into_iter().find(|f| set(f))
        {
            return bad(&format!(".Targets[{at}]: Peer cannot be set with {field}"));
        }
    }
    Ok(())
}

fn check_balancer(balancer: &Json) -> Result<(), String> {
    let policy = text(balancer, "Policy");
    if !["", "random", "round_robin", "least_request", "ring_hash", "maglev"].contains(&policy) {
        return Err(format!("Bad LoadBalancer policy: {policy:?} is not supported"));
    }
    for (config, fits) in [("RingHashConfig", "ring_hash"), ("LeastRequestConfig", "least_request")] {
        if balancer.field(config).is_some() && policy != fits {
            return Err(format!(
                "Bad LoadBalancer configuration. {config} specified for incompatible load balancing policy {policy:?}"
            ));
        }
    }
    let hashes = list(balancer, "HashPolicies");
    if !hashes.is_empty() && !["ring_hash", "maglev"].contains(&policy) {
        return Err(format!(
            "Bad LoadBalancer configuration: HashPolicies specified for non-hash-based Policy: {policy:?}"
        ));
    }
    for (at, hash) in hashes.iter().enumerate() {
        check_hash(hash).map_err(|why| format!("Bad LoadBalancer HashPolicy[{at}]: {why}"))?;
    }
    Ok(())
}

fn check_hash(hash: &Json) -> Result<(), String> {
    let (field, value, address) = (text(hash, "Field"), text(hash, "FieldValue"), flag(hash, "SourceIP"));
    if !["", "header", "cookie", "query_parameter"].contains(&field) {
        return Err(format!("{field:?} is not a supported field"));
    }
    if address && !field.is_empty() {
        return Err(format!("A single hash policy cannot hash both a source address and a {field:?}"));
    }
    if !field.is_empty() && value.is_empty() {
        return Err(format!("Field {field:?} was specified without a FieldValue"));
    }
    if let Some(cookie) = hash.field("CookieConfig") {
        if field != "cookie" {
            return Err(format!("cookie_config provided for {field:?}"));
        }
        if flag(cookie, "Session") && number(cookie, "TTL") != 0.0 {
            return Err("a session cookie cannot have an associated TTL".to_owned());
        }
    }
    Ok(())
}
