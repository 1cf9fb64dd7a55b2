//! Rules about the configuration as a whole; the first one broken is told.

use std::fs;

use base64_key::decode;
use serde_json::{Map, Value as Json};

use super::super::{Config, ConfigError};
use crate::definition::validate_meta;

mod base64_key;

/// Checks the rules and adds Consul's warnings.
pub(super) fn judge(config: &mut Config, settings: &Map<String, Json>) -> Result<(), ConfigError> {
    names(config)?;
    data_dir(config)?;
    let is_set = |key: &str| {
        settings.get(key).is_some_and(|value| value.as_str() != Some("") && *value != Json::Array(Vec::new()))
    };
    if is_set("segment") || is_set("segments") {
        return Err(ConfigError::new("Network segments are not supported in this version of Consul"));
    }
    stanzas(settings)?;
    bootstrap(config)?;
    if let Some(key) = settings.get("encrypt").and_then(Json::as_str).filter(|key| !key.is_empty()) {
        config.encrypt = Some(decode(key).map_err(|error| ConfigError::new(error.to_string()))?);
    }
    for key in ["encrypt_verify_incoming", "encrypt_verify_outgoing"] {
        if config.encrypt.is_some() && settings.get(key) == Some(&Json::Bool(false)) {
            let text = format!(
                "configuration key {key} has no effect: with encrypt the key is required of every peer"
            );
            config.notices.push(text);
        }
    }
    validate_meta(&config.node_meta, true)
        .map_err(|reason| ConfigError::new(format!("node_meta invalid: {reason}")))?;
    definitions(config)?;
    let shown = (&config.https.cert_file, &config.https.key_file);
    if !config.https_listen.is_empty() && matches!(shown, (None, _) | (_, None)) {
        let text = "ports.https is set but no certificate: no client can connect until tls.https.cert_file and key_file are";
        config.notices.push(text.into());
    }
    if !config.retry_join_wan.is_empty() && !config.server {
        let text =
            "configuration key retry_join_wan has no effect on an agent: its servers join other datacenters";
        config.notices.push(text.into());
    }
    if config.script_checks.remote && config.http.allow_write_http_from.is_empty() {
        config.warnings.push(
            "using enable-script-checks without ACLs and without allow_write_http_from is DANGEROUS, use \
             enable-local-script-checks instead, see https://www.hashicorp.com/blog/protecting-consul-from-rce-risk-in-\
             specific-configurations/"
                .into(),
        );
    }
    web_page(config, settings)
}

/// Keys of `tls` that only some of its blocks may have.
fn stanzas(settings: &Map<String, Json>) -> Result<(), ConfigError> {
    let is_on = |block: &str, key: &str| settings.get("tls").is_some_and(|tls| tls[block][key] == true);
    if ["defaults", "https", "internal_rpc"].iter().any(|block| is_on(block, "use_auto_cert")) {
        return Err(ConfigError::new("use_auto_cert is only valid in the tls.grpc stanza"));
    }
    match ["grpc", "https"].iter().find(|block| is_on(block, "verify_outgoing")) {
        Some(block) => {
            Err(ConfigError::new(format!("verify_outgoing is not valid in the tls.{block} stanza")))
        }
        None => Ok(()),
    }
}

fn names(config: &mut Config) -> Result<(), ConfigError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    for (name, key) in
        [(&config.datacenter, "datacenter"), (&config.primary_datacenter, "primary_datacenter")]
    {
        if name.is_empty() {
            return Err(ConfigError::new(format!("{key} cannot be empty")));
        }
        if !name.chars().all(allowed) {
            let text = format!(
                "{key} can only contain lowercase alphanumeric, - or _ characters. received: {name:?}"
            );
            return Err(ConfigError::new(text));
        }
    }
    let name = &config.node_name;
    if name.trim().is_empty() {
        return Err(ConfigError::new("node_name cannot be empty"));
    }
    if name.len() > 63 {
        config.warnings.push(format!(
            "Node name {name:?} will not be discoverable via DNS due to it being too long. Valid lengths are between 1 and 63 bytes."
        ));
    } else if name.chars().any(|c| !c.is_ascii_alphanumeric() && c != '-') {
        config.warnings.push(format!(
            "Node name {name:?} will not be discoverable via DNS due to invalid characters. Valid characters include all alpha-numerics and dashes."
        ));
    }
    Ok(())
}

