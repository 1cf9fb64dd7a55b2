//! Nodes, their services and their checks: the tables, and what each change of them touches.
//!
//! Which change moves which index follows Consul. Topics are narrower: a list is woken only by what it shows, though
//! its index may move for other reasons too (a new instance moves the index of the list of nodes).

use std::sync::Arc;

use imbl::OrdMap;

use crate::{Caseless, Check, Node, Service, State, Stored, Topic, state::Change};

/// A node's entry, as reads hand it out.
pub(crate) type NodeEntry = Arc<Stored<Node>>;
/// An instance's entry, as reads hand it out.
pub(crate) type ServiceEntry = Arc<Stored<Service>>;
/// A check's entry, as reads hand it out.
pub(crate) type CheckEntry = Arc<Stored<Check>>;

/// Three names, as a key of the tables that answer by service.
type Triple = (Caseless, Caseless, Caseless);

/// The tables. `by_name` and `by_service` hold what `services` and `checks` hold, in the order that answers need.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Catalog {
    /// By name.
    pub(crate) nodes: OrdMap<Caseless, NodeEntry>,
    /// The name of the node with this id.
    pub(crate) node_ids: OrdMap<Caseless, Caseless>,
    /// By node and id.
    pub(crate) services: OrdMap<(Caseless, Caseless), ServiceEntry>,
    /// By service, node and id.
    pub(crate) by_name: OrdMap<Triple, ServiceEntry>,
    /// By node and id.
    pub(crate) checks: OrdMap<(Caseless, Caseless), CheckEntry>,
    /// By node, instance (empty for the node's own) and id.
    pub(crate) by_service: OrdMap<Triple, CheckEntry>,
}

impl Catalog {
    /// A node's instances, in order of their ids.
    pub(crate) fn services_of<'a>(&'a self, node: &'a Caseless) -> impl Iterator<Item = &'a ServiceEntry> {
        let from = (node.clone(), Caseless::default());
        self.services.range(from..).take_while(move |((n, _), _)| n == node).map(|(_, service)| service)
    }

    /// A node's checks, its own and its instances', in order of their ids.
    pub(crate) fn checks_of<'a>(&'a self, node: &'a Caseless) -> impl Iterator<Item = &'a CheckEntry> {
        let from = (node.clone(), Caseless::default());
        self.checks.range(from..).take_while(move |((n, _), _)| n == node).map(|(_, check)| check)
    }

    /// The instances of a service with the names of their nodes, in order of node and id.
    pub(crate) fn instances_of<'a>(
        &'a self,
        service: &'a Caseless,
    ) -> impl Iterator<Item = (&'a Caseless, &'a ServiceEntry)> {
        let from = (service.clone(), Caseless::default(), Caseless::default());
        let range = self.by_name.range(from..).take_while(move |((s, ..), _)| s == service);
        range.map(|((_, node, _), entry)| (node, entry))
    }

    /// The checks of one instance, or the node's own if the id is empty.
    pub(crate) fn checks_on<'a>(
        &'a self,
        node: &'a Caseless,
        service_id: &Caseless,
    ) -> impl Iterator<Item = &'a CheckEntry> + use<'a> {
        let service_id = service_id.clone();
        let from = (node.clone(), service_id.clone(), Caseless::default());
        let range = self.by_service.range(from..);
        range.take_while(move |((n, s, _), _)| n == node && *s == service_id).map(|(_, check)| check)
    }

    /// Takes a node from a snapshot as it is.
    pub(crate) fn load_node(&mut self, entry: NodeEntry) {
        let name = Caseless::new(&entry.name);
        if !entry.id.is_empty() {
            self.node_ids.insert(Caseless::new(&entry.id), name.clone());
        }
        self.nodes.insert(name, entry);
    }

    pub(crate) fn put_service(&mut self, node: &Caseless, entry: ServiceEntry) {
        let id = Caseless::new(&entry.id);
        if let Some(old) = self.services.get(&(node.clone(), id.clone())) {
            let name = Caseless::new(&old.name);
            self.by_name.remove(&(name, node.clone(), id.clone()));
        }
        self.by_name.insert((Caseless::new(&entry.name), node.clone(), id.clone()), entry.clone());
        self.services.insert((node.clone(), id), entry);
    }

    pub(crate) fn put_check(&mut self, node: &Caseless, entry: CheckEntry) {
        let id = Caseless::new(&entry.check_id);
        if let Some(old) = self.checks.get(&(node.clone(), id.clone())) {
            let service = Caseless::new(&old.service_id);
            self.by_service.remove(&(node.clone(), service, id.clone()));
        }
        self.by_service.insert((node.clone(), Caseless::new(&entry.service_id), id.clone()), entry.clone());
        self.checks.insert((node.clone(), id), entry);
    }

    fn take_service(&mut self, node: &Caseless, id: &Caseless) -> Option<ServiceEntry> {
        let old = self.services.remove(&(node.clone(), id.clone()))?;
        self.by_name.remove(&(Caseless::new(&old.name), node.clone(), id.clone()));
        Some(old)
    }

    fn take_check(&mut self, node: &Caseless, id: &Caseless) -> Option<CheckEntry> {
        let old = self.checks.remove(&(node.clone(), id.clone()))?;
        self.by_service.remove(&(node.clone(), Caseless::new(&old.service_id), id.clone()));
        Some(old)
    }
}

