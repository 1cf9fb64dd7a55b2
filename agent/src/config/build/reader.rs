//! Reading typed values out of the merged tree, collecting what is wrong with them.

use std::time::Duration;

use registry_wire::{catalog::TextMap, duration};
use serde_json::{Map, Value as Json};

pub(super) struct Reader<'a> {
    settings: &'a Map<String, Json>,
    dev: bool,
    errors: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(settings: &'a Map<String, Json>, dev: bool) -> Self {
        Self { settings, dev, errors: Vec::new() }
    }

    pub(super) fn dev(&self) -> bool {
        self.dev
    }

    pub(super) fn error(&mut self, text: String) {
        self.errors.push(text);
    }

    /// Whether nothing was wrong so far.
    pub(super) fn is_fine(&self) -> bool {
        self.errors.is_empty()
    }

    pub(super) fn into_errors(self) -> Vec<String> {
        self.errors
    }

    /// The value at `ports.http`. A block in HCL that no table looked into is a list of one.
    fn get(&self, path: &str) -> Option<&'a Json> {
        let mut steps = path.split('.');
        let first = self.settings.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.get(step).or_else(|| value.get(0)?.get(step)))
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.get(path).is_some()
    }

    pub(super) fn text(&self, path: &str) -> Option<&'a str> {
        self.get(path)?.as_str()
    }

    pub(super) fn owned(&self, path: &str) -> Option<String> {
        self.text(path).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    pub(super) fn bool(&self, path: &str, default: bool) -> bool {
        self.get(path).and_then(Json::as_bool).unwrap_or(default)
    }

    pub(super) fn texts(&self, path: &str) -> Vec<String> {
        let list = self.get(path).and_then(Json::as_array).into_iter().flatten();
        list.filter_map(Json::as_str).map(str::to_owned).collect()
    }

    pub(super) fn text_map(&self, path: &str) -> TextMap {
        let map = self.get(path).and_then(Json::as_object).into_iter().flatten();
        map.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    }

    pub(super) fn number<N: TryFrom<i64>>(&mut self, path: &str, default: N) -> N {
        let Some(number) = self.get(path).and_then(Json::as_i64) else { return default };
        N::try_from(number).unwrap_or_else(|_| {
            self.errors.push(format!("{path} cannot be {number}. Must be greater than or equal to zero"));
            default
        })
    }

    /// How many a second; not given or negative is any number.
    pub(super) fn rate(&self, path: &str) -> f64 {
        self.get(path).and_then(Json::as_f64).filter(|rate| *rate >= 0.0).unwrap_or(f64::INFINITY)
    }

    pub(super) fn given_number(&mut self, path: &str) -> Option<usize> {
        self.get(path)?;
        Some(self.number(path, 0))
    }

    /// A port; 0 and -1 are off.
    pub(super) fn port(&mut self, name: &str, default: i64) -> Option<u16> {
        let path = format!("ports.{name}");
        let number = self.get(&path).and_then(Json::as_i64).unwrap_or(default);
        match u16::try_from(number) {
            Ok(0) => None,
            Ok(port) => Some(port),
            Err(_) if number == -1 => None,
            Err(_) => {
                self.errors.push(format!("{path}: invalid port: {number}"));
                None
            }
        }
    }

    pub(super) fn duration(&mut self, path: &str, default: Duration) -> Duration {
        self.given_duration(path).unwrap_or(default)
    }

    pub(super) fn given_duration(&mut self, path: &str) -> Option<Duration> {
        let text = self.text(path).filter(|text| !text.is_empty())?;
        Some(self.parse_duration(path, text))
    }

    pub(super) fn parse_duration(&mut self, path: &str, text: &str) -> Duration {
        match duration::parse_nanos(text) {
            Ok(nanos) => Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)),
            Err(error) => {
                self.errors.push(format!("{path}: invalid duration: {text:?}: {error}"));
                Duration::ZERO
            }
        }
    }
}
