//! `Connect.SidecarService`: a proxy that is registered beside its service, with what Consul fills in.

use registry_wire::{
    json::{DecodeError, Json, Nanos, Unknown, decode_value},
    proxy::Proxy,
};
use serde_json::Map;

use super::{CheckType, InvalidService, ServiceDefinition, service::Body, validate_meta};

/// A proxy beside a service; its port is chosen when it is registered.
#[derive(Clone, Debug, PartialEq)]
pub struct Sidecar {
    /// All but its port and the checks that depend on it.
    definition: Box<ServiceDefinition>,
    /// The service's own id.
    of: String,
    misuse: Option<&'static str>,
}

impl Sidecar {
    /// Reads the sidecar of a service, `parent`, from the body of a request.
    pub(super) fn from_api(sent: &Json, parent: &ServiceDefinition) -> Result<Self, DecodeError> {
        let body: Body = decode_value(sent.clone(), Unknown::Refuse)?;
        let is_nested = body.connect.sidecar().is_some();
        Ok(Self::new(body, is_nested, parent))
    }

    /// Reads the sidecar of a service, `parent`, from its block in a file; that it has none of its own is known already.
    pub(super) fn from_file(
        block: &Map<String, serde_json::Value>,
        parent: &ServiceDefinition,
    ) -> Result<Self, DecodeError> {
        Ok(Self::new(Body::from_file(block)?, false, parent))
    }

    fn new(mut body: Body, is_nested: bool, parent: &ServiceDefinition) -> Self {
        let misuse = if !body.id.is_empty() {
            Some("A SidecarService cannot specify an ID as this is managed by the agent")
        } else if is_nested {
            Some("A SidecarService cannot have a nested SidecarService")
        } else {
            None
        };
        let service = &parent.service;
        body.id = format!("{}-sidecar-proxy", service.id);
        if body.name.is_empty() {
            body.name = format!("{}-sidecar-proxy", service.service);
        }
        if body.kind.is_empty() {
            body.kind = "connect-proxy".into();
        }
        if body.address.is_empty() {
            body.address.clone_from(&service.address);
        }
        if body.tags.iter().flatten().next().is_none() {
            body.tags.clone_from(&service.tags);
        }
        if body.meta.iter().flatten().next().is_none() {
            body.meta.clone_from(&service.meta);
        }
        if body.token.is_empty() {
            body.token.clone_from(&parent.token);
        }
        fill_up(&mut body.proxy, parent);
        let mut definition = ServiceDefinition::plain(body);
        definition.is_sidecar = true;
        Self { definition: Box::new(definition), of: service.id.clone(), misuse }
    }

    /// What is wrong with the request for it, as a line of the service's own faults.
    pub(super) fn misuse(&self, parent_kind: &str) -> Option<String> {
        let gateway = parent_kind.ends_with("-gateway");
        let refused = gateway.then(|| format!("A {parent_kind} cannot have a sidecar service defined"));
        refused.or_else(|| self.misuse.map(str::to_owned))
    }

    /// Whether it can be registered, at any port.
    pub(super) fn validate(&self) -> Result<(), InvalidService> {
        let mut definition = (*self.definition).clone();
        definition.service.port =
            definition.service.port.max(i64::from(definition.service.kind == "connect-proxy"));
        definition.validate_kind().map_err(InvalidService::SidecarKind)?;
        validate_meta(definition.service.meta.iter().flatten(), true).map_err(InvalidService::Sidecar)?;
        definition.validate_checks().map_err(|error| match error {
            InvalidService::Check { reason, .. } => InvalidService::SidecarCheck(reason),
            other => other,
        })
    }

    /// What is wrong with the first of its own checks that cannot run.
    pub(crate) fn unfit_check(&self) -> Option<&'static str> {
        self.definition.checks.iter().find_map(|check| check.runs.validate().err())
    }

    /// The definition, but for its port and the checks that depend on it.
    pub(crate) fn definition(&self) -> &ServiceDefinition {
        &self.definition
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.definition.service.id
    }

    /// The port it asks for.
    pub fn port(&self) -> Option<i64> {
        Some(self.definition.service.port).filter(|port| *port > 0)
    }

    /// The whole definition, for a port. Without checks of its own it gets two: that it listens, and what the service's say.
    pub fn at(self, port: i64) -> ServiceDefinition {
        let mut definition = *self.definition;
        definition.set_port(port);
        if definition.checks.is_empty() {
            definition.set_sidecar_checks(&self.of);
        }
        definition
    }
}

impl ServiceDefinition {
    /// The two checks of the sidecar of a service, `of`, that names none: that it listens, and what the service's say.
    pub(crate) fn set_sidecar_checks(&mut self, of: &str) {
        let listening = CheckType {
            name: "Connect Sidecar Listening".into(),
            tcp: format!("127.0.0.1:{}", self.service.port),
            interval: Nanos(10_000_000_000),
            ..CheckType::default()
        };
        let same = CheckType {
            name: format!("Connect Sidecar Aliasing {of}"),
            alias_service: of.to_owned(),
            ..CheckType::default()
        };
        self.set_checks(vec![listening, same]);
    }
}

/// Whom it stands for, where it does not say.
fn fill_up(proxy: &mut Proxy, parent: &ServiceDefinition) {
    let service = &parent.service;
    if proxy.destination_service_name.is_empty() {
        proxy.destination_service_name.clone_from(&service.service);
    }
    if proxy.destination_service_id.is_empty() {
        proxy.destination_service_id.clone_from(&service.id);
    }
    if proxy.local_service_socket_path.is_empty() {
        if proxy.local_service_address.is_empty() {
            proxy.local_service_address = "127.0.0.1".into();
        }
        if proxy.local_service_port < 1 {
            proxy.local_service_port = service.port;
        }
    }
}
