//! Messages to the DNS listener: whatever they are, the reply (if any) fits the transport and is one that others can read.
#![no_main]

use std::sync::{Arc, LazyLock};

use agent::{
    backend::{AddressOwner, Backend, BoxFuture, Found, Lookup, Unavailable},
    dns::{Settings, answer_message},
};
use futures_executor::block_on;
use hickory_proto::op::Message;
use http::{Request, Response};
use http_api::Body;
use libfuzzer_sys::fuzz_target;
use registry_wire::catalog::CheckServiceNode;

/// A registry in which every service has 40 instances.
struct Registry(Arc<Vec<CheckServiceNode>>);

impl Backend for Registry {
    fn call(&self, _: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, Unavailable>> {
        Box::pin(async { Err(Unavailable::NoServers) })
    }

    fn lookup(&self, lookup: Lookup) -> BoxFuture<'_, Result<Found, Unavailable>> {
        let found = match lookup {
            Lookup::Service { .. } => Found::Service(self.0.clone()),
            Lookup::Node { .. } => Found::Node(self.0.first().map(|instance| Arc::new(instance.node.clone()))),
            Lookup::Query { .. } => Found::Query(None),
            Lookup::Address(_) => Found::Address(Some(AddressOwner::Node("web1".into()))),
        };
        Box::pin(async { Ok(found) })
    }
}

static REGISTRY: LazyLock<Arc<Registry>> = LazyLock::new(|| {
    let instance = |number: usize| {
        let json = serde_json::json!({
            "Node": { "Node": format!("node-{number}"), "Address": format!("10.0.0.{number}"), "Datacenter": "dc1" },
            "Service": { "ID": "web", "Service": "web", "Port": 80, "Weights": { "Passing": 1, "Warning": 1 } },
            "Checks": [],
        });
        serde_json::from_value(json).expect("an instance as the API shows it")
    };
    Arc::new(Registry(Arc::new((0..40).map(instance).collect())))
});

static SETTINGS: LazyLock<Arc<Settings>> = LazyLock::new(|| Arc::new(Settings::default()));

fuzz_target!(|message: &[u8]| {
    let Some(reply) = block_on(answer_message(message, SETTINGS.clone(), REGISTRY.clone())) else { return };
    assert!(reply.len() <= usize::from(u16::MAX));
    assert_eq!(reply[..2], message[..2], "the id is the question's");
    // Malformed questions are given back as they came, so only whole ones must be readable.
    if Message::from_vec(message).is_ok() {
        Message::from_vec(&reply).expect("a reply to a whole question is a whole message");
    }
});
