//! Services that were made for containers: taken in, compared, and taken away.

use super::{AddError, Local, Source};
use crate::definition::ServiceDefinition;

/// Why a container's service is not registered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeError {
    #[error("a configuration file has a service of this id")]
    OfFile,
    #[error(transparent)]
    Add(#[from] AddError),
}

impl Local {
    /// Registers a service for a container, unless it stands so already; whether something changed.
    ///
    /// A service of the configuration's files is left alone; one that was registered over the API, as by a registrator that
    /// ran here before, is taken over.
    pub(crate) fn take_container(&self, definition: ServiceDefinition) -> Result<bool, TakeError> {
        let id = &definition.service.id;
        if self.state().services.get(id).is_some_and(|held| held.source == Source::File) {
            return Err(TakeError::OfFile);
        }
        if self.is_defined(&definition, Source::Container) {
            return Ok(false);
        }
        self.add_service(definition, Source::Container, true)?;
        Ok(true)
    }

    /// Removes the services of containers but those to be kept; how many went.
    pub(crate) fn forget_containers(&self, kept: impl Fn(&str) -> bool) -> usize {
        self.remove_of(Source::Container, |id| !kept(id)).len()
    }

    /// Removes services that were registered over the API; their ids.
    pub(crate) fn remove_registered(&self, which: impl Fn(&str) -> bool) -> Vec<String> {
        self.remove_of(Source::Api, which)
    }

    fn remove_of(&self, source: Source, which: impl Fn(&str) -> bool) -> Vec<String> {
        let found: Vec<String> = {
            let state = self.state();
            let held = state.services.iter().filter(|(id, held)| held.source == source && which(id));
            held.map(|(id, _)| id.clone()).collect()
        };
        found.into_iter().filter(|id| self.remove_service(id)).collect()
    }
}
