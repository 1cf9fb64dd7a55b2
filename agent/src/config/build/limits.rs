//! The `limits` block.

use std::time::Duration;

use super::Reader;
use crate::config::settings::{LimitMode, Limits, RequestLimits};

pub(super) fn read(r: &mut Reader<'_>) -> Limits {
    let mode = match r.text("limits.request_limits.mode") {
        None | Some("disabled") => LimitMode::Disabled,
        Some("permissive") => LimitMode::Permissive,
        Some("enforcing") => LimitMode::Enforcing,
        Some(other) => {
            r.error(format!("limits.request_limits.mode: invalid mode: {other:?}"));
            LimitMode::Disabled
        }
    };
    let requests = RequestLimits {
        mode,
        read_rate: r.rate("limits.request_limits.read_rate"),
        write_rate: r.rate("limits.request_limits.write_rate"),
    };
    Limits {
        http_max_conns_per_client: r.number("limits.http_max_conns_per_client", 200),
        https_handshake_timeout: r.duration("limits.https_handshake_timeout", Duration::from_secs(5)),
        kv_max_value_size: r.number("limits.kv_max_value_size", 512 * 1024),
        txn_max_req_len: r.number("limits.txn_max_req_len", 512 * 1024),
        requests,
        rpc_rate: r.rate("limits.rpc_rate"),
        rpc_max_burst: r.number("limits.rpc_max_burst", 1000),
        rpc_max_conns_per_client: r.given_number("limits.rpc_max_conns_per_client").filter(|most| *most > 0),
    }
}
