//! Taking over what the configuration's files define, at the start and at each reload, and what the disk kept.

use std::collections::BTreeSet;

use super::{
    Disk, Folder, KeptCheck, KeptService, KeptWord, Local, Source,
    error::{DefineError, judge_check, judge_service},
    store,
};
use crate::{
    checks::Status,
    config::Config,
    definition::{CheckDefinition, Kind, ServiceDefinition},
};

impl Local {
    /// Registers what the files define and what was registered over the API before the last stop.
    ///
    /// A definition of the files replaces a kept one of the same id. Errors with the first definition that cannot be
    /// registered; then the agent does not start.
    pub(crate) fn load(&self, config: &Config) -> Result<(), DefineError> {
        let services = self.judge(config)?;
        self.define(services, &config.checks)?;
        self.restore(config.container_source.is_some());
        Ok(())
    }

    /// Takes over changed files: adds, changes and removes, and leaves alone what came over the API.
    ///
    /// Unchanged checks keep their status. Errors leave everything as it was, but for a check of a service that there is not.
    pub(crate) fn reload(&self, config: &Config) -> Result<(), DefineError> {
        let all = self.judge(config)?;
        let services: BTreeSet<&str> = all.iter().map(|s| s.service.id.as_str()).collect();
        let checks: BTreeSet<&str> = all
            .iter()
            .flat_map(|service| &service.checks)
            .chain(&config.checks)
            .map(|check| check.id.as_str())
            .collect();
        let (gone_services, gone_checks): (Vec<String>, Vec<String>) = {
            let state = self.state();
            let services = state
                .services
                .iter()
                .filter(|(id, held)| held.source == Source::File && !services.contains(id.as_str()));
            let checks = state
                .checks
                .iter()
                .filter(|(id, held)| held.source == Source::File && !checks.contains(id.as_str()));
            (services.map(|(id, _)| id.clone()).collect(), checks.map(|(id, _)| id.clone()).collect())
        };
        for id in &gone_services {
            self.remove_service(id);
        }
        for id in &gone_checks {
            self.remove_check(id);
        }
        // What was removed over the API comes back with the files; what the API changed is the files' again.
        self.define(all, &config.checks)
    }

    /// The services of the files, and after them their sidecars at their ports, when all of it can be registered.
    fn judge(&self, config: &Config) -> Result<Vec<ServiceDefinition>, DefineError> {
        config.services.iter().try_for_each(|service| judge_service(service, config.script_checks))?;
        config.checks.iter().try_for_each(|check| judge_check(check, config.script_checks))?;
        let sidecars = self.sidecars_of(&config.services)?;
        let alone =
            config.services.iter().map(|service| ServiceDefinition { sidecar: None, ..service.clone() });
        Ok(alone.chain(sidecars).collect())
    }

    fn define(
        &self,
        services: Vec<ServiceDefinition>,
        checks: &[CheckDefinition],
    ) -> Result<(), DefineError> {
        for definition in services {
            if !self.is_defined(&definition, Source::File) {
                let name = definition.service.service.clone();
                let added = self.add_service(definition, Source::File, false);
                added.map_err(|why| DefineError::Service { name, why })?;
            }
        }
        for definition in checks {
            if !self.is_defined_check(definition, Source::File) {
                let added = self.add_check(definition.clone(), Source::File);
                added.map_err(|why| DefineError::Check { name: definition.name.clone(), why })?;
            }
        }
        Ok(())
    }

    /// Whether the service stands as defined: then a reload does not even restart its checks.
    pub(super) fn is_defined(&self, definition: &ServiceDefinition, source: Source) -> bool {
        let same = self.state().services.get(&definition.service.id).is_some_and(|held| {
            held.source == source && held.service == definition.service && held.token == definition.token
        });
        same && definition.checks.iter().all(|check| self.is_defined_check(check, source))
    }

    fn is_defined_check(&self, definition: &CheckDefinition, source: Source) -> bool {
        self.state().checks.get(&definition.id).is_some_and(|held| {
            held.source == source
                && held.runs.as_ref() == Some(&definition.runs)
                && held.check.service_id == definition.service_id
        })
    }

    /// What containers had stays until the engine says which of them still run; nobody asks it unless it is followed.
    fn restore(&self, follows_containers: bool) {
        let checks = self.store.load::<KeptCheck>(Folder::Checks);
        for kept in self.store.load::<KeptService>(Folder::Services) {
            let id = kept.service.id.clone();
            let source = store::source_of_kept(&kept.source);
            if source == Source::Container && !follows_containers {
                self.store.forget(Folder::Services, &id);
                continue;
            }
            if id.is_empty() || self.state().services.contains_key(&id) {
                continue;
            }
            let mut definition = ServiceDefinition {
                service: kept.service,
                checks: Vec::new(),
                token: kept.token,
                sidecar: None,
                is_sidecar: kept.is_sidecar,
            };
            // Consul keeps the checks of a sidecar only where they were given.
            let none = || !checks.iter().any(|kept| kept.check.service_id == id);
            if let Some(of) = id.strip_suffix("-sidecar-proxy").filter(|_| definition.is_sidecar && none()) {
                definition.set_sidecar_checks(of);
            }
            if let Err(error) = self.put_service(definition, source, false, Disk::HasIt) {
                tracing::warn!(target: "agent", service = id, %error, "cannot restore service");
            }
        }
        for kept in checks {
            self.restore_check(kept);
        }
        for word in self.store.load::<KeptWord>(Folder::Words) {
            self.restore_word(&word);
        }
    }

    fn restore_check(&self, kept: KeptCheck) {
        let (id, source) = (kept.check.check_id.clone(), store::source_of_kept(&kept.source));
        let orphan =
            !kept.check.service_id.is_empty() && !self.state().services.contains_key(&kept.check.service_id);
        if id.is_empty() || orphan || self.state().checks.contains_key(&id) {
            self.store.forget(Folder::Checks, &id);
            return;
        }
        let Some(mut runs) = kept.chk_type else {
            self.hold(kept.check);
            self.changed();
            return;
        };
        // Nobody has looked since: critical, until the check runs or its word turns out to hold.
        runs.status = String::new();
        let definition = CheckDefinition {
            id: id.clone(),
            name: kept.check.name,
            service_id: kept.check.service_id,
            token: kept.token,
            shown_type: if kept.check.kind.is_empty() { "" } else { runs.kind().map_or("", Kind::name) },
            shown_interval: kept.check.interval,
            shown_timeout: kept.check.timeout,
            runs,
        };
        if let Err(error) = self.put_check(definition, source, Disk::HasIt) {
            tracing::warn!(target: "agent", check = id, %error, "cannot restore check");
        }
    }

    fn restore_word(&self, word: &KeptWord) {
        let Some(left) = store::left_until(word.expires) else {
            return self.store.forget(Folder::Words, &word.check_id);
        };
        let ttl = {
            let state = self.state();
            let held = state.checks.get(&word.check_id);
            held.and_then(|held| held.running.as_ref()?.ttl().cloned())
        };
        if let (Some(ttl), Some(status)) = (ttl, Status::from_name(&word.status)) {
            ttl.resume(left, word.output.clone());
            self.observed(&word.check_id, crate::checks::Observed { status, output: word.output.clone() });
        }
    }
}
