//! Batches of commands, as the log holds them.

use crate::{
    Command,
    codec::{CodecError, VERSION},
};

/// The bytes of a batch: the version, then a list of commands.
pub fn encode_commands(commands: &[Command]) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    let mut serializer = rmp_serde::Serializer::new(&mut bytes).with_struct_map();
    serde::Serialize::serialize(commands, &mut serializer)
        .expect("a vector takes every byte, and commands have no odd types");
    bytes
}

/// The commands of a batch that [`encode_commands`] of this or an earlier release wrote.
pub fn decode_commands(bytes: &[u8]) -> Result<Vec<Command>, CodecError> {
    match bytes.split_first() {
        None => Err(CodecError::Malformed("no bytes".to_owned())),
        Some((&VERSION, rest)) => Ok(rmp_serde::from_slice(rest)?),
        Some((&found, _)) => Err(CodecError::UnknownVersion { found }),
    }
}
