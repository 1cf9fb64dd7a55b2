//! The `container_source` block.

use std::{net::IpAddr, time::Duration};

use super::Reader;
use crate::config::{ConfigError, settings::ContainerSource};

/// How often everything is compared where nothing is said: events tell the rest.
const RESYNC: Duration = Duration::from_secs(300);
const RESYNC_MIN: Duration = Duration::from_secs(1);

pub(super) fn read(r: &mut Reader<'_>) -> Result<Option<ContainerSource>, ConfigError> {
    let source = ContainerSource {
        socket: r.owned("container_source.socket").map(|text| socket(&text)).transpose()?,
        host_address: r.owned("container_source.host_address").map(|text| address(&text)).transpose()?,
        internal: r.bool("container_source.internal", false),
        explicit: r.bool("container_source.explicit", false),
        tags: r.texts("container_source.tags"),
        cleanup: r.bool("container_source.cleanup", false),
        resync_interval: r.duration("container_source.resync_interval", RESYNC).max(RESYNC_MIN),
    };
    Ok(r.bool("container_source.enabled", false).then_some(source))
}

/// A path is the socket at it.
fn socket(text: &str) -> Result<String, ConfigError> {
    match text.split_once("://") {
        None if text.starts_with('/') => Ok(format!("unix://{text}")),
        Some(("unix" | "tcp" | "http", rest)) if !rest.is_empty() => Ok(text.to_owned()),
        _ => Err(ConfigError::new(format!(
            "container_source.socket: {text:?} is neither a path nor unix:///path nor tcp://address:port"
        ))),
    }
}

fn address(text: &str) -> Result<IpAddr, ConfigError> {
    text.trim_matches(['[', ']'])
        .parse()
        .map_err(|_| ConfigError::new(format!("container_source.host_address: {text:?} is no IP address")))
}
