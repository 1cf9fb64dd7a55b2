//! Proxies that are registered beside their services, and leave with them.

use std::collections::BTreeSet;

use super::{AddError, Local, Source, error::DefineError};
use crate::definition::{ServiceDefinition, Sidecar};

impl Local {
    /// Registers a service's proxy, at the port it had, the one it asks for, or the first free one.
    pub(super) fn add_sidecar(
        &self,
        sidecar: Sidecar,
        source: Source,
        replace_checks: bool,
    ) -> Result<(), AddError> {
        let port = match self.settled_port(&sidecar) {
            Some(port) => port,
            None => {
                let taken = self.state().services.values().map(|held| held.service.port).collect();
                self.free_port(&taken)?
            }
        };
        let added = self.add_service(sidecar.at(port), source, replace_checks);
        added.map_err(|why| AddError::Sidecar(Box::new(why)))
    }

    /// The proxies of the files' services, each at its port. Nothing is registered by this.
    ///
    /// Errors with the first one that no port is left for.
    pub(super) fn sidecars_of(
        &self,
        services: &[ServiceDefinition],
    ) -> Result<Vec<ServiceDefinition>, DefineError> {
        let sidecars: Vec<&Sidecar> =
            services.iter().filter_map(|service| service.sidecar.as_ref()).collect();
        let mut taken: BTreeSet<i64> = {
            let state = self.state();
            let others = state.services.values().filter(|held| held.source != Source::File);
            others.map(|held| held.service.port).chain(services.iter().map(|own| own.service.port)).collect()
        };
        taken.extend(sidecars.iter().filter_map(|sidecar| self.settled_port(sidecar)));
        let mut placed = Vec::new();
        for service in services {
            let Some(sidecar) = service.sidecar.clone() else { continue };
            let port = match self.settled_port(&sidecar) {
                Some(port) => port,
                None => self
                    .free_port(&taken)
                    .map_err(|why| DefineError::Sidecar { of: service.service.service.clone(), why })?,
            };
            taken.insert(port);
            placed.push(sidecar.at(port));
        }
        Ok(placed)
    }

    /// The port that a proxy asks for, or else had when it was registered before.
    fn settled_port(&self, sidecar: &Sidecar) -> Option<i64> {
        sidecar.port().or_else(|| {
            let had = self.state().services.get(sidecar.id()).map(|held| held.service.port);
            let (first, last) = self.settings.sidecar_ports?;
            had.filter(|port| (i64::from(first)..=i64::from(last)).contains(port))
        })
    }

    fn free_port(&self, taken: &BTreeSet<i64>) -> Result<i64, AddError> {
        let (first, last) = self.settings.sidecar_ports.ok_or(AddError::NoPorts)?;
        let free = (first..=last).map(i64::from).find(|port| !taken.contains(port));
        free.ok_or(AddError::NoPort(first, last))
    }

    /// The id of the proxy that was registered with a service.
    pub(super) fn sidecar_of(&self, id: &str) -> Option<String> {
        let sidecar = format!("{id}-sidecar-proxy");
        self.state().services.get(&sidecar).is_some_and(|held| held.is_sidecar).then_some(sidecar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Flags, load},
        definition::ServiceDefinition,
    };

    fn add(local: &Local, body: &str) {
        let definition = ServiceDefinition::from_api(body.as_bytes()).unwrap();
        definition.validate().unwrap();
        local.add_service(definition, Source::Api, false).unwrap();
    }

    fn port(local: &Local, id: &str) -> Option<i64> {
        local.services().iter().find(|service| service.id == id).map(|service| service.port)
    }

