//! What is shown: the fleet at a moment.

use std::collections::BTreeMap;

use registry_client::{Client, Request};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How many rates are shown.
const RATES_MAX: usize = 12;

/// The fleet at a moment.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Model {
    pub(super) datacenter: String,
    pub(super) leader: String,
    pub(super) nodes: Vec<Node>,
    pub(super) services: Vec<Service>,
    pub(super) troubles: Vec<Trouble>,
    pub(super) rates: Vec<Rate>,
}

/// A node.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) address: String,
    /// `alive`, `left`, `failed`, …
    pub(super) status: &'static str,
    pub(super) is_server: bool,
}

/// A service: how many checks of its instances say what.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) tags: Vec<String>,
    pub(super) passing: usize,
    pub(super) warning: usize,
    pub(super) critical: usize,
}

/// A check that does not pass.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Trouble {
    pub(super) node: String,
    pub(super) service: String,
    pub(super) check: String,
    pub(super) status: String,
    /// The first line of its output.
    pub(super) output: String,
}

/// Something that is counted, a second.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Rate {
    pub(super) name: String,
    pub(super) per_second: f64,
}

/// A check as `/v1/health/state/any` shows it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Check {
    node: String,
    name: String,
    status: String,
    service_name: String,
    output: String,
}

impl Model {
    /// Asks the agent. Errors, in words, when it does not answer.
    pub(super) async fn ask(client: &Client) -> Result<Self, String> {
        let get = async |path: &str| -> Result<Value, String> {
            client.json(&Request::get(path)).await.map_err(|e| e.to_string())
        };
        let own = get("/v1/agent/self").await?;
        let leader = get("/v1/status/leader").await.unwrap_or_default();
        let checks: Vec<Check> = from(get("/v1/health/state/any").await.unwrap_or_default());
        let tags: BTreeMap<String, Vec<String>> = from(get("/v1/catalog/services").await.unwrap_or_default());
        let members: Vec<Value> = from(get("/v1/agent/members").await.unwrap_or_default());
        Ok(Self {
            datacenter: own["Config"]["Datacenter"].as_str().unwrap_or_default().to_owned(),
            leader: leader.as_str().unwrap_or_default().to_owned(),
            nodes: members.iter().map(node).collect(),
            services: services(tags, &checks),
            troubles: checks.iter().filter(|check| check.status != "passing").map(trouble).collect(),
            rates: get("/v1/agent/metrics").await.map(|metrics| rates(&metrics)).unwrap_or_default(),
        })
    }
}

fn from<T: Default + for<'de> Deserialize<'de>>(answer: Value) -> T {
    serde_json::from_value(answer).unwrap_or_default()
}

fn node(member: &Value) -> Node {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let status = match member["Status"].as_u64() {
        Some(1) => "alive",
        Some(2) => "leaving",
        Some(3) => "left",
        Some(4) => "failed",
        _ => "none",
    };
    let is_server = member["Tags"]["role"] == "consul";
    Node { name: text(&member["Name"]), address: text(&member["Addr"]), status, is_server }
}

fn services(tags: BTreeMap<String, Vec<String>>, checks: &[Check]) -> Vec<Service> {
    let mut found: BTreeMap<String, Service> = tags
        .into_iter()
        .map(|(name, tags)| (name.clone(), Service { name, tags, ..Service::default() }))
        .collect();
    for check in checks {
        let Some(service) = found.get_mut(&check.service_name) else { continue };
        match check.status.as_str() {
            "passing" => service.passing += 1,
            "warning" => service.warning += 1,
            _ => service.critical += 1,
        }
    }
    let mut all: Vec<Service> = found.into_values().collect();
    // What needs a look comes first.
    all.sort_by(|a, b| (b.critical, b.warning, &a.name).cmp(&(a.critical, a.warning, &b.name)));
    all
}

fn trouble(check: &Check) -> Trouble {
    Trouble {
        node: check.node.clone(),
        service: check.service_name.clone(),
        check: check.name.clone(),
        status: check.status.clone(),
        output: check.output.lines().next().unwrap_or_default().to_owned(),
    }
}

/// The busiest of what `/v1/agent/metrics` counts.
fn rates(metrics: &Value) -> Vec<Rate> {
    let seconds = 10.0;
    let counted =
        ["Counters", "Samples"].into_iter().flat_map(|kind| metrics[kind].as_array().into_iter().flatten());
    let mut rates: Vec<Rate> = counted
        .map(|one| Rate {
            name: one["Name"].as_str().unwrap_or_default().to_owned(),
            per_second: one["Count"].as_f64().unwrap_or_default() / seconds,
        })
        .filter(|rate| rate.per_second > 0.0)
        .collect();
    rates.sort_by(|a, b| b.per_second.total_cmp(&a.per_second).then_with(|| a.name.cmp(&b.name)));
    rates.truncate(RATES_MAX);
    rates
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::{Check, node, rates, services};

    #[test]
    fn services_that_fail_come_first() {
        let tags = BTreeMap::from([("api".to_owned(), vec![]), ("web".to_owned(), vec!["v1".to_owned()])]);
        let check = |service: &str, status: &str| Check {
            service_name: service.into(),
            status: status.into(),
            ..Check::default()
        };
        let found =
            services(tags, &[check("api", "passing"), check("web", "critical"), check("", "critical")]);
        assert_eq!((found[0].name.as_str(), found[0].critical, found[1].passing), ("web", 1, 1));
    }

    #[test]
    fn members_and_metrics_are_read() {
        let seen = node(&json!({"Name": "a", "Addr": "::1", "Status": 4, "Tags": {"role": "consul"}}));
        assert_eq!((seen.status, seen.is_server), ("failed", true));
        let metrics = json!({
            "Counters": [{"Name": "a", "Count": 5}, {"Name": "idle", "Count": 0}], "Samples": [{"Name": "b", "Count": 50}],
        });
        let found = rates(&metrics);
        assert_eq!(
            found.iter().map(|rate| (&*rate.name, rate.per_second)).collect::<Vec<_>>(),
            [("b", 5.0), ("a", 0.5)]
        );
    }
}
