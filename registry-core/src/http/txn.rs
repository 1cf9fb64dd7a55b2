//! `PUT /v1/txn`: operations that all hold or change nothing.

use http::{HeaderValue, StatusCode};
use http_api::{Answer, ApiError, BodyLimit, Call};
use registry_state::{
    Action, CatalogVerb, CheckOp, Key, KvOp, KvVerb, NodeOp, Outcome, ServiceOp, SessionId, TxnError, TxnOp,
    TxnResult, WriteError, read::Transaction,
};
use registry_wire::{
    header,
    json::{Unknown, decode},
    kv::decode_value,
    register::Locality,
    txn::{KvOpBody, NodeOpBody, OpBody, OpError, OpResult, QueryMeta, TxnAnswer},
};

use super::{
    Api, limit,
    register::{bad_uuid, vetted_service},
    respond::reader_options,
    shape,
};

/// The most operations of one transaction.
const OPS_MAX: usize = 128;

/// Does the operations of the body: as a read if they all read, else as one write.
pub(super) async fn serve(api: Api, mut call: Call) -> Result<Answer, ApiError> {
    let bytes = api.settings().txn_bytes_max.max(api.settings().kv_value_bytes_max);
    let body = call.body_within(BodyLimit { bytes, setting: "txn_max_req_len" }).await?;
    let sent: Vec<OpBody> = decode(&body, Unknown::Refuse).map_err(|e| unparsable(&e))?;
    if sent.len() > OPS_MAX {
        let text = format!("Transaction contains too many operations ({} > {OPS_MAX})", sent.len());
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    let vetted = Vetted::of(sent, api.settings().kv_value_bytes_max)?;
    limit::count_transaction(&call.extensions, vetted.writes)?;
    if vetted.writes {
        api.serves_call(&call)?;
        if !vetted.errors.is_empty() {
            return Ok(refused(vetted.errors, None));
        }
        return match api.writer().write(Action::Txn(vetted.ops)).await?.outcome {
            Outcome::Txn(results) => Ok(answer(&api, Ok(results), None)),
            Outcome::TxnFailed(errors) => Ok(answer(&api, Err(errors), None)),
            other => unreachable!("a transaction gives results or errors, not {other:?}"),
        };
    }
    let asked = call.read_options()?;
    api.serves(asked.datacenter.as_deref())?;
    if !vetted.errors.is_empty() {
        let mut answer = refused(vetted.errors, Some(QueryMeta::default()));
        answer.headers.insert(header::KNOWN_LEADER, HeaderValue::from_static("false"));
        answer.headers.insert(header::LAST_CONTACT, 0.into());
        return Ok(answer);
    }
    let start = std::time::Instant::now();
    let found = api.reader().read(&Transaction { ops: vetted.ops }, reader_options(&api, &asked)).await?;
    crate::figures::wrote(Some("txn.read"), start);
    let meta = QueryMeta { index: found.index, known_leader: found.known_leader, ..QueryMeta::default() };
    let mut answer = answer(&api, found.value, Some(meta));
    let known = if found.known_leader { "true" } else { "false" };
    answer.headers.insert(header::KNOWN_LEADER, HeaderValue::from_static(known));
    answer.headers.insert(header::LAST_CONTACT, found.last_contact_ms.into());
    Ok(answer)
}

fn unparsable(why: &dyn std::fmt::Display) -> ApiError {
    ApiError::bad_request(format!("Failed to parse body: {why}"))
}

/// Operations that may be tried, and what can be said against others before that.
#[derive(Default)]
struct Vetted {
    ops: Vec<TxnOp>,
    errors: Vec<OpError>,
    writes: bool,
}

impl Vetted {
    /// Takes the first part of each operation; one without any is skipped.
    fn of(sent: Vec<OpBody>, value_bytes_max: usize) -> Result<Self, ApiError> {
        let mut all = Self::default();
        for (op_index, body) in sent.into_iter().enumerate() {
            let (writes, op) = match body {
                OpBody { kv: Some(kv), .. } => (kv_writes(&kv.verb), kv_op(kv, value_bytes_max)?),
                OpBody { node: Some(op), .. } => (op.verb != "get", node_op(op)),
                OpBody { service: Some(op), .. } => (op.verb != "get", service_op(op)),
                OpBody { check: Some(op), .. } => {
                    let (index, node) = (op.check.modify_index, op.check);
                    let made =
                        |verb| TxnOp::Check(CheckOp { verb, check: shape::txn_check_from(node), index });
                    (op.verb != "get", catalog_verb(&op.verb, "check").map(made))
                }
                _ => continue,
            };
            all.writes |= writes;
            match op {
                Ok(op) => all.ops.push(op),
                Err(what) => all.errors.push(OpError { op_index, what }),
            }
        }
        Ok(all)
    }
}

fn kv_writes(verb: &str) -> bool {
    KvVerb::parse(verb).is_some_and(|verb| !verb.is_read())
}

fn kv_op(body: KvOpBody, value_bytes_max: usize) -> Result<Result<TxnOp, String>, ApiError> {
    let value = decode_value(&body.value).map_err(|e| unparsable(&e))?;
    if value.len() > value_bytes_max {
        let (key, size) = (&body.key, value.len());
        let text = format!("Value for key {key:?} is too large ({size} > {value_bytes_max} bytes)");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    if body.key.is_empty() && body.verb != "delete-tree" {
        return Ok(Err(WriteError::NoKey.to_string()));
    }
    let Some(verb) = KvVerb::parse(&body.verb) else { return Ok(Err(unknown_verb("KV", body.verb))) };
    Ok(Ok(TxnOp::Kv(KvOp {
        verb,
        key: Key::new(&body.key),
        value: value.into(),
        flags: body.flags,
        index: body.index,
        session: SessionId::from(body.session),
    })))
}

fn node_op(body: NodeOpBody) -> Result<TxnOp, String> {
    let verb = catalog_verb(&body.verb, "node")?;
    if verb != CatalogVerb::Get && body.node.node.is_empty() {
        return Err("Must provide node".to_owned());
    }
    if let Some(why) = bad_uuid(&body.node.id) {
        return Err(format!("Bad node ID: {why}"));
    }
    if let Some(faults) = body.node.locality.as_ref().and_then(Locality::faults) {
        return Err(faults);
    }
    let index = body.node.modify_index;
    Ok(TxnOp::Node(NodeOp { verb, node: shape::node_from(body.node), index }))
}

fn service_op(body: registry_wire::txn::ServiceOpBody) -> Result<TxnOp, String> {
    let verb = catalog_verb(&body.verb, "service")?;
    let index = body.service.modify_index;
    let service = match verb {
        CatalogVerb::Get => body.service,
        _ => vetted_service(body.service).map_err(|e| e.text.into_owned())?,
    };
    Ok(TxnOp::Service(ServiceOp { verb, node: body.node, service: shape::service_from(service), index }))
}

fn catalog_verb(verb: &str, kind: &str) -> Result<CatalogVerb, String> {
    CatalogVerb::parse(verb).ok_or_else(|| unknown_verb(kind, verb.to_owned()))
}

fn unknown_verb(kind: &str, verb: String) -> String {
    WriteError::UnknownVerb { kind: kind.to_owned(), verb }.to_string()
}

/// 200 with results, or 409 with errors.
fn answer(api: &Api, outcome: Result<Vec<TxnResult>, Vec<TxnError>>, meta: Option<QueryMeta>) -> Answer {
    match outcome {
        Ok(results) => {
            let results = results.iter().map(|result| shown(result, api.datacenter())).collect();
            Answer::json(&TxnAnswer { results: Some(results), errors: None, meta })
        }
        Err(errors) => {
            let error = |e: TxnError| OpError { op_index: e.op_index, what: e.what.to_string() };
            refused(errors.into_iter().map(error).collect(), meta)
        }
    }
}

fn refused(errors: Vec<OpError>, meta: Option<QueryMeta>) -> Answer {
    Answer::json(&TxnAnswer { results: None, errors: Some(errors), meta }).status(StatusCode::CONFLICT)
}

/// A result as it is stored.
fn shown(result: &TxnResult, datacenter: &str) -> OpResult {
    match result {
        TxnResult::Kv(entry) => OpResult::Kv(shape::kv(entry)),
        TxnResult::Node(node) => OpResult::Node(shape::node(node, datacenter)),
        TxnResult::Service(service) => OpResult::Service(Box::new(shape::service_as_given(service))),
        TxnResult::Check(check) => OpResult::Check(Box::new(shape::check_as_given(check))),
    }
}
