//! Registrations: who a node is, and what is written when nothing or something of it changed.

use crate::{
    Caseless, Check, Deregister, Node, Register, ReservedName, Service, State, Stored, WriteError,
    catalog::NodeEntry,
    session::{CRITICAL, SERF_HEALTH},
    state::{Change, Step},
};

/// The most pairs a service's metadata may have.
const META_PAIRS_MAX: usize = 64;
/// The longest key of a pair, in bytes.
const META_KEY_BYTES_MAX: usize = 128;
/// The longest value of a pair, in bytes.
const META_VALUE_BYTES_MAX: usize = 512;

impl State {
    /// Node, service and checks; the caller throws everything away if one of them is refused.
    pub(crate) fn register(&mut self, change: &mut Change, register: &Register) -> Step {
        self.vet_checks(register)?;
        let name = &register.node.name;
        if self.changes_node(register) {
            self.ensure_node(change, &register.node, register.take_over)
                .map_err(|e| WriteError::InsertingNode(Box::new(e)))?;
        }
        if let Some(service) = &register.service {
            self.ensure_service(change, name, service)
                .map_err(|e| WriteError::InsertingService(Box::new(e)))?;
        }
        for check in &register.checks {
            self.ensure_check(change, name, check)
                .map_err(|e| WriteError::InsertingCheck { node: name.clone(), error: Box::new(e) })?;
        }
        Ok(())
    }

    /// The service if one is named, else the check, else the node; unknown ones change nothing.
    pub(crate) fn deregister(&mut self, change: &mut Change, deregister: &Deregister) {
        let node = Caseless::new(&deregister.node);
        let named = |id: &Option<String>| id.as_deref().filter(|id| !id.is_empty()).map(Caseless::new);
        if let Some(id) = named(&deregister.service_id) {
            self.delete_service(change, &node, &id);
        } else if let Some(id) = named(&deregister.check_id) {
            self.delete_check(change, &node, &id);
        } else {
            self.delete_node(change, &node);
        }
    }

