//! `PUT /v1/catalog/register` and `/v1/catalog/deregister`.

use http_api::{Answer, ApiError, Call};
use registry_state::{Action, Deregister, Node, Register};
use registry_wire::{
    json::{DecodeError, Unknown, decode},
    kinds::Judged,
    register::{DeregisterBody, Locality, RegisterBody, ServiceBody},
};

use super::{Api, asking_node, respond::written, shape};

/// Registers a node, an instance, checks, in one write.
pub(super) async fn register(api: Api, mut call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let body: RegisterBody = decode(&call.body().await?, Unknown::Refuse).map_err(undecodable)?;
    api.serves(Some(&body.datacenter))?;
    let register = vetted(body)?;
    let own = asking_node(&call).filter(|asking| asking.eq_ignore_ascii_case(&register.node.name));
    let own = own.map(str::to_owned);
    let leases = api.registry().leases();
    if let Some(node) = own.as_deref().filter(|node| leases.has_left(node)) {
        return Err(ApiError::internal(format!("node '{node}' has left")));
    }
    let outcome = api.writer().write(Action::Register(Box::new(register))).await?.outcome;
    if let Some(node) = own {
        leases.undo_if_left(&node).await?;
    }
    written(outcome, "")
}

fn undecodable(error: DecodeError) -> ApiError {
    let feature = match &error {
        DecodeError::UnknownField(name) if name == "Namespace" => {
            " - Namespaces are a Consul Enterprise feature"
        }
        _ => "",
    };
    ApiError::bad_request(format!("Request decode failed: {error}{feature}"))
}

/// What must hold before the state is asked; the texts are Consul's.
fn vetted(body: RegisterBody) -> Result<Register, ApiError> {
    if body.node.is_empty() {
        return Err(ApiError::internal("Must provide node"));
    }
    if body.address.is_empty() && !body.skip_node_update {
        return Err(ApiError::internal("Must provide address if SkipNodeUpdate is not set"));
    }
    if let Some(why) = bad_uuid(&body.id) {
        return Err(ApiError::internal(format!("Bad node ID: {why}")));
    }
    let checks = || body.check.iter().chain(&body.checks);
    let peers = [&body.peer_name].into_iter().chain(body.service.iter().map(|s| &s.peer_name));
    if peers.chain(checks().map(|check| &check.peer_name)).any(|peer| !peer.is_empty()) {
        return Err(ApiError::internal("cannot register requests with PeerName in them"));
    }
    if let Some(faults) = body.locality.as_ref().and_then(Locality::faults) {
        return Err(ApiError::internal(faults));
    }
    let service = body.service.map(vetted_service).transpose()?;
    let checks = body.checks.into_iter().chain(body.check).map(shape::check_from);
    Ok(Register {
        checks: checks.collect(),
        node: Node {
            id: body.id,
            name: body.node,
            address: body.address,
            tagged_addresses: body.tagged_addresses,
            meta: body.node_meta,
            locality: shape::locality_text(body.locality.as_ref()),
        },
        service: service.map(shape::service_from),
        skip_node_update: body.skip_node_update,
        take_over: false,
    })
}

/// An instance with its id filled in, or why there can be none.
pub(super) fn vetted_service(mut service: ServiceBody) -> Result<ServiceBody, ApiError> {
    if service.service.is_empty() {
        let with_id = if service.id.is_empty() { "" } else { " when service ID is provided" };
        return Err(ApiError::internal(format!("Must provide service name (Service.Service){with_id}")));
    }
    if matches!(service.address.as_str(), "0.0.0.0" | "::" | "[::]") {
        return Err(ApiError::internal("Invalid service address"));
    }
    let judged = Judged {
        kind: &service.kind,
        port: service.port,
        socket_path: &service.socket_path,
        proxy: &service.proxy,
        native: service.connect.native(),
        locality: service.locality.as_ref(),
        more: None,
    };
    if let Some(faults) = judged.faults() {
        return Err(ApiError::internal(faults));
    }
    if service.id.is_empty() {
        service.id.clone_from(&service.service);
    }
    Ok(service)
}

/// Why a text is no UUID; an empty one is fine.
pub(super) fn bad_uuid(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return None;
    }
    if text.len() != 36 {
        return Some("uuid string is wrong length");
    }
    let bytes = text.as_bytes();
    if [8, 13, 18, 23].iter().any(|at| bytes[*at] != b'-') {
        return Some("uuid is improperly formatted");
    }
    let digits = bytes.iter().enumerate().filter(|(at, _)| ![8, 13, 18, 23].contains(at));
    digits.clone().any(|(_, b)| !b.is_ascii_hexdigit()).then_some("decoded hex is not a uuid")
}

/// Removes an instance, a check or a whole node.
pub(super) async fn deregister(api: Api, mut call: Call) -> Result<Answer, ApiError> {
    call.refuse_enterprise()?;
    let body: DeregisterBody = decode(&call.body().await?, Unknown::Refuse).map_err(undecodable)?;
    api.serves(Some(&body.datacenter))?;
    if body.node.is_empty() {
        return Err(ApiError::internal("Must provide node"));
    }
    let filled = |text: String| (!text.is_empty()).then_some(text);
    let deregister = Deregister {
        node: body.node.into(),
        service_id: filled(body.service_id),
        check_id: filled(body.check_id),
    };
    let outcome = api.writer().write(Action::Deregister(deregister)).await?.outcome;
    written(outcome, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_a_registration_lacks() {
        let said = |text: &str| {
            let body = decode(text.as_bytes(), Unknown::Refuse).map_err(undecodable);
            body.and_then(vetted).unwrap_err().text.into_owned()
        };
        assert_eq!(said("{}"), "Must provide node");
        assert_eq!(said(r#"{"Node":"n"}"#), "Must provide address if SkipNodeUpdate is not set");
        let node = r#"{"Node":"n","Address":"10.0.0.1""#;
        assert_eq!(said(&format!(r#"{node},"ID":"bad"}}"#)), "Bad node ID: uuid string is wrong length");
        assert_eq!(
            said(&format!(r#"{node},"Service":{{}}}}"#)),
            "Must provide service name (Service.Service)"
        );
        let id_only = "Must provide service name (Service.Service) when service ID is provided";
        assert_eq!(said(&format!(r#"{node},"Service":{{"ID":"x"}}}}"#)), id_only);
        assert_eq!(
            said(&format!(r#"{node},"Service":{{"Service":"a","Address":"::"}}}}"#)),
            "Invalid service address"
        );
        assert_eq!(
            said(&format!(r#"{node},"Namespace":"x"}}"#)),
            "Request decode failed: json: unknown field \"Namespace\" - Namespaces are a Consul Enterprise feature"
        );
    }
}
