//! Proxies that are registered beside their services, and leave with them.

use super::{AddError, Local, Source};
use crate::definition::Sidecar;

impl Local {
    /// Registers a service's proxy, at the port it had, the one it asks for, or the first free one.
    pub(super) fn add_sidecar(
        &self,
        sidecar: Sidecar,
        source: Source,
        replace_checks: bool,
    ) -> Result<(), AddError> {
        let port = match sidecar.port() {
            Some(port) => port,
            None => self.sidecar_port(sidecar.id()).ok_or(AddError::NoPort)?,
        };
        self.add_service(sidecar.at(port), source, replace_checks)
    }

    fn sidecar_port(&self, id: &str) -> Option<i64> {
        let state = self.state();
        let had = state.services.get(id).map(|held| held.service.port);
        had.filter(|port| Sidecar::PORTS.contains(port)).or_else(|| {
            let taken = |port: &i64| state.services.values().any(|held| held.service.port == *port);
            Sidecar::PORTS.into_iter().find(|port| !taken(port))
        })
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
