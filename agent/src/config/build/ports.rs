//! The `ports` block.

use super::Reader;
use crate::config::{ConfigError, settings::Ports};

/// Reads the block; ports that cannot be are noted with the reader, a range that runs backwards is the error.
pub(super) fn read(r: &mut Reader<'_>) -> Result<Ports, ConfigError> {
    let dev_grpc = if r.dev() { 8502 } else { -1 };
    let server_grpc = if r.bool("server", r.dev()) { 8503 } else { -1 };
    let ports = Ports {
        dns: r.port("dns", 8600),
        http: r.port("http", 8500),
        https: r.port("https", -1),
        serf_lan: r.port("serf_lan", 8301),
        serf_wan: r.port("serf_wan", 8302),
        server: r.port("server", 8300),
        grpc: r.port("grpc", dev_grpc),
        grpc_tls: r.port("grpc_tls", server_grpc),
        sidecar: None,
    };
    // Proxies' and exposed paths' ranges are judged, and not used: nothing here starts a proxy.
    range(r, "proxy", 20_000)?;
    let sidecar = range(r, "sidecar", 21_000)?;
    range(r, "expose", 21_500)?;
    Ok(Ports { sidecar, ..ports })
}

/// The first and last port of a range, 256 ports where nothing is said; `None` where it is switched off.
fn range(r: &mut Reader<'_>, name: &str, first: i64) -> Result<Option<(u16, u16)>, ConfigError> {
    let min = r.port(&format!("{name}_min_port"), first);
    let max = r.port(&format!("{name}_max_port"), first + 255);
    if r.is_fine() && min > max {
        return Err(ConfigError::new(format!(
            "{name}_min_port must be less than {name}_max_port. To disable, set both to zero."
        )));
    }
    Ok(min.zip(max))
}