fn data_dir(config: &Config) -> Result<(), ConfigError> {
    match &config.data_dir {
        None if !config.dev => Err(ConfigError::new("data_dir cannot be empty")),
        Some(dir) if fs::metadata(dir).is_ok_and(|meta| !meta.is_dir()) => {
            Err(ConfigError::new(format!("data_dir {:?} is not a directory", dir.display().to_string())))
        }
        _ => Ok(()),
    }
}

fn bootstrap(config: &mut Config) -> Result<(), ConfigError> {
    if config.dev {
        return Ok(());
    }
    let (alone, expect, server) = (config.bootstrap, config.bootstrap_expect, config.server);
    if alone && !server {
        return Err(ConfigError::new("'bootstrap = true' requires 'server = true'"));
    }
    if alone && expect > 0 {
        return Err(ConfigError::new("'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive"));
    }
    if expect > 0 && !server {
        return Err(ConfigError::new("'bootstrap_expect > 0' requires 'server = true'"));
    }
    let warn = &mut config.warnings;
    if expect == 1 {
        warn.push("BootstrapExpect is set to 1; this is the same as Bootstrap mode.".into());
        config.bootstrap = true;
    } else if expect == 2 {
        warn.push(
            "bootstrap_expect = 2: A cluster with 2 servers will provide no failure tolerance. See \
             https://developer.hashicorp.com/docs/internals/consensus.html#deployment-table"
                .into(),
        );
    } else if expect > 0 && expect % 2 == 0 {
        warn.push("bootstrap_expect is even number: A cluster with an even number of servers does not achieve optimum fault tolerance. See https://developer.hashicorp.com/docs/internals/consensus.html#deployment-table".into());
    }
    if config.bootstrap {
        warn.push("bootstrap = true: do not enable unless necessary".into());
    }
    if expect > 1 {
        warn.push(format!("bootstrap_expect > 0: expecting {expect} servers"));
    }
    Ok(())
}

fn definitions(config: &Config) -> Result<(), ConfigError> {
    for service in &config.services {
        let name = &service.service.service;
        for check in &service.checks {
            let of = &check.runs.name;
            let said = |reason| ConfigError::new(format!("service {name:?}: check {of:?}: {reason}"));
            check.runs.validate().map_err(said)?;
        }
        service.validate_kind().map_err(|faults| ConfigError::new(format!("service {name:?}: {faults}")))?;
    }
    for check in &config.checks {
        let said = |reason| ConfigError::new(format!("check {:?}: {reason}", check.name));
        check.runs.validate().map_err(said)?;
    }
    Ok(())
}

fn web_page(config: &mut Config, settings: &Map<String, Json>) -> Result<(), ConfigError> {
    let Some(dir) = &config.ui.dir else { return Ok(()) };
    let enabled = settings.get("ui_config").and_then(|ui| ui.get("enabled")).and_then(Json::as_bool);
    if enabled == Some(true) {
        return Err(ConfigError::new(
            "Both the ui_config.enabled and ui_config.dir (or -ui and -ui-dir) were specified, please provide only one.\n\
             If trying to use your own web UI resources, use ui_config.dir or the -ui-dir flag.\n\
             The web UI is included in the binary so use ui_config.enabled or the -ui flag to enable it",
        ));
    }
    config.ui.enabled = true;
    if !dir.join("index.html").is_file() {
        config.notices.push(format!("{} has no index.html: the built-in page is shown", dir.display()));
        config.ui.dir = None;
    }
    Ok(())
}
