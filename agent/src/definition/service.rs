//! A service with its checks.

use std::{collections::BTreeMap, net::IpAddr};

use registry_wire::{
    catalog::{NodeService, ServiceAddress, TextMap, Weights},
    json::{DecodeError, Unknown, decode, decode_value},
    kinds::Judged,
    proxy::{Connect, Proxy},
    register::Locality,
};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{
    CheckDefinition, CheckType,
    check::{is_status, to_wire},
    sidecar::Sidecar,
    validate_meta,
};

/// A service with its checks, all defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceDefinition {
    /// The instance.
    pub service: NodeService,
    /// Its checks.
    pub checks: Vec<CheckDefinition>,
    /// The token to register with.
    pub token: String,
    /// A proxy to register beside it.
    pub sidecar: Option<Sidecar>,
    /// Whether it is such a proxy itself.
    pub is_sidecar: bool,
}

/// What is wrong with a service; the text is the API's answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidService {
    /// No name.
    #[error("Missing service name")]
    NoName,
    /// `0.0.0.0` or `::`.
    #[error("Invalid service address")]
    AnyAddress,
    /// Out of range.
    #[error("Invalid Weights: {0}")]
    Weights(&'static str),
    /// A pair that cannot be kept.
    #[error("Invalid Service Meta: {0}")]
    Meta(String),
    /// Something that its kind asks for is missing.
    #[error("Validation failed: {0}")]
    Kind(String),
    /// The same of its sidecar.
    #[error("Failed Validation: {0}")]
    SidecarKind(String),
    /// A pair of its sidecar that cannot be kept.
    #[error("Invalid SidecarService: {0}")]
    Sidecar(String),
    /// A check of its sidecar that cannot run.
    #[error("Invalid check in sidecar_service: {0}")]
    SidecarCheck(&'static str),
    /// A check that cannot run.
    #[error("Invalid check: {reason}")]
    Check {
        /// The check's own id or name, possibly empty.
        check: String,
        /// Why.
        reason: &'static str,
    },
    /// A status that there is not.
    #[error("Status for checks must 'passing', 'warning', 'critical'")]
    Status,
}

#[derive(Default, Deserialize)]
#[serde(
    rename = "struct { EnableTagOverrideSnake bool; TaggedAddressesSnake map[string]structs.ServiceAddress; *structs.Alias }",
    rename_all = "PascalCase",
    default
)]
pub(super) struct Body {
    pub(super) kind: String,
    #[serde(rename = "ID")]
    pub(super) id: String,
    pub(super) name: String,
    pub(super) tags: Option<Vec<String>>,
    pub(super) address: String,
    #[serde(alias = "tagged_addresses")]
    tagged_addresses: Option<BTreeMap<String, ServiceAddress>>,
    pub(super) meta: Option<TextMap>,
    port: i64,
    socket_path: String,
    check: Option<CheckType>,
    checks: Option<Vec<CheckType>>,
    weights: Option<BodyWeights>,
    pub(super) token: String,
    #[serde(alias = "enable_tag_override")]
    enable_tag_override: bool,
    locality: Option<Locality>,
    pub(super) proxy: Proxy,
    pub(super) connect: Connect,
}

#[derive(Default, Deserialize)]
#[serde(rename = "structs.Weights", rename_all = "PascalCase", default)]
struct BodyWeights {
    passing: i64,
    warning: i64,
}

/// The kinds of services that files may name; any other word there means a plain service.
const KINDS: [&str; 5] =
    ["connect-proxy", "mesh-gateway", "terminating-gateway", "ingress-gateway", "api-gateway"];

impl Body {
    /// Reads a block `service` or `sidecar_service` of a file, without a sidecar of it.
    pub(super) fn from_file(block: &Map<String, Json>) -> Result<Self, DecodeError> {
        let mut keys = super::api_keys(block);
        let check = keys.remove("check");
        let checks = keys.remove("checks");
        let connect = keys.remove("connect");
        if keys.get("kind").and_then(Json::as_str).is_some_and(|kind| !KINDS.contains(&kind)) {
            keys.remove("kind");
        }
        if let Some(native) = connect.and_then(|connect| connect.get("native").cloned()) {
            keys.insert("connect".to_owned(), json!({ "native": native }));
        }
        if let Some(proxy) = keys.get_mut("proxy") {
            *proxy = super::api_keys_within(proxy);
        }
        if let Some(Json::Object(weights)) = keys.get_mut("weights") {
            for side in ["passing", "warning"] {
                weights.entry(side).or_insert_with(|| 1.into());
            }
        }
        let body: Self = decode_value(to_wire(Json::Object(keys)), Unknown::Skip)?;
        // The single one comes last, and counts where nothing stands in it: the API has it otherwise.
        let listed = checks.as_ref().and_then(Json::as_array).into_iter().flatten();
        let blocks = listed.chain(&check).filter_map(Json::as_object);
        let checks = blocks.map(CheckType::from_file).collect::<Result<_, _>>()?;
        Ok(Self { checks: Some(checks), ..body })
    }
}

