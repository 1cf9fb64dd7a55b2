//! What is registered over the API is on disk before it counts: what was acknowledged outlives a kill, and what cannot be
//! kept is refused.

use std::io;

use registry_wire::catalog::NodeService;

use super::{AddError, Folder, KeptCheck, KeptService, Local, State, name_after, store};
use crate::definition::{CheckDefinition, ServiceDefinition, Source};

/// Whether something that is registered has to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disk {
    Write,
    /// It came from there.
    HasIt,
}

impl Local {
    /// Writes a service's checks, then the service.
    ///
    /// A kill in between leaves checks without a service, which the next start drops, and never a service without its
    /// checks. Errors leave nothing new behind.
    pub(super) fn keep_service(
        &self,
        state: &State,
        definition: &ServiceDefinition,
        source: Source,
    ) -> Result<(), AddError> {
        let service = &definition.service;
        let mut checks = definition.checks.iter();
        let kept =
            checks.try_for_each(|check| self.keep_check(check, Some(service), source)).and_then(|()| {
                let Some(mark) = store::kept_source(source) else {
                    self.store.forget(Folder::Services, &service.id);
                    return Ok(());
                };
                let kept = KeptService {
                    token: definition.token.clone(),
                    service: service.clone(),
                    source: mark.into(),
                    is_sidecar: definition.is_sidecar,
                };
                Ok(self.store.keep(Folder::Services, &service.id, &kept)?)
            });
        if kept.is_err() {
            for check in definition.checks.iter().filter(|check| !state.checks.contains_key(&check.id)) {
                self.store.forget(Folder::Checks, &check.id);
            }
        }
        kept
    }

    /// Writes a check; what a configuration file defines is there already.
    pub(super) fn keep_check(
        &self,
        definition: &CheckDefinition,
        service: Option<&NodeService>,
        source: Source,
    ) -> Result<(), AddError> {
        let Some(mark) = store::kept_source(source) else {
            self.store.forget(Folder::Checks, &definition.id);
            return Ok(());
        };
        let mut check = definition.health_check(&self.node);
        name_after(&mut check, service);
        let kept = KeptCheck {
            check,
            chk_type: Some(definition.runs.clone()),
            token: definition.token.clone(),
            source: mark.into(),
        };
        Ok(self.store.keep(Folder::Checks, &definition.id, &kept)?)
    }

    /// Says that something holds, but only until the end of this process.
    pub(super) fn kept(&self, outcome: io::Result<()>, id: &str) {
        if let Err(error) = outcome {
            tracing::warn!(target: "agent", id, %error, "registered, but cannot be kept on disk: a restart forgets it");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::{Config, Flags, load};

    fn config(dir: &std::path::Path) -> Config {
        let words = [format!("-data-dir={}", dir.display()), "-bind=127.0.0.1".into(), "-node=n1".into()];
        load(&Flags::parse(words).unwrap()).unwrap()
    }

    fn service(body: &str) -> ServiceDefinition {
        ServiceDefinition::from_api(body.as_bytes()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_kept_is_refused_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let local = Local::new(&config(dir.path()), None);
        let first = service(r#"{"Name":"web","Port":1}"#);
        local.add_service(first, Source::Api, false).unwrap();
        // A folder cannot be made where a file is: also for root, whom no mode stops.
        fs::write(dir.path().join("checks"), "").unwrap();
        let second = r#"{"Name":"web","Port":2,"Check":{"TTL":"1h"}}"#;
        let refused = local.add_service(service(second), Source::Api, true).unwrap_err();
        assert!(refused.to_string().starts_with("cannot be kept on disk: "), "{refused}");
        assert_eq!(local.services()[0].port, 1);
        assert!(local.checks().is_empty());
        // What files define needs no place on disk.
        local.add_service(service(second), Source::File, false).unwrap();
        assert_eq!(local.checks().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_is_refused_leaves_no_check_behind() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("services"), "").unwrap();
        let local = Local::new(&config(dir.path()), None);
        let body = r#"{"Name":"web","Check":{"TTL":"1h"}}"#;
        assert!(matches!(local.add_service(service(body), Source::Api, false), Err(AddError::NotKept(_))));
        let files = fs::read_dir(dir.path().join("checks")).unwrap().count();
        assert_eq!((files, local.services().len(), local.checks().len()), (0, 0, 0));
    }
}
