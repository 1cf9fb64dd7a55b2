//! `watches`: what a file wants followed.
//!
//! Consul looks at them only when it starts, so that `validate` passes files whose watches are wrong. Here they are read
//! with the rest, and what is wrong is kept until somebody asks.

use hcl1::Document;
use serde_json::{Map, Value as Json};
use watch::{Parameters, Watch};

use super::ConfigError;

/// The watches of all files, in their order.
#[derive(Debug, Default)]
pub(super) struct Watches {
    pub(super) good: Vec<Watch>,
    /// The first one that is wrong.
    pub(super) refused: Option<ConfigError>,
    pub(super) notices: Vec<String>,
}

impl Watches {
    /// Takes the watches out of a file's settings.
    pub(super) fn take(&mut self, document: &Document, settings: &mut Map<String, Json>) {
        let Some(Json::Array(list)) = settings.remove("watches") else { return };
        for (number, watch) in list.into_iter().enumerate() {
            let Json::Object(fields) = watch else { continue };
            let parameters: Parameters = fields.into_iter().collect();
            match Watch::read(parameters, &mut self.notices) {
                Ok(watch) => self.good.push(watch),
                Err(why) => {
                    let place = document.place_of(&format!("watches[{number}]"));
                    let text = place.map_or_else(|| why.clone(), |place| format!("{place}: {why}"));
                    self.refused.get_or_insert(ConfigError::new(text));
                }
            }
        }
    }
}
