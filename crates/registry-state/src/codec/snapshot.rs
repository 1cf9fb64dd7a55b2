//! A whole state, record by record, so that neither side ever holds it in one piece of memory.

use std::{
    io::{Read, Write},
    sync::Arc,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Autopilot, Caseless, Check, ConfigEntry, Event, Index, Key, KvEntry, Node, NodeCoordinate, Query,
    Service, Session, State, Stored,
    codec::{CodecError, VERSION},
    index::Indexes,
    kv::Tombstone,
    request::Made,
    restore::Staged,
};

/// What comes first: the indexes of the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Head {
    pub(super) index: Index,
    indexes: Indexes,
    kv_changed: Index,
    kv_floor: Index,
    restored_at: Index,
}

/// What follows, up to `End`. An instance and a check carry the comparable name of the node they hang on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Record {
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
    Autopilot(Arc<Stored<Autopilot>>),
    Made(Index, Arc<Made>),
    /// A restore is under way: its id, and what its snapshot began with. Its records follow.
    Restoring(String, Box<Head>),
    Staged(Box<Record>),
    End,
}

/// Writes a state; give it a buffered writer.
pub fn write_snapshot(state: &State, mut to: impl Write) -> Result<(), CodecError> {
    write(state, &mut to)
}

/// For every writer the same code: that of all records is half a megabyte.
fn write(state: &State, mut to: &mut dyn Write) -> Result<(), CodecError> {
    to.write_all(&[VERSION])?;
    let mut serializer = rmp_serde::Serializer::new(&mut to).with_struct_map();
    Head::of(state).serialize(&mut serializer)?;
    for record in records(state) {
        record.serialize(&mut serializer)?;
    }
    if let Some(staged) = &state.staged {
        let head = Box::new(Head::of(&staged.state));
        Record::Restoring(staged.id.to_string(), head).serialize(&mut serializer)?;
        for record in records(&staged.state) {
            Record::Staged(Box::new(record)).serialize(&mut serializer)?;
        }
    }
    Record::End.serialize(&mut serializer)?;
    to.flush()?;
    Ok(())
}

/// Reads a state that [`write_snapshot`] of this or an earlier release wrote, up to its end; what follows stays
/// unread. Give it a buffered reader.
pub fn read_snapshot(mut from: impl Read) -> Result<State, CodecError> {
    read_version(&mut from)?;
    let mut state: State = read_one::<Head>(&mut from)?.into();
    loop {
        match read_one(&mut from)? {
            Record::End => return Ok(state),
            record => take(&mut state, record)?,
        }
    }
}

/// Reads one thing, and not a byte more; for every reader the same code.
pub(super) fn read_one<T: DeserializeOwned>(from: &mut dyn Read) -> Result<T, CodecError> {
    Ok(T::deserialize(&mut rmp_serde::Deserializer::new(from))?)
}

/// Reads the version byte, and refuses another one.
pub(super) fn read_version(from: &mut impl Read) -> Result<(), CodecError> {
    let mut version = [0];
    from.read_exact(&mut version).map_err(rmp_serde::decode::Error::InvalidDataRead)?;
    if version == [VERSION] { Ok(()) } else { Err(CodecError::UnknownVersion { found: version[0] }) }
}

impl Head {
    fn of(state: &State) -> Self {
        let State { index, indexes, kv, restored_at, .. } = state;
        let (kv_changed, kv_floor) = (kv.changed, kv.floor);
        Self { index: *index, indexes: indexes.clone(), kv_changed, kv_floor, restored_at: *restored_at }
    }
}

impl From<Head> for State {
    fn from(head: Head) -> Self {
        let Head { index, indexes, kv_changed, kv_floor, restored_at } = head;
        let mut state = Self { index, indexes, restored_at, ..Self::default() };
        (state.kv.changed, state.kv.floor) = (kv_changed, kv_floor);
        state
    }
}

impl Record {
    /// What people call it, in Consul's words where it has one.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Kv(_) => "KVS",
            Self::Tombstone(..) => "Tombstone",
            Self::LockDelay(..) => "LockDelay",
            Self::Node(_) | Self::Service(..) | Self::Check(..) => "Register",
            Self::Session(_) => "Session",
            Self::Query(_) => "PreparedQuery",
            Self::Config(_) => "ConfigEntry",
            Self::Coordinate(_) => "CoordinateBatchUpdate",
            Self::Event(..) => "Event",
            Self::Autopilot(_) => "Autopilot",
            Self::Made(..) => "Request",
            Self::Restoring(..) | Self::Staged(_) | Self::End => "Restore",
        }
    }

    /// About how many bytes it takes.
    pub(super) fn weight(&self) -> usize {
        const SMALL: usize = 256;
        SMALL
            + match self {
                Self::Kv(entry) => entry.key.as_bytes().len() + entry.value.value.len(),
                Self::Tombstone(key, _) | Self::LockDelay(key, _) => key.as_bytes().len(),
                Self::Check(_, check) => check.output.len() + check.definition.len(),
                Self::Config(entry) => entry.body.len(),
                _ => SMALL,
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
    let autopilot = state.autopilot.iter().cloned().map(Record::Autopilot);
    let made = state.requests.iter().map(|(index, made)| Record::Made(index, made));
    let stores = entries.chain(tombstones).chain(delays);
    let catalog = nodes.chain(services).chain(checks).chain(sessions).chain(coordinates);
    stores.chain(catalog).chain(queries).chain(config).chain(events).chain(autopilot).chain(made)
}

/// Nodes come before what hangs on them, and nothing hangs on a node that is not there.
pub(super) fn take(state: &mut State, record: Record) -> Result<(), CodecError> {
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
        Record::Autopilot(settings) => state.autopilot = Some(settings),
        Record::Made(index, made) => state.requests.load(index, made),
        Record::Restoring(id, head) => {
            state.staged = Some(Staged { id: id.into(), records: 0, state: Box::new(State::from(*head)) });
        }
        Record::Staged(record) => {
            let Some(staged) = &mut state.staged else {
                return Err(CodecError::Malformed("records of a restore that did not begin".to_owned()));
            };
            take(&mut staged.state, *record)?;
            staged.records += 1;
        }
        Record::End => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by fuzzing: a head whose map of nodes claims to have four thousand million entries.
    #[test]
    fn a_file_that_claims_too_much_is_damaged() {
        let head =
            b"\x01\x96\x02\xdc\x2c\x90\xcd\xcd\xed\x01\0\0\0\0\0\0\x2a\xcd\x2c\x66\xdf\xff\xff\xff\xff";
        assert!(matches!(read_snapshot(head.as_slice()), Err(CodecError::Malformed(_))));
    }
}
