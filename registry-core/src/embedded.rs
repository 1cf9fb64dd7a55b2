//! The registry as the back end of the agent in the same process: no connection, no copy.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use agent::backend::{
    AddressOwner, Backend, BoxFuture, CLIENT_HEADER, Found, Lookup, Reach, Unavailable, remote,
};
use http::{Request, Response};
use http_api::{Body, Serve, body};
use link::calls;
use metrics::Counter;
use registry_state::{
    Caseless, Topic,
    read::{self, CatalogAddress, CatalogNode, HealthInstance, HealthService, Read},
};
use registry_wire::catalog::CheckServiceNode;
use tokio::time::timeout;

use crate::{
    Registry, figures,
    http::{connected::Connected, gateways::LetIn, query, shape},
    server,
    watch::Subscription,
};

/// How many services' answers are kept for DNS; with more, all begin anew.
const KEPT: usize = 4096;

/// How long DNS waits for another datacenter.
const THERE_LIMIT: Duration = Duration::from_secs(5);
/// The longest answer to it.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Answers the agent from the state in the same process.
pub struct Embedded {
    registry: Arc<Registry>,
    routes: Arc<dyn Serve>,
    services: Mutex<HashMap<Caseless, Kept>>,
    /// How many requests came.
    requests: Counter,
}

/// An answer about one service, and what tells whether it is still true.
struct Kept {
    subscription: Subscription,
    version: u64,
    instances: Arc<Vec<CheckServiceNode>>,
    /// How often it was asked for.
    asked: Counter,
}

impl Embedded {
    /// The back end over this registry; `routes` answers its HTTP API.
    pub fn new(registry: Arc<Registry>, routes: Arc<dyn Serve>) -> Self {
        Self { registry, routes, services: Mutex::default(), requests: metrics::counter!("rpc.request") }
    }