    #[tokio::test(start_paused = true)]
    async fn a_sidecar_comes_with_its_service_and_goes_with_it() {
        let words = ["-dev", "-bind=127.0.0.1", "-node=n1"].map(str::to_owned);
        let local = Local::new(&load(&Flags::parse(words.into_iter()).unwrap()).unwrap(), None);
        add(&local, r#"{"Name":"web","ID":"w1","Port":80,"Tags":["a"],"Connect":{"SidecarService":{}}}"#);
        add(
            &local,
            r#"{"Name":"db","Port":81,"Connect":{"sidecar_service":{"Port":9000,"Check":{"TTL":"5s"}}}}"#,
        );
        add(&local, r#"{"Name":"api","Port":82,"Connect":{"SidecarService":{"Port":-1}}}"#);
        assert_eq!(port(&local, "w1-sidecar-proxy"), Some(21_000));
        assert_eq!(port(&local, "db-sidecar-proxy"), Some(9000));
        assert_eq!(port(&local, "api-sidecar-proxy"), Some(21_001));
        let services = local.services();
        let sidecar = services.iter().find(|service| service.id == "w1-sidecar-proxy").unwrap();
        assert_eq!((sidecar.service.as_str(), sidecar.kind.as_str()), ("web-sidecar-proxy", "connect-proxy"));
        assert_eq!(sidecar.tags.as_deref(), Some(&["a".to_owned()][..]));
        assert_eq!(sidecar.proxy["DestinationServiceID"], "w1");
        assert_eq!(sidecar.proxy["LocalServicePort"], 80);
        let checks: Vec<_> = local.checks().into_iter().map(|check| (check.check_id, check.kind)).collect();
        let tcp = ("service:w1-sidecar-proxy:1".to_owned(), "tcp".to_owned());
        let alias = ("service:w1-sidecar-proxy:2".to_owned(), "alias".to_owned());
        assert!(checks.contains(&tcp) && checks.contains(&alias), "{checks:?}");
        add(&local, r#"{"Name":"web","ID":"w1","Port":85,"Connect":{"SidecarService":{}}}"#);
        assert_eq!(port(&local, "w1-sidecar-proxy"), Some(21_000), "it keeps its port");
        assert!(local.remove_service("w1"));
        assert_eq!(port(&local, "w1-sidecar-proxy"), None);
        add(&local, r#"{"Name":"db-sidecar-proxy","Port":5}"#);
        assert!(local.remove_service("db"));
        assert_eq!(port(&local, "db-sidecar-proxy"), Some(5), "registered for itself since");
    }

    #[tokio::test(start_paused = true)]
    async fn a_files_sidecars_follow_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.hcl");
        let read = |text: &str| {
            let ports = "ports { sidecar_min_port = 30000 sidecar_max_port = 30001 }";
            std::fs::write(&file, format!("{ports}\n{text}")).unwrap();
            let words = ["-dev", "-bind=127.0.0.1", "-node=n1"].map(str::to_owned);
            let file = format!("-config-file={}", file.display());
            load(&Flags::parse(words.into_iter().chain([file])).unwrap()).unwrap()
        };
        let web = |more: &str| {
            format!("services {{ name = \"web\" port = 80 connect {{ sidecar_service {{ {more} }} }} }}")
        };
        let first = read(&web(""));
        let local = Local::new(&first, None);
        local.load(&first).unwrap();
        add(&local, r#"{"Name":"api","Port":30001}"#);
        assert_eq!(port(&local, "web-sidecar-proxy"), Some(30_000));
        local.reload(&read(&web("tags = [\"new\"]"))).unwrap();
        let tags = |id: &str| local.services().into_iter().find(|service| service.id == id).unwrap().tags;
        assert_eq!(tags("web-sidecar-proxy").unwrap(), ["new"], "changed, at its port");
        assert_eq!(port(&local, "web-sidecar-proxy"), Some(30_000));
        let db = "services { name = \"db\" port = 81 connect { sidecar_service {} } }";
        let full = local.reload(&read(&format!("{} {db}", web("")))).unwrap_err();
        assert_eq!(
            full.to_string(),
            "Failed to register sidecar for service \"db\": no port provided for sidecar_service and none left in the configured range [30000, 30001]"
        );
        assert_eq!(port(&local, "db"), None, "nothing was taken over");
        local.reload(&read(db)).unwrap();
        assert_eq!(
            (port(&local, "web-sidecar-proxy"), port(&local, "db-sidecar-proxy")),
            (None, Some(30_000))
        );
        local.reload(&read("services { name = \"db\" port = 81 }")).unwrap();
        assert_eq!((port(&local, "db"), port(&local, "db-sidecar-proxy")), (Some(81), None));
        assert!(local.checks().is_empty());
    }

    #[test]
    fn misuse_is_told_in_consuls_words() {
        let said = |body: &str| {
            ServiceDefinition::from_api(body.as_bytes()).unwrap().validate().unwrap_err().to_string()
        };
        assert_eq!(
            said(r#"{"Name":"a","Port":1,"Connect":{"SidecarService":{"ID":"x"}}}"#),
            "Validation failed: 1 error occurred:\n\t* A SidecarService cannot specify an ID as this is managed by the agent\n\n"
        );
        assert_eq!(
            said(r#"{"Name":"a","Port":1,"Kind":"mesh-gateway","Connect":{"SidecarService":{}}}"#),
            "Validation failed: 1 error occurred:\n\t* A mesh-gateway cannot have a sidecar service defined\n\n"
        );
        assert_eq!(
            said(
                r#"{"Name":"a","Port":1,"Connect":{"SidecarService":{"Check":{"TTL":"1s","Interval":"1s"}}}}"#
            ),
            "Invalid check in sidecar_service: Interval and TTL cannot both be specified"
        );
        assert!(
            said(r#"{"Name":"a","Port":1,"Connect":{"SidecarService":{"Kind":"mesh-gateway"}}}"#)
                .starts_with(
                    "Failed Validation: 5 errors occurred:\n\t* Port must be non-zero for a mesh-gateway\n"
                )
        );
    }
}