impl ServiceDefinition {
    /// Reads the body of `/v1/agent/service/register`.
    ///
    /// Errors with what stands after `Request decode failed: `. Call [`validate`](Self::validate) next.
    pub fn from_api(body: &[u8]) -> Result<Self, DecodeError> {
        decode::<Body>(body, Unknown::Refuse).and_then(Self::new)
    }

    /// Reads a block `service` of a file, its keys and types already known to be right.
    pub(crate) fn from_file(block: &Map<String, Json>) -> Result<Self, DecodeError> {
        let mut definition = Self::plain(Body::from_file(block)?);
        let sidecar = block.get("connect").and_then(|connect| connect.get("sidecar_service")?.as_object());
        definition.sidecar = sidecar.map(|block| Sidecar::from_file(block, &definition)).transpose()?;
        Ok(definition)
    }

    fn new(body: Body) -> Result<Self, DecodeError> {
        let sidecar = body.connect.sidecar().cloned();
        let mut definition = Self::plain(body);
        definition.sidecar = sidecar.map(|sent| Sidecar::from_api(&sent, &definition)).transpose()?;
        Ok(definition)
    }

    /// A service without regard to its sidecar.
    pub(super) fn plain(mut body: Body) -> Self {
        for upstream in &mut body.proxy.upstreams {
            if upstream.destination_type.is_empty() {
                upstream.destination_type = "service".into();
            }
        }
        let id = if body.id.is_empty() { body.name.clone() } else { body.id };
        let mut runs: Vec<CheckType> = body.checks.unwrap_or_default();
        runs.splice(0..0, body.check.filter(|check| !check.is_empty()));
        let weights = body.weights.map_or_else(Weights::default, |given| Weights {
            passing: given.passing,
            warning: given.warning,
        });
        let service = NodeService {
            kind: body.kind,
            service: body.name,
            tags: body.tags,
            tagged_addresses: tagged(body.tagged_addresses, &body.address, body.port),
            address: body.address,
            meta: body.meta,
            port: body.port,
            socket_path: body.socket_path,
            weights,
            enable_tag_override: body.enable_tag_override,
            proxy: as_data(&body.proxy.to_text()),
            connect: as_data(body.connect.to_text()),
            locality: body.locality.map(|locality| json!(locality)),
            id,
            ..NodeService::default()
        };
        let mut definition =
            Self { service, checks: Vec::new(), token: body.token, sidecar: None, is_sidecar: false };
        definition.set_checks(runs);
        definition
    }

    pub(super) fn set_checks(&mut self, runs: Vec<CheckType>) {
        let several = runs.len() > 1;
        let NodeService { id, service, .. } = &self.service;
        let checks = runs.into_iter().enumerate().map(|(index, check)| {
            CheckDefinition::of_service(id, service, check, several.then_some(index + 1))
        });
        self.checks = checks.collect();
    }

    pub(super) fn set_port(&mut self, port: i64) {
        let service = &mut self.service;
        for (tag, own) in service.tagged_addresses.iter_mut().flatten() {
            if own.port == service.port && own.address == service.address && tag.contains("_ipv") {
                own.port = port;
            }
        }
        service.port = port;
    }

    /// Whether it can be registered.
    pub fn validate(&self) -> Result<(), InvalidService> {
        let service = &self.service;
        if service.service.is_empty() {
            return Err(InvalidService::NoName);
        }
        if service.address.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
            return Err(InvalidService::AnyAddress);
        }
        validate_weights(service.weights).map_err(InvalidService::Weights)?;
        validate_meta(service.meta.iter().flatten(), true).map_err(InvalidService::Meta)?;
        self.validate_kind().map_err(InvalidService::Kind)?;
        self.validate_checks()?;
        if self.checks.iter().any(|check| !is_status(&check.runs.status)) {
            return Err(InvalidService::Status);
        }
        self.sidecar.as_ref().map_or(Ok(()), Sidecar::validate)
    }

    /// Whether it has what its kind asks for; errors with lines as Consul lists them.
    pub(crate) fn validate_kind(&self) -> Result<(), String> {
        let service = &self.service;
        let locality = service.locality.clone().map(serde_json::from_value::<Locality>);
        let locality = locality.transpose().map_err(|error| error.to_string())?;
        let judged = Judged {
            kind: &service.kind,
            port: service.port,
            socket_path: &service.socket_path,
            proxy: &service.proxy(),
            native: service.is_native(),
            locality: locality.as_ref(),
            more: self.sidecar.as_ref().and_then(|sidecar| sidecar.misuse(&service.kind)),
        };
        judged.faults().map_or(Ok(()), Err)
    }

    /// Whether all checks can run.
    pub(crate) fn validate_checks(&self) -> Result<(), InvalidService> {
        for check in &self.checks {
            check
                .runs
                .validate()
                .map_err(|reason| InvalidService::Check { check: check.runs.check_id.clone(), reason })?;
        }
        Ok(())
    }
}

