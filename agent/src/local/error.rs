//! Why something cannot be registered, or a check's word not be taken.

use crate::{
    checks::{self, NotHere},
    config::ScriptChecks,
    definition::{CheckDefinition, CheckType, ServiceDefinition, Source},
};

/// Why something cannot be registered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddError {
    #[error(
        "Scripts are disabled on this agent from remote calls; to enable, configure 'enable_script_checks' to true"
    )]
    RemoteScripts,
    #[error(
        "Scripts are disabled on this agent; to enable, configure 'enable_script_checks' or 'enable_local_script_checks' to true"
    )]
    LocalScripts,
    #[error("ServiceID {0:?} does not exist")]
    NoService(String),
    #[error("Service name missing")]
    NoName,
    #[error("CheckID missing")]
    NoCheckId,
    #[error("no port provided for sidecar_service and none left in the configured range [{0}, {1}]")]
    NoPort(u16, u16),
    #[error("no port provided for sidecar_service and auto-assignment disabled in config")]
    NoPorts,
    #[error("error updating service registration: {0}")]
    Sidecar(Box<Self>),
    #[error("cannot be kept on disk: {0}")]
    NotKept(#[from] std::io::Error),
    #[error(transparent)]
    NotHere(#[from] NotHere),
}

/// Why a definition of the files cannot be registered; the words are Consul's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DefineError {
    #[error("Failed to register service {name:?}: {why}")]
    Service { name: String, why: AddError },
    #[error("Failed to register check '{name}': {why}")]
    Check { name: String, why: AddError },
    #[error("Failed to register sidecar for service {of:?}: {why}")]
    Sidecar { of: String, why: AddError },
    #[error("Failed to validate sidecar for service {of:?}: {why}")]
    SidecarCheck { of: String, why: &'static str },
}

/// Why a check's word cannot be taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WordError {
    #[error("Unknown check ID {0:?}. Ensure that the check ID is passed, not the check name.")]
    Unknown(String),
    #[error("CheckID {0:?} does not have associated TTL")]
    NoTtl(String),
}

/// Whether a check may run here.
pub(super) fn allowed(runs: &CheckType, source: Source, scripts: ScriptChecks) -> Result<(), AddError> {
    if runs.runs_program() {
        match source {
            Source::Api | Source::Container if !scripts.remote => return Err(AddError::RemoteScripts),
            Source::File if !scripts.local => return Err(AddError::LocalScripts),
            _ => {}
        }
    }
    Ok(checks::supported(runs)?)
}

/// Whether a service of the files can be registered, with its sidecar, as far as its definition says it.
pub(crate) fn judge_service(service: &ServiceDefinition, scripts: ScriptChecks) -> Result<(), DefineError> {
    let fit = |definition: &ServiceDefinition| {
        if definition.service.service.is_empty() {
            return Err(AddError::NoName);
        }
        definition.checks.iter().try_for_each(|check| allowed(&check.runs, Source::File, scripts))
    };
    let name = &service.service.service;
    fit(service).map_err(|why| DefineError::Service { name: name.clone(), why })?;
    let Some(sidecar) = &service.sidecar else { return Ok(()) };
    if let Some(why) = sidecar.unfit_check() {
        return Err(DefineError::SidecarCheck { of: name.clone(), why });
    }
    let unfit = |why| DefineError::Sidecar { of: name.clone(), why: AddError::Sidecar(Box::new(why)) };
    fit(sidecar.definition()).map_err(unfit)
}

/// The same of a check.
pub(crate) fn judge_check(check: &CheckDefinition, scripts: ScriptChecks) -> Result<(), DefineError> {
    let fit = if check.id.is_empty() {
        Err(AddError::NoCheckId)
    } else {
        allowed(&check.runs, Source::File, scripts)
    };
    fit.map_err(|why| DefineError::Check { name: check.name.clone(), why })
}
