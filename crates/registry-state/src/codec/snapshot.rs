//! A whole state, record by record, so that neither side ever holds it in one piece of memory.

use std::{
    io::{Read, Write},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    Caseless, Check, ConfigEntry, Event, Index, Key, KvEntry, Node, NodeCoordinate, Query, Service, Session,
    State, Stored,
    codec::{CodecError, VERSION},
    index::Indexes,
    kv::Tombstone,
};

/// What comes first: the indexes of the whole.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Head {
    index: Index,
    indexes: Indexes,
    kv_changed: Index,
    kv_floor: Index,
}

/// What follows, up to `End`. An instance and a check carry the comparable name of the node they hang on.
#[derive(Debug, Serialize, Deserialize)]
enum Record {
    Kv(Arc<Stored<KvEntry>>),
    Tombstone(Key, Tombstone),
    LockDelay(Key, u64),
    Node(Arc<Stored<Node>>),
    Service(Caseless, Arc<Stored<Service>>),
    Check(Caseless, Arc<Stored<Check>>),
    Session(Arc<Stored<Session>>),
    Query(Arc<Stored<Query>>),
    Config(Arc<Stored<ConfigEntry>>),
    Coordinate(Arc<Stored<NodeCoordinate>>),
    Event(Index, Arc<Event>),
    End,
}

/// Writes a state; give it a buffered writer.
pub fn write_snapshot(state: &State, mut to: impl Write) -> Result<(), CodecError> {
    to.write_all(&[VERSION])?;
    let (index, indexes) = (state.index, state.indexes.clone());
    let head = Head { index, indexes, kv_changed: state.kv.changed, kv_floor: state.kv.floor };
    let mut serializer = rmp_serde::Serializer::new(&mut to).with_struct_map();
    head.serialize(&mut serializer)?;
    for record in records(state) {
        record.serialize(&mut serializer)?;
    }
    Record::End.serialize(&mut serializer)?;
    to.flush()?;
    Ok(())
}

/// Reads a state that [`write_snapshot`] of this or an earlier release wrote, up to its end; what follows stays
/// unread. Give it a buffered reader.
pub fn read_snapshot(mut from: impl Read) -> Result<State, CodecError> {
    let mut version = [0];
    from.read_exact(&mut version).map_err(rmp_serde::decode::Error::InvalidDataRead)?;
    if version != [VERSION] {
        return Err(CodecError::UnknownVersion { found: version[0] });
    }
    let mut deserializer = rmp_serde::Deserializer::new(from);
    let head = Head::deserialize(&mut deserializer)?;
    let mut state = State { index: head.index, indexes: head.indexes, ..State::default() };
    (state.kv.changed, state.kv.floor) = (head.kv_changed, head.kv_floor);
    loop {
        match Record::deserialize(&mut deserializer)? {
            Record::End => return Ok(state),
            record => take(&mut state, record)?,
        }
    }
}

fn records(state: &State) -> impl Iterator<Item = Record> {
    let entries = state.kv.entries.values().cloned().map(Record::Kv);
    let tombstones = state.kv.tombstones.iter().map(|(key, t)| Record::Tombstone(key.clone(), *t));
    let delays = state.kv.delays.iter().map(|(key, until)| Record::LockDelay(key.clone(), *until));
    let nodes = state.catalog.nodes.values().cloned().map(Record::Node);
    let services = state.catalog.services.iter().map(|((n, _), s)| Record::Service(n.clone(), s.clone()));
    let checks = state.catalog.checks.iter().map(|((n, _), c)| Record::Check(n.clone(), c.clone()));
    let sessions = state.sessions.by_id.values().cloned().map(Record::Session);
    let queries = state.queries.by_id.values().cloned().map(Record::Query);
    let config = state.config.values().cloned().map(Record::Config);
    let coordinates = state.coordinates.0.values().cloned().map(Record::Coordinate);
    let events = state.events.0.iter().map(|(index, event)| Record::Event(*index, event.clone()));
    let stores = entries.chain(tombstones).chain(delays);
    let catalog = nodes.chain(services).chain(checks).chain(sessions).chain(coordinates);
    stores.chain(catalog).chain(queries).chain(config).chain(events)
}

/// Nodes come before what hangs on them, and nothing hangs on a node that is not there.
fn take(state: &mut State, record: Record) -> Result<(), CodecError> {
    match record {
        Record::Service(node, _) | Record::Check(node, _) if !state.catalog.nodes.contains_key(&node) => {
            return Err(CodecError::Malformed(format!("something hangs on the unknown node {node:?}")));
        }
        Record::Kv(entry) => state.kv.load(entry),
        Record::Tombstone(key, tombstone) => drop(state.kv.tombstones.insert(key, tombstone)),
        Record::LockDelay(key, until) => drop(state.kv.delays.insert(key, until)),
        Record::Node(node) => state.catalog.load_node(node),
        Record::Service(node, service) => state.catalog.put_service(&node, service),
        Record::Check(node, check) => state.catalog.put_check(&node, check),
        Record::Session(session) => state.sessions.insert(session),
        Record::Query(query) => state.queries.insert(query),
        Record::Config(entry) => {
            let key = (entry.kind.clone(), Caseless::new(&entry.name));
            state.config.insert(key, entry);
        }
        Record::Coordinate(coordinate) => state.coordinates.load(coordinate),
        Record::Event(index, event) => drop(state.events.0.insert(index, event)),
        Record::End => {}
    }
    Ok(())
}