/// Whether weights fit into an SRV record.
pub(crate) fn validate_weights(Weights { passing, warning }: Weights) -> Result<(), &'static str> {
    match (passing, warning) {
        (..=0, _) => Err("Passing must be greater than 0"),
        (_, ..=-1) => Err("Warning must be greater or equal than 0"),
        (65536.., _) | (_, 65536..) => Err("DNS Weight must be between 0 and 65535"),
        _ => Ok(()),
    }
}

/// What a part says, `null` when that is nothing.
fn as_data(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_default()
}

/// The addresses by tag; a literal address is tagged for its family too.
fn tagged(
    given: Option<BTreeMap<String, ServiceAddress>>,
    address: &str,
    port: i64,
) -> Option<BTreeMap<String, ServiceAddress>> {
    let mut all = given.unwrap_or_default();
    if let Ok(ip) = address.parse::<IpAddr>() {
        let tags = if ip.is_ipv4() { ["lan_ipv4", "wan_ipv4"] } else { ["lan_ipv6", "wan_ipv6"] };
        for tag in tags {
            let own = ServiceAddress { address: address.to_owned(), port };
            all.entry(tag.to_owned()).or_insert(own);
        }
    }
    Some(all).filter(|all| !all.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> String {
        match ServiceDefinition::from_api(body.as_bytes()) {
            Ok(service) => service.validate().map_or_else(|e| e.to_string(), |()| "fine".into()),
            Err(error) => format!("Request decode failed: {error}"),
        }
    }

    #[test]
    fn bad_services_are_refused_in_consuls_words() {
        for (body, text) in [
            ("{}", "Missing service name"),
            (r#"{"Name":"a","Address":"::"}"#, "Invalid service address"),
            (r#"{"Name":"a","Nope":1}"#, "Request decode failed: json: unknown field \"Nope\""),
            (
                r#"{"Name":"a","Check":{"TTL":"1s","Nope":1}}"#,
                "Request decode failed: json: unknown field \"Nope\"",
            ),
            (
                r#"{"Name":"a","Weights":{"Passing":0,"Warning":1}}"#,
                "Invalid Weights: Passing must be greater than 0",
            ),
            (
                r#"{"Name":"a","Weights":{"Passing":70000}}"#,
                "Invalid Weights: DNS Weight must be between 0 and 65535",
            ),
            (
                r#"{"Name":"a","Meta":{"bad key":"x"}}"#,
                "Invalid Service Meta: Couldn't load metadata pair ('bad key', 'x'): Key contains invalid characters",
            ),
            (r#"{"Name":"a","Check":{"Interval":"10s"}}"#, "Invalid check: TTL must be > 0 for TTL checks"),
            (r#"{"Name":"a","Checks":[{"TTL":"10s"},{}]}"#, "Invalid check: TTL must be > 0 for TTL checks"),
            (
                r#"{"Name":"a","Check":{"TTL":"10s","Status":"bogus"}}"#,
                "Status for checks must 'passing', 'warning', 'critical'",
            ),
            (
                r#"{"Name":"a","Check":{"TTL":"bad"}}"#,
                "Request decode failed: time: invalid duration \"bad\"",
            ),
            (r#"{"Name":"a","Check":{"AliasService":"b","Interval":"5s"}}"#, "fine"),
            (r#"{"Name":"h","Check":null,"Checks":null,"Tags":null,"Meta":null}"#, "fine"),
        ] {
            assert_eq!(refused(body), text, "{body}");
        }
    }

    #[test]
    fn ids_names_and_addresses_have_defaults() {
        let body = br#"{"NAME":"db","address":"10.0.0.1","PoRt":5,"Checks":[{"TTL":"60s"},{"CheckID":"own","TTL":60000000000,"Name":"n"}]}"#;
        let db = ServiceDefinition::from_api(body).unwrap();
        assert_eq!((db.service.id.as_str(), db.service.port), ("db", 5));
        let checks: Vec<_> =
            db.checks.iter().map(|c| (c.id.as_str(), c.name.as_str(), c.shown_type)).collect();
        assert_eq!(checks, [("service:db:1", "Service 'db' check", "ttl"), ("own", "n", "ttl")]);
        let tagged: Vec<_> = db.service.tagged_addresses.unwrap().into_keys().collect();
        assert_eq!(tagged, ["lan_ipv4", "wan_ipv4"]);
    }

    #[test]
    fn a_file_spells_in_snake_case() {
        let block = serde_json::json!({"name": "web", "enable_tag_override": true, "weights": {"passing": 5},
            "check": {"id": "c", "args": ["true"], "interval": "5s", "failures_before_critical": 3}});
        let web = ServiceDefinition::from_file(block.as_object().unwrap()).unwrap();
        assert!(web.service.enable_tag_override);
        assert_eq!(web.service.weights, Weights { passing: 5, warning: 1 });
        assert_eq!(web.checks[0].id, "c");
        assert_eq!(web.checks[0].runs.failures_before_critical, 3);
        assert_eq!(web.checks[0].runs.script_args.as_deref(), Some(&["true".to_owned()][..]));
    }
}
