//! The `tls` block and the older keys that mean the same: what they say of HTTPS.

use std::path::PathBuf;

use super::Reader;
use crate::{
    config::{
        ConfigError, TLS_KEYS,
        settings::{HttpsTls, TlsVersion},
        tls_paths,
    },
    tls::knows_suite,
};

const VERSIONS: &str = "TLS_AUTO, TLSv1_0, TLSv1_1, TLSv1_2, TLSv1_3";
/// Suites that Consul takes and this program does not speak: they are known to be weak.
const WEAK: [&str; 4] = [
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
];

/// Reads what holds for HTTPS; `notices` gets what has no effect.
pub(super) fn read(
    r: &mut Reader<'_>,
    notices: &mut Vec<String>,
    places: &[(String, String)],
) -> Result<HttpsTls, ConfigError> {
    for key in ["auto_encrypt.tls", "auto_encrypt.allow_tls", "auto_config.enabled"] {
        if r.bool(key, false) {
            return Err(ConfigError::new(format!(
                "{key}: certificates are not handed out here; give each node its own with tls.https.cert_file and \
                 tls.https.key_file, and leave {} out",
                key.split('.').next().unwrap_or(key)
            )));
        }
    }
    let file =
        |r: &Reader<'_>, key: &str| tls_paths(key).iter().find_map(|path| r.owned(path)).map(PathBuf::from);
    let verifies = r.bool("tls.defaults.verify_incoming", r.bool("verify_incoming", false));
    let verify_incoming = r.bool("tls.https.verify_incoming", r.bool("verify_incoming_https", verifies));
    if verifies || r.bool("verify_incoming_rpc", false) || r.bool("tls.internal_rpc.verify_incoming", false) {
        notices
            .push("verify_incoming holds for HTTPS only: the link on ports.server is protected by encrypt, not by certificates".into());
    }
    if r.bool("tls.defaults.verify_outgoing", r.bool("verify_outgoing", false)) {
        notices.push("verify_outgoing has no effect: the link on ports.server is protected by encrypt, not by certificates".into());
    }
    let min_version = min_version(r, notices);
    Ok(HttpsTls {
        ca_file: file(r, "ca_file"),
        ca_path: file(r, "ca_path"),
        cert_file: file(r, "cert_file"),
        key_file: file(r, "key_file"),
        verify_incoming,
        cipher_suites: cipher_suites(r, min_version, notices),
        min_version,
        places: TLS_KEYS.iter().filter_map(|key| place(r, key, places)).collect(),
    })
}

/// The path of a key that counts, and where it stands: `("tls.https.cert_file", "/etc/ryo.d/tls.hcl:3:5")`.
fn place(r: &Reader<'_>, key: &str, places: &[(String, String)]) -> Option<(String, String)> {
    let path = tls_paths(key).into_iter().find(|path| r.has(path))?;
    places.iter().rev().find(|(own, _)| *own == path).cloned()
}

/// The key's text in the block that counts, with the path to name in an error.
fn said(r: &Reader<'_>, key: &str) -> Option<(String, String)> {
    let places = [("tls.https.", "tls.https."), ("tls.defaults.", "tls.defaults."), ("", "tls.defaults.")];
    places.into_iter().find_map(|(place, shown)| {
        let text = r.owned(&format!("{place}{key}"))?;
        Some((format!("{shown}{key}"), text))
    })
}

fn min_version(r: &mut Reader<'_>, notices: &mut Vec<String>) -> TlsVersion {
    let Some((path, text)) = said(r, "tls_min_version") else { return TlsVersion::V1_2 };
    match text.as_str() {
        "TLS_AUTO" | "TLSv1_2" => TlsVersion::V1_2,
        "TLSv1_3" => TlsVersion::V1_3,
        "TLSv1_0" | "TLSv1_1" => {
            notices.push(format!("{path}: {text} is not spoken any more; clients need TLS 1.2"));
            TlsVersion::V1_2
        }
        _ => {
            r.error(format!(
                "{path}: invalid TLS version: no matching TLS version found for {text}, please specify one of [{VERSIONS}]"
            ));
            TlsVersion::V1_2
        }
    }
}

fn cipher_suites(r: &mut Reader<'_>, min: TlsVersion, notices: &mut Vec<String>) -> Vec<String> {
    let Some((path, text)) = said(r, "tls_cipher_suites") else { return Vec::new() };
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    if min == TlsVersion::V1_3 {
        r.error(format!("{path}: TLS 1.3 cipher suites are not configurable"));
    }
    let is_weak = |name: &String| WEAK.contains(&name.as_str());
    let unknown: Vec<&str> =
        names.iter().filter(|name| !knows_suite(name) && !is_weak(name)).map(String::as_str).collect();
    if !unknown.is_empty() {
        let unknown = unknown.join(",");
        r.error(format!(
            "{path}: invalid TLS cipher suites: no matching Consul Agent TLS cipher suite found for {unknown}"
        ));
    } else if names.iter().all(is_weak) {
        r.error(format!("{path}: none of these suites is spoken any more: name one with GCM or CHACHA20"));
    }
    notices.extend(
        names
            .iter()
            .filter(|name| is_weak(name))
            .map(|name| format!("{path}: {name} is not spoken any more")),
    );
    names
}