    /// What must hold before anything is written: each check is of this node and of an instance that is known, by its
    /// id as it is spelled, or comes along.
    fn vet_checks(&self, register: &Register) -> Step {
        let node = Caseless::new(&register.node.name);
        for check in &register.checks {
            let id = check_id(check);
            if !check.node.is_empty() && Caseless::new(&check.node) != node {
                return Err(WriteError::CheckOfOtherNode {
                    node: check.node.clone(),
                    check: id.to_owned(),
                    registered: register.node.name.clone(),
                });
            }
            let comes_along = register.service.as_ref().is_some_and(|s| s.id == check.service_id);
            if check.service_id.is_empty() || comes_along {
                continue;
            }
            let known = self.catalog.services.get(&(node.clone(), Caseless::new(&check.service_id)));
            if known.is_none_or(|s| s.id != check.service_id) {
                return Err(WriteError::UnknownService {
                    service: check.service_id.clone(),
                    check: id.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Whether the record has to be written. Another spelling of the name alone is no change.
    fn changes_node(&self, register: &Register) -> bool {
        let Some(old) = self.catalog.nodes.get(&Caseless::new(&register.node.name)) else { return true };
        let respelled = Node { name: old.name.clone(), ..register.node.clone() };
        !register.skip_node_update && old.value != respelled
    }

    /// Writes a node's record. A known id under a new name is a rename: the old node goes with everything on it. A
    /// name that a live node of another id has is refused, unless its lease says that a new container takes over.
    pub(crate) fn ensure_node(&mut self, change: &mut Change, node: &Node, take_over: bool) -> Step {
        let name = Caseless::new(&node.name);
        let by_id = self.node_by_id(&node.id).cloned();
        let renamed = by_id.as_ref().filter(|old| Caseless::new(&old.name) != name).cloned();
        if !node.id.is_empty() && !take_over && (by_id.is_none() || renamed.is_some()) {
            self.vet_name(node, &name, renamed.is_some())?;
        }
        if let Some(old) = renamed {
            self.delete_node(change, &Caseless::new(&old.name));
        }
        let by_name = self.catalog.nodes.get(&name).cloned();
        if take_over && by_name.as_ref().is_some_and(|old| !old.id.is_empty() && old.id != node.id) {
            self.end_sessions_of_check(change, &name, &Caseless::new(SERF_HEALTH));
        }
        let old = by_id.or_else(|| by_name.clone());
        let respelled = |b: &NodeEntry| b.value == Node { name: b.name.clone(), ..node.clone() };
        if by_name.as_ref().is_some_and(respelled) {
            return Ok(());
        }
        if let Some(replaced) = by_name {
            // whoever waits for the old id has to learn that it is gone
            self.touch_node_record(change, &name);
            self.catalog.node_ids.remove(&Caseless::new(&replaced.id));
        }
        if !node.id.is_empty() {
            self.catalog.node_ids.insert(Caseless::new(&node.id), name.clone());
        }
        let entry = Stored::replacing(old.as_deref(), node.clone(), change.index);
        self.catalog.nodes.insert(name.clone(), entry);
        self.touch_node_record(change, &name);
        Ok(())
    }

    pub(crate) fn node_by_id(&self, id: &str) -> Option<&NodeEntry> {
        let name = self.catalog.node_ids.get(&Caseless::new(id))?;
        self.catalog.nodes.get(name)
    }

    /// Refuses a name that belongs to a node with another id whose agent is alive.
    fn vet_name(&self, node: &Node, name: &Caseless, renamed: bool) -> Step {
        let Some(owner) = self.catalog.nodes.get(name).filter(|owner| owner.id != node.id) else {
            return Ok(());
        };
        let adopted = owner.id.is_empty() && !renamed;
        let health = self.catalog.checks.get(&(name.clone(), Caseless::new(SERF_HEALTH)));
        if adopted || health.is_none_or(|check| check.status == CRITICAL) {
            return Ok(());
        }
        Err(WriteError::NameReserved(Box::new(ReservedName {
            id: node.id.clone(),
            renamed: renamed.then(|| node.address.clone()),
            name: node.name.clone(),
            owner: owner.id.clone(),
            owner_name: owner.name.clone(),
            owner_address: owner.address.clone(),
        })))
    }

    /// Writes an instance; an identical one is left alone.
    pub(crate) fn ensure_service(&mut self, change: &mut Change, node: &str, service: &Service) -> Step {
        vet_meta(node, service)?;
        let node = Caseless::new(node);
        if !self.catalog.nodes.contains_key(&node) {
            return Err(WriteError::MissingNode);
        }
        let old = self.catalog.services.get(&(node.clone(), Caseless::new(&service.id))).cloned();
        if old.as_ref().is_some_and(|o| o.value == *service) {
            return Ok(());
        }
        let name = Caseless::new(&service.name);
        let left = old.as_ref().map(|o| Caseless::new(&o.name)).filter(|old_name| *old_name != name);
        let checks =
            if left.is_some() { self.checks_leaving(change, &node, &service.id) } else { Vec::new() };
        if self.catalog.instances_of(&name).next().is_none() {
            self.touch_gateways_of(change, &name);
        }
        let entry = Stored::replacing(old.as_deref(), service.clone(), change.index);
        self.catalog.put_service(&node, entry);
        self.touch_instance(change, &node);
        self.touch_service(change, &name);
        if let Some(old_name) = left {
            self.left_service(change, &old_name);
        }
        checks.iter().try_for_each(|check| self.ensure_check(change, node.as_str(), check))
    }

    /// The checks of an instance that is about to take another service's name, and with it theirs. Consul renames them
    /// when they are written next, and shows them under the old name until then.
    fn checks_leaving(&mut self, change: &mut Change, node: &Caseless, id: &str) -> Vec<Check> {
        let checks: Vec<Check> =
            self.catalog.checks_on(node, &Caseless::new(id)).map(|check| check.value.clone()).collect();
        checks.iter().for_each(|check| self.touch_check(change, node, check));
        checks
    }

    /// Writes a check; an identical one is left alone, though a critical one ends sessions in any case.
    pub(crate) fn ensure_check(&mut self, change: &mut Change, node: &str, check: &Check) -> Step {
        let (name, node) = (node, Caseless::new(node));
        let check = self.complete(name, &node, check)?;
        let id = Caseless::new(&check.check_id);
        let old = self.catalog.checks.get(&(node.clone(), id.clone())).cloned();
        if check.status == CRITICAL {
            self.end_sessions_of_check(change, &node, &id);
        }
        if old.as_ref().is_some_and(|o| says_the_same(o, &check)) {
            return Ok(());
        }
        if let Some(old) = &old {
            self.touch_check(change, &node, old);
        }
        self.touch_check(change, &node, &check);
        let entry = Stored::replacing(old.as_deref(), check, change.index);
        self.catalog.put_check(&node, entry);
        Ok(())
    }

    /// The check with what the sender may leave out.
    fn complete(&self, name: &str, node: &Caseless, check: &Check) -> Step<Check> {
        let mut check = Check { check_id: check_id(check).to_owned(), ..check.clone() };
        if check.check_id.is_empty() {
            return Err(WriteError::CheckWithoutId);
        }
        if !self.catalog.nodes.contains_key(node) {
            return Err(WriteError::MissingNode);
        }
        if check.node.is_empty() {
            name.clone_into(&mut check.node);
        }
        if check.status.is_empty() {
            CRITICAL.clone_into(&mut check.status);
        }
        if !check.service_id.is_empty() {
            let instance = self.catalog.services.get(&(node.clone(), Caseless::new(&check.service_id)));
            let instance = instance.ok_or(WriteError::MissingService)?;
            check.service_name.clone_from(&instance.name);
            check.service_tags.clone_from(&instance.tags);
        }
        Ok(check)
    }
}

/// Whether a check says nothing new. How it runs (kind, interval, timeout, port) is not looked at, as in Consul.
fn says_the_same(old: &Check, new: &Check) -> bool {
    let Check { kind, interval, timeout, exposed_port, .. } = old.clone();
    *old == Check { kind, interval, timeout, exposed_port, ..new.clone() }
}

/// A check's id, which is its name if it has none.
fn check_id(check: &Check) -> &str {
    if check.check_id.is_empty() { &check.name } else { &check.check_id }
}

/// Refuses metadata that break a limit, in Consul's words.
fn vet_meta(node: &str, service: &Service) -> Step {
    let Some(meta) = &service.meta else { return Ok(()) };
    let refuse = |reason| {
        let (node, service) = (node.to_owned(), service.id.clone());
        Err(WriteError::ServiceMeta { node, service, reason })
    };
    if meta.len() > META_PAIRS_MAX {
        return refuse(format!("Node metadata cannot contain more than {META_PAIRS_MAX} key/value pairs"));
    }
    for (key, value) in meta {
        if let Some(reason) = meta_pair_fault(key, value) {
            return refuse(format!("Couldn't load metadata pair ('{key}', '{value}'): {reason}"));
        }
    }
    Ok(())
}

fn meta_pair_fault(key: &str, value: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if key.is_empty() {
        Some("Key cannot be blank".to_owned())
    } else if !key.bytes().all(plain) {
        Some("Key contains invalid characters".to_owned())
    } else if key.len() > META_KEY_BYTES_MAX {
        Some(format!("Key is too long (limit: {META_KEY_BYTES_MAX} characters)"))
    } else if key.starts_with("consul-") {
        Some("Key prefix 'consul-' is reserved for internal use".to_owned())
    } else if value.len() > META_VALUE_BYTES_MAX {
        Some(format!("Value is too long (limit: {META_VALUE_BYTES_MAX} characters)"))
    } else {
        None
    }
}
