//! Sessions as `/v1/session` shows them.

use serde::{Deserialize, Serialize};

use crate::json::{Given, Json};

/// One session, as `/v1/session/info/:id` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Session {
    /// A random UUID in lower case.
    #[serde(rename = "ID")]
    pub id: String,
    /// Free text.
    pub name: String,
    /// The node the session lives on.
    pub node: String,
    /// How long a lost lock stays closed, in nanoseconds.
    pub lock_delay: i64,
    /// What happens to held keys at the end: `release` or `delete`.
    pub behavior: String,
    /// A Go duration such as `15s`, or empty for none.
    #[serde(rename = "TTL")]
    pub ttl: String,
    /// Node checks whose failing ends the session; `null` when that was sent.
    pub node_checks: Option<Vec<String>>,
    /// Service checks whose failing ends the session; `null` when none.
    pub service_checks: Option<Vec<ServiceCheck>>,
    /// Checks given under the old name; left out when none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
    /// The index of the creation.
    pub create_index: u64,
    /// The same as `create_index`; sessions do not change.
    pub modify_index: u64,
}

/// A service check linked to a session: `{"ID":"sc","Namespace":""}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "structs.ServiceCheck", rename_all = "PascalCase", default)]
pub struct ServiceCheck {
    /// The check's id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Always empty here.
    pub namespace: String,
}

/// The body of `PUT /v1/session/create`; names it does not have are skipped.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename = "struct { LockDelay interface {}; *structs.Alias }", rename_all = "PascalCase", default)]
pub struct SessionBody {
    /// The node; empty means the node that is asked.
    pub node: String,
    /// Free text.
    pub name: String,
    /// A Go duration, or a number: seconds below 1000, else nanoseconds. 15 s if not given.
    pub lock_delay: Json,
    /// `release`, the default, or `delete`.
    pub behavior: String,
    /// A Go duration; none if empty.
    #[serde(rename = "TTL")]
    pub ttl: String,
    /// Checks of the node; `serfHealth` if neither this nor `checks` is given.
    pub node_checks: Given<Option<Vec<String>>>,
    /// Checks of services.
    pub service_checks: Option<Vec<ServiceCheck>>,
    /// The old name of `node_checks`.
    pub checks: Given<Option<Vec<String>>>,
}
