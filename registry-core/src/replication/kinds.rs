//! What the log replicates: batches of commands, and what became of them.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use registry_state::{Command, Index, Outcome, codec};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

openraft::declare_raft_types!(
    /// The types of our log.
    pub(crate) Kinds: D = Batch, R = Outcomes, Node = Server
);

/// A server as the members' list in the log and in snapshots has it. Lists of earlier releases hold the address alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Server {
    /// Where the others reach its link: `10.0.0.1:8300`.
    pub(crate) addr: String,
    /// The node's name.
    pub(crate) name: String,
    /// The node's id, a UUID.
    pub(crate) node_id: String,
    /// The newest version of the calls between servers that it speaks.
    pub(crate) version: u32,
    /// The program's version, `1.21.4`.
    pub(crate) build: String,
    /// The port of its LAN join; 0 when it does not say.
    pub(crate) lan_port: u16,
}

/// The position of an entry in the log.
pub(crate) type LogId = openraft::type_config::alias::LogIdOf<Kinds>;
/// An entry of the log.
pub(crate) type Entry = openraft::type_config::alias::EntryOf<Kinds>;
/// What an entry holds.
pub(crate) type Payload = openraft::EntryPayload<Batch, u64, Server>;
/// The members of the cluster, with the position at which they were written down.
pub(crate) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<Kinds>;
/// Who was voted for.
pub(crate) type Vote = openraft::type_config::alias::VoteOf<Kinds>;

/// Commands that entered the log together. Cloning copies pointers; it is encoded once.
#[derive(Clone)]
pub(crate) struct Batch {
    commands: Arc<[Command]>,
    bytes: Bytes,
}

impl Batch {
    pub(crate) fn new(commands: Vec<Command>) -> Self {
        let bytes = codec::encode_commands(&commands).into();
        Self { commands: commands.into(), bytes }
    }

    pub(crate) fn decode(bytes: Bytes) -> Result<Self, codec::CodecError> {
        let commands = codec::decode_commands(&bytes)?.into();
        Ok(Self { commands, bytes })
    }

    pub(crate) fn commands(&self) -> &[Command] {
        &self.commands
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} commands in {} bytes", self.commands.len(), self.bytes.len())
    }
}

impl Serialize for Batch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.bytes)
    }
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Batch;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the bytes of a batch of commands")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Batch, E> {
                Batch::decode(Bytes::copy_from_slice(bytes)).map_err(E::custom)
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

/// What became of a batch, in order of its commands; empty for entries that hold none.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcomes(pub(crate) Vec<(Index, Outcome)>);

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} outcomes", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_members_of_an_earlier_release_is_read() {
        #[derive(Serialize)]
        struct Earlier {
            addr: &'static str,
        }
        let bytes = rmp_serde::to_vec_named(&Earlier { addr: "10.0.0.1:8300" }).unwrap();
        let read: Server = rmp_serde::from_slice(&bytes).unwrap();
        assert_eq!(read, Server { addr: "10.0.0.1:8300".into(), ..Server::default() });
        let read: Server = serde_json::from_str(r#"{"addr":"10.0.0.1:8300","later":1}"#).unwrap();
        assert_eq!(read.addr, "10.0.0.1:8300");
    }
}
