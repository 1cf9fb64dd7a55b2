//! Keys and values as `/v1/kv` shows them.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// A value as [`KvPair::value`] shows it: base64 with padding, `None` when it is empty.
pub fn encode_value(value: &[u8]) -> Option<String> {
    (!value.is_empty()).then(|| STANDARD.encode(value))
}

/// Reads what [`encode_value`] wrote, or what a client sent. Errors if it is no base64.
pub fn decode_value(text: &str) -> Result<Vec<u8>, NotBase64> {
    STANDARD.decode(text.replace(['\r', '\n'], "")).map_err(|_| NotBase64)
}

/// A value that is not base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("illegal base64 data")]
pub struct NotBase64;

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
