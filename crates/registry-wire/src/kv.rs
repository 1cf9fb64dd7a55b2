//! Keys and values as `/v1/kv` shows them.

use serde::{Deserialize, Serialize};

/// One key with its value, as in `[{"LockIndex":0,"Key":"a","Flags":0,"Value":"b25l","CreateIndex":5,"ModifyIndex":5}]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct KvPair {
    /// How often the key was locked anew; part of the sequencer.
    pub lock_index: u64,
    /// The key. Bytes that are not UTF-8 are shown as U+FFFD.
    pub key: String,
    /// The client's own number.
    pub flags: u64,
    /// The value in padded base64; `null` when empty.
    pub value: Option<String>,
    /// The session that holds the key; left out when none does.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub session: String,
    /// The index of the write that made the key.
    pub create_index: u64,
    /// The index of the last write that changed it.
    pub modify_index: u64,
}
