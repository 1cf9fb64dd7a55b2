//! Operations on nodes, instances and checks.

use crate::{
    Caseless, CatalogVerb, CheckOp, Node, NodeOp, ServiceOp, State, WriteError,
    catalog::{CheckEntry, NodeEntry, ServiceEntry},
    error::quoted,
    state::{Change, Step},
};

impl State {
    pub(super) fn txn_node(&mut self, change: &mut Change, op: &NodeOp) -> Step<Option<NodeEntry>> {
        let key = Caseless::new(&op.node.name);
        let current = self.catalog.nodes.get(&key).map_or(0, |n| n.modify_index);
        let stale = |verb: &str| stale(verb, format!("node {}", quoted(op.node.name.as_bytes())));
        match op.verb {
            CatalogVerb::Get => {
                let found = self.txn_found_node(&op.node);
                return found.map(Some).ok_or_else(|| WriteError::NodeMissing(op.node.name.clone()));
            }
            CatalogVerb::Cas if current != op.index => return Err(stale("set")),
            CatalogVerb::Set | CatalogVerb::Cas => self.ensure_node(change, &op.node, false)?,
            CatalogVerb::DeleteCas if current == 0 || current != op.index => return Err(stale("delete")),
            CatalogVerb::Delete | CatalogVerb::DeleteCas => {
                self.delete_node(change, &key);
                return Ok(None);
            }
        }
        Ok(self.txn_found_node(&op.node))
    }

    fn txn_found_node(&self, node: &Node) -> Option<NodeEntry> {
        let by_name = || self.catalog.nodes.get(&Caseless::new(&node.name)).cloned();
        if node.id.is_empty() { by_name() } else { self.node_by_id(&node.id).cloned() }
    }

    pub(super) fn txn_service(&mut self, change: &mut Change, op: &ServiceOp) -> Step<Option<ServiceEntry>> {
        let (node, id) = (Caseless::new(&op.node), Caseless::new(&op.service.id));
        let key = (node.clone(), id.clone());
        let (service, on) = (op.service.id.clone(), op.node.clone());
        let current = self.catalog.services.get(&key).map_or(0, |s| s.modify_index);
        let what = || format!("service {} on node {}", quoted(service.as_bytes()), quoted(on.as_bytes()));
        match op.verb {
            CatalogVerb::Get => {
                let found = self.catalog.services.get(&key).cloned();
                return found.map(Some).ok_or(WriteError::ServiceMissing { service, node: on });
            }
            CatalogVerb::Cas if current != op.index => return Err(stale("set", what())),
            CatalogVerb::Set | CatalogVerb::Cas => self.ensure_service(change, &op.node, &op.service)?,
            CatalogVerb::DeleteCas if current == 0 || current != op.index => {
                return Err(stale("delete", what()));
            }
            CatalogVerb::Delete | CatalogVerb::DeleteCas => {
                self.delete_service(change, &node, &id);
                return Ok(None);
            }
        }
        Ok(self.catalog.services.get(&key).cloned())
    }

    pub(super) fn txn_check(&mut self, change: &mut Change, op: &CheckOp) -> Step<Option<CheckEntry>> {
        // A read takes no name for an id, as a write does.
        let named = op.verb != CatalogVerb::Get && op.check.check_id.is_empty();
        let id = if named { &op.check.name } else { &op.check.check_id };
        if id.is_empty() || op.check.node.is_empty() {
            return Err(match op.verb {
                CatalogVerb::Get | CatalogVerb::Cas => WriteError::CheckLookup,
                CatalogVerb::DeleteCas => {
                    WriteError::Other(format!("check lookup failed: {}", WriteError::CheckLookup))
                }
                _ => WriteError::CheckWithoutId,
            });
        }
        let key = (Caseless::new(&op.check.node), Caseless::new(id));
        let (check, on) = (id.clone(), op.check.node.clone());
        let current = self.catalog.checks.get(&key).map_or(0, |c| c.modify_index);
        let what = || format!("check {} on node {}", quoted(check.as_bytes()), quoted(on.as_bytes()));
        match op.verb {
            CatalogVerb::Get => {
                let found = self.catalog.checks.get(&key).cloned();
                return found.map(Some).ok_or(WriteError::CheckMissing { check, node: on });
            }
            CatalogVerb::Cas if current != op.index => return Err(stale("set", what())),
            CatalogVerb::Set | CatalogVerb::Cas => self.ensure_check(change, &op.check.node, &op.check)?,
            CatalogVerb::DeleteCas if current == 0 || current != op.index => {
                return Err(stale("delete", what()));
            }
            CatalogVerb::Delete | CatalogVerb::DeleteCas => {
                self.delete_check(change, &key.0, &key.1);
                return Ok(None);
            }
        }
        Ok(self.catalog.checks.get(&key).cloned())
    }
}

fn stale(verb: &str, what: String) -> WriteError {
    WriteError::Stale { verb: verb.to_owned(), what }
}