/// Removals, each with all that hangs on what is removed.
impl State {
    /// Removes a node with everything on it; an unknown one changes nothing.
    pub(crate) fn delete_node(&mut self, change: &mut Change, node: &Caseless) {
        if !self.catalog.nodes.contains_key(node) {
            return;
        }
        let services: Vec<_> = self.catalog.services_of(node).map(|s| Caseless::new(&s.id)).collect();
        services.iter().for_each(|id| self.delete_service(change, node, id));
        let checks: Vec<_> = self.catalog.checks_of(node).map(|c| Caseless::new(&c.check_id)).collect();
        checks.iter().for_each(|id| self.delete_check(change, node, id));
        self.touch_node_record(change, node);
        if let Some(old) = self.catalog.nodes.remove(node) {
            self.catalog.node_ids.remove(&Caseless::new(&old.id));
        }
        self.indexes.node.remove(node);
        self.indexes.node_extinction = change.index;
        self.drop_coordinates(change, node);
        self.sessions.of_node(node).iter().for_each(|id| self.session_destroy(change, id));
    }

    /// Removes an instance with its checks; an unknown one changes nothing.
    pub(crate) fn delete_service(&mut self, change: &mut Change, node: &Caseless, id: &Caseless) {
        if !self.catalog.services.contains_key(&(node.clone(), id.clone())) {
            return;
        }
        let checks: Vec<_> =
            self.catalog.checks_on(node, id).map(|check| Caseless::new(&check.check_id)).collect();
        checks.iter().for_each(|check| self.delete_check(change, node, check));
        let Some(old) = self.catalog.take_service(node, id) else { return };
        self.indexes.checks = change.index;
        self.touch_instance(change, node);
        self.left_service(change, &Caseless::new(&old.name));
    }

    /// Removes a check, and the sessions that depend on it; an unknown one changes nothing.
    pub(crate) fn delete_check(&mut self, change: &mut Change, node: &Caseless, id: &Caseless) {
        let Some(old) = self.catalog.take_check(node, id) else { return };
        self.touch_check(change, node, &old);
        if old.service_id.is_empty() {
            self.indexes.services = change.index;
        }
        self.end_sessions_of_check(change, node, id);
    }

    /// An instance of a service is gone, by removal or by taking another name.
    pub(crate) fn left_service(&mut self, change: &mut Change, service: &Caseless) {
        if self.catalog.instances_of(service).next().is_some() {
            self.touch_service(change, service);
            return;
        }
        self.indexes.service.remove(service);
        self.indexes.service_extinction = change.index;
        self.touch_gateways_of(change, service);
        change.topics.add(Topic::Service(service.clone()));
    }
}

/// What a change moves and whom it wakes.
impl State {
    /// A node's record came, changed or went.
    pub(crate) fn touch_node_record(&mut self, change: &mut Change, node: &Caseless) {
        change.topics.add(Topic::Nodes);
        let meta = self.catalog.nodes.get(node).and_then(|node| node.meta.as_ref());
        for (key, value) in meta.into_iter().flatten() {
            change.topics.add(Topic::NodesWith(key.clone(), value.clone()));
        }
        self.touch_node(change, node);
        self.touch_services_of(change, node);
    }

    /// An instance on this node came, changed or went.
    pub(crate) fn touch_instance(&mut self, change: &mut Change, node: &Caseless) {
        self.indexes.services = change.index;
        change.topics.add(Topic::Services);
        self.touch_node(change, node);
    }

    /// A check came, changed or went: all that show it.
    pub(crate) fn touch_check(&mut self, change: &mut Change, node: &Caseless, check: &Check) {
        self.indexes.checks = change.index;
        change.topics.add(Topic::Checks);
        change.topics.add(Topic::ChecksInState(Caseless::new(&check.status)));
        change.topics.add(Topic::NodeChecks(node.clone()));
        if check.service_id.is_empty() {
            return self.touch_services_of(change, node);
        }
        let instance = self.catalog.services.get(&(node.clone(), Caseless::new(&check.service_id)));
        let service = Caseless::new(instance.map_or(&check.service_name, |s| &s.name));
        change.topics.add(Topic::ServiceChecks(service.clone()));
        self.touch_service(change, &service);
    }

    /// Anything that an answer about this service shows.
    pub(crate) fn touch_service(&mut self, change: &mut Change, service: &Caseless) {
        self.indexes.service.insert(service.clone(), change.index);
        change.topics.add(Topic::Service(service.clone()));
    }

    fn touch_services_of(&mut self, change: &mut Change, node: &Caseless) {
        let names: Vec<_> = self.catalog.services_of(node).map(|s| Caseless::new(&s.name)).collect();
        names.iter().for_each(|service| self.touch_service(change, service));
    }

    fn touch_node(&mut self, change: &mut Change, node: &Caseless) {
        self.indexes.nodes = change.index;
        self.indexes.node.insert(node.clone(), change.index);
        change.topics.add(Topic::Node(node.clone()));
        let id = self.catalog.nodes.get(node).map(|n| n.id.as_str()).filter(|id| !id.is_empty());
        if let Some(id) = id {
            change.topics.add(Topic::NodeId(Caseless::new(id)));
        }
    }
}
