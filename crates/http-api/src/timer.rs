//! How long requests take: the metric `api.http`.

use std::{sync::OnceLock, time::Instant};

use http::Method;
use metrics::{Histogram, histogram};

const METHODS: [Method; 5] = [Method::GET, Method::PUT, Method::DELETE, Method::POST, Method::OPTIONS];

/// Times the requests to one endpoint, at the cost of a lock that nobody else wants.
#[derive(Debug)]
pub(crate) struct Timer {
    name: String,
    /// By method; the last one is for all that are not [`METHODS`].
    by_method: [OnceLock<Histogram>; METHODS.len() + 1],
}

impl Timer {
    /// The timer of the endpoint at this path.
    pub(crate) fn new(path: &str) -> Self {
        Self { name: path.trim_start_matches('/').replace('/', "_"), by_method: Default::default() }
    }

    /// The endpoint as metrics name it: `v1_kv_`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Notes how long a request took.
    pub(crate) fn took(&self, method: &Method, start: Instant) {
        let at = METHODS.iter().position(|known| known == method).unwrap_or(METHODS.len());
        let histogram = self.by_method[at].get_or_init(|| of(method, self.name.clone()));
        histogram.record(start.elapsed().as_secs_f64() * 1000.0);
    }
}

/// Notes how long a request took that an endpoint of this name, `v1_kv_`, answered elsewhere.
pub fn took_elsewhere(method: &Method, name: &str, start: Instant) {
    of(method, name.to_owned()).record(start.elapsed().as_secs_f64() * 1000.0);
}

fn of(method: &Method, path: String) -> Histogram {
    // Clients may make methods up; each would be a series of its own.
    let known = METHODS.iter().find(|known| *known == method).map_or("OTHER".to_owned(), ToString::to_string);
    histogram!("api.http", "method" => known, "path" => path)
}