    fn services(&self) -> MutexGuard<'_, HashMap<Caseless, Kept>> {
        self.services.lock().expect("nobody panics while holding the answers")
    }

    async fn find(&self, lookup: Lookup) -> Result<Found, Unavailable> {
        if let Some(datacenter) = self.elsewhere(&lookup) {
            return self.ask_there(&datacenter, &lookup).await;
        }
        // Any server answers DNS; one that has heard of no leader yet knows nothing.
        if self.registry.leadership().contact().is_none() {
            return Err(Unavailable::NoLeader);
        }
        match lookup {
            Lookup::Service { name, reach, .. } => {
                let of = HealthService { service: Caseless::new(&name), ..HealthService::default() };
                Ok(Found::Service(match reach {
                    Reach::Itself => self.instances(&name),
                    Reach::Connect => self.shown(Connected(of)),
                    Reach::Ingress => self.shown(LetIn(of)),
                }))
            }
            Lookup::Node { name, .. } => Ok(Found::Node(self.node(name))),
            Lookup::Query { name, client, .. } => Ok(self.query(&name, client).await),
            Lookup::Address(address) => {
                let (owner, _) = CatalogAddress { address }.run(&self.registry.store().state());
                Ok(Found::Address(owner.map(|owner| match owner {
                    read::AddressOwner::Node(node) => AddressOwner::Node(node.name.clone()),
                    read::AddressOwner::Service(service) => AddressOwner::Service(service.name.clone()),
                })))
            }
        }
    }

    /// The other datacenter that a question is about.
    fn elsewhere(&self, lookup: &Lookup) -> Option<String> {
        let datacenter = match lookup {
            Lookup::Service { datacenter, .. }
            | Lookup::Node { datacenter, .. }
            | Lookup::Query { datacenter, .. } => datacenter.as_deref()?,
            Lookup::Address(_) => return None,
        };
        let ours = &self.registry.settings().datacenter;
        (!datacenter.eq_ignore_ascii_case(ours)).then(|| datacenter.to_ascii_lowercase())
    }

    /// What a server of another datacenter answers.
    async fn ask_there(&self, datacenter: &str, lookup: &Lookup) -> Result<Found, Unavailable> {
        let mut request = Request::get(remote::target(&lookup.within(datacenter)));
        if let Lookup::Query { client, .. } = lookup {
            request = request.header(CLIENT_HEADER, client.to_string());
        }
        let request = request.body(body::empty()).map_err(|_| Unavailable::NoPathToDatacenter)?;
        let asked = async {
            let (head, mut sent) = self.registry.wan().call(datacenter, request).await?.into_parts();
            let bytes = body::collect(&mut sent, ANSWER_BYTES_MAX).await;
            let answer = Response::from_parts(head, bytes.map_err(|_| Unavailable::Interrupted)?);
            if !answer.status().is_success() {
                return remote::failed(lookup, &answer);
            }
            remote::decode(lookup, answer.body()).ok_or(Unavailable::NoLeader)
        };
        timeout(THERE_LIMIT, asked).await.unwrap_or(Err(Unavailable::Interrupted))
    }

    /// A service's instances; the same pointer until something of them changes.
    fn instances(&self, name: &str) -> Arc<Vec<CheckServiceNode>> {
        let service = Caseless::new(name);
        let mut services = self.services();
        if services.len() >= KEPT && !services.contains_key(&service) {
            services.clear();
        }
        let store = self.registry.store();
        let kept = services.entry(service.clone()).or_insert_with(|| Kept {
            subscription: store.watch().subscribe(vec![Topic::Service(service.clone())]),
            // No count that a subscription gives, so that the first look is made.
            version: u64::MAX,
            instances: Arc::default(),
            asked: figures::HEALTH.counter(name),
        });
        kept.asked.increment(1);
        // The count is taken before the look: a change in between makes the look old, never the other way round.
        let version = kept.subscription.version();
        if version != kept.version {
            let question = HealthService { service, ..HealthService::default() };
            let (instances, _) = question.run(&store.state());
            let datacenter = &self.registry.settings().datacenter;
            kept.instances = Arc::new(instances.iter().map(|i| shape::health(i, datacenter)).collect());
            kept.version = version;
        }
        kept.instances.clone()
    }

    /// The instances that are found behind a service, which few ask for.
    fn shown(&self, question: impl Read<Output = Vec<HealthInstance>>) -> Arc<Vec<CheckServiceNode>> {
        let (instances, _) = question.run(&self.registry.store().state());
        let datacenter = &self.registry.settings().datacenter;
        Arc::new(instances.iter().map(|i| shape::health(i, datacenter)).collect())
    }

    /// What a prepared query gives now.
    async fn query(&self, name: &str, client: IpAddr) -> Found {
        let settings = self.registry.settings();
        let asked = query::Asked {
            agent: &settings.node_name,
            client: Some(client),
            near: None,
            limit: 0,
            connect: false,
        };
        let state = self.registry.store().state();
        match query::resolve(&state, name) {
            Ok(None) => Found::Query(None),
            Ok(Some(query)) => {
                let ran = query::run(&state, &query, &asked, &settings.datacenter);
                Found::Query(Some(query::elsewhere(&self.registry, &query, &asked, ran).await.into()))
            }
            Err(reason) => Found::Refused(reason),
        }
    }

    fn node(&self, name: String) -> Option<Arc<registry_wire::catalog::Node>> {
        let wanted = Caseless::new(&name);
        let (found, _) = CatalogNode { node: name }.run(&self.registry.store().state());
        // The read also takes the beginning of an id for a node; DNS does not.
        let found = found.filter(|found| wanted.is(&found.node.name))?;
        Some(Arc::new(shape::node(&found.node, &self.registry.settings().datacenter)))
    }
}

impl Backend for Embedded {
    fn call(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, Unavailable>> {
        self.requests.increment(1);
        if request.uri().path().starts_with(calls::OWN) {
            let path = request.uri().path().to_owned();
            return Box::pin(async move { Ok(server::own(&self.registry, &path).await) });
        }
        if request.uri().path().starts_with(server::INTERNAL) {
            return Box::pin(async { Ok(server::internal(&self.registry, request).await) });
        }
        let answer = self.routes.serve(request);
        Box::pin(async { Ok(answer.await) })
    }

    fn lookup(&self, lookup: Lookup) -> BoxFuture<'_, Result<Found, Unavailable>> {
        Box::pin(self.find(lookup))
    }
}
