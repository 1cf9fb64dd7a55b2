//! The parameters that every read understands: datacenter, consistency, blocking, cache.

use std::time::Duration;

use http::HeaderMap;

use crate::{duration, header, query::Query};

/// How fresh an answer must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Consistency {
    /// From the leader, under its lease.
    #[default]
    Default,
    /// From a leader that has just confirmed that it leads.
    Consistent,
    /// From any server.
    Stale,
}

impl Consistency {
    /// The value of `X-Consul-Effective-Consistency`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "leader",
            Self::Consistent => "consistent",
            Self::Stale => "stale",
        }
    }
}

/// What a read asks for, apart from what it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// The datacenter; `None` is the local one.
    pub datacenter: Option<String>,
    /// How fresh the answer must be.
    pub consistency: Consistency,
    /// With a stale read: how long the server may not have heard of the leader.
    pub max_stale: Option<Duration>,
    /// Whether an answer from the agent's cache would do.
    pub cached: bool,
    /// Answer at once if 0, else when the answer's index is greater.
    pub index: u64,
    /// How long to wait for that; `None` is the server's default.
    pub wait: Option<Duration>,
    /// A filter expression; `None` when there is none.
    pub filter: Option<String>,
}

/// Why a request's common parameters cannot be; the words are Consul's. All are 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// Both `stale` and `consistent`.
    #[error("Cannot specify ?stale with ?consistent, conflicting semantics.")]
    StaleAndConsistent,
    /// Both `cached` and `consistent`.
    #[error("Cannot specify ?cached with ?consistent, conflicting semantics.")]
    CachedAndConsistent,
    /// `max_stale` is no duration.
    #[error("Invalid max_stale value {0:?}")]
    MaxStale(String),
    /// The `Cache-Control` header cannot be read.
    #[error("Invalid Cache-Control header.")]
    CacheControl,
    /// `wait` is no duration.
    #[error("Invalid wait time")]
    Wait,
    /// `index` is no number.
    #[error("Invalid index")]
    Index,
    /// Namespaces asked for in the query string.
    #[error("Invalid query parameter: \"ns\" - Namespaces are a Consul Enterprise feature")]
    NamespaceParameter,
    /// Namespaces asked for in a header.
    #[error("Invalid header: \"X-Consul-Namespace\" - Namespaces are a Consul Enterprise feature")]
    NamespaceHeader,
    /// Partitions asked for in the query string.
    #[error("Invalid query parameter: \"partition\" - Partitions are a Consul Enterprise feature")]
    PartitionParameter,
    /// Partitions asked for in a header.
    #[error("Invalid header: \"X-Consul-Partition\" - Partitions are a Consul Enterprise feature")]
    PartitionHeader,
}

impl ReadOptions {
    /// Reads the common parameters.
    pub fn parse(query: &Query, headers: &HeaderMap) -> Result<Self, OptionsError> {
        let mut options = Self {
            datacenter: datacenter(query),
            filter: query.filled("filter").map(|f| f.into_owned()),
            cached: query.has("cached"),
            ..Self::default()
        };
        options.read_consistency(query)?;
        CacheControl::read(headers)?;
        (options.index, options.wait) = blocking(query)?;
        Ok(options)
    }

    fn read_consistency(&mut self, query: &Query) -> Result<(), OptionsError> {
        let mut stale = query.has("stale");
        if let Some(text) = query.filled("max_stale") {
            let nanos = duration::parse_nanos(&text)
                .map_err(|_| OptionsError::MaxStale(text.clone().into_owned()))?;
            self.max_stale = u64::try_from(nanos).ok().filter(|n| *n > 0).map(Duration::from_nanos);
            stale |= self.max_stale.is_some();
        }
        let consistent = query.has("consistent");
        if stale && consistent {
            return Err(OptionsError::StaleAndConsistent);
        }
        if self.cached && consistent {
            return Err(OptionsError::CachedAndConsistent);
        }
        self.consistency = match (stale, consistent) {
            (true, _) => Consistency::Stale,
            (_, true) => Consistency::Consistent,
            _ => Consistency::Default,
        };
        Ok(())
    }
}

/// What makes a question wait: `index`, 0 without one, and `wait`.
pub fn blocking(query: &Query) -> Result<(u64, Option<Duration>), OptionsError> {
    let wait = match query.filled("wait") {
        None => None,
        Some(wait) => {
            let nanos = duration::parse_nanos(&wait).map_err(|_| OptionsError::Wait)?;
            u64::try_from(nanos).ok().filter(|nanos| *nanos > 0).map(Duration::from_nanos)
        }
    };
    let index = query.filled("index").map(|index| crate::query::parse_u64(&index)).transpose();
    Ok((index.map_err(|_| OptionsError::Index)?.unwrap_or(0), wait))
}

/// The datacenter a request names: `datacenter` wins over `dc`, an empty one is the local one.
pub fn datacenter(query: &Query) -> Option<String> {
    let named = query.filled("datacenter").or_else(|| query.filled("dc"));
    named.map(|name| name.into_owned())
}

/// Refuses namespaces and partitions, which only Consul Enterprise has.
pub fn refuse_enterprise(query: &Query, headers: &HeaderMap) -> Result<(), OptionsError> {
    if headers.contains_key(header::NAMESPACE) {
        return Err(OptionsError::NamespaceHeader);
    }
    if query.filled("ns").is_some() {
        return Err(OptionsError::NamespaceParameter);
    }
    refuse_partition(query, headers)
}

/// Refuses partitions alone, for the endpoints that ignore namespaces.
pub fn refuse_partition(query: &Query, headers: &HeaderMap) -> Result<(), OptionsError> {
    if headers.contains_key(header::PARTITION) {
        return Err(OptionsError::PartitionHeader);
    }
    match query.filled("partition") {
        Some(_) => Err(OptionsError::PartitionParameter),
        None => Ok(()),
    }
}

/// What a client says of kept answers: `Cache-Control: max-age=10, must-revalidate`. Answers are never kept too long, so an error
/// need not be bridged by `stale-if-error`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheControl {
    /// How old an answer may be; `None` when nobody said, or less than nothing.
    pub max_age: Option<Duration>,
    /// Whether it must be asked for anew.
    pub must_revalidate: bool,
}

impl CacheControl {
    /// Reads the header.
    pub fn read(headers: &HeaderMap) -> Result<Self, OptionsError> {
        let mut control = Self::default();
        let Some(value) = headers.get(http::header::CACHE_CONTROL) else { return Ok(control) };
        let text = value.to_str().map_err(|_| OptionsError::CacheControl)?.to_ascii_lowercase();
        for directive in text.split(',').map(str::trim) {
            control.must_revalidate |= directive == "must-revalidate";
            if let Some((name, seconds)) = directive.split_once('=')
                && matches!(name.trim(), "max-age" | "stale-if-error")
            {
                let seconds = seconds.trim().parse::<i64>().map_err(|_| OptionsError::CacheControl)?;
                if name.trim() == "max-age" {
                    control.max_age = u64::try_from(seconds).ok().map(Duration::from_secs);
                }
            }
        }
        Ok(control)
    }

    /// Whether an answer of this age does.
    pub fn allows(self, age: Duration) -> bool {
        !self.must_revalidate && self.max_age.is_none_or(|most| age <= most && !most.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ReadOptions, OptionsError> {
        ReadOptions::parse(&Query::parse(text).unwrap(), &HeaderMap::new())
    }

    #[test]
    fn reads_what_blocks_and_how_fresh() {
        let options = read("index=7&wait=15000ms&stale=false&dc=x&datacenter=dc2").unwrap();
        assert_eq!((options.index, options.wait), (7, Some(Duration::from_secs(15))));
        assert_eq!((options.consistency, options.datacenter.as_deref()), (Consistency::Stale, Some("dc2")));
        assert_eq!(read("max_stale=10s").unwrap().consistency, Consistency::Stale);
        assert_eq!(read("max_stale=0s&leader").unwrap().consistency, Consistency::Default);
        assert_eq!(read("wait=&index=&wait=1s&dc="), Ok(ReadOptions::default()));
        assert_eq!(read("wait=-5s&index=0"), Ok(ReadOptions::default()));
    }

    #[test]
    fn refuses_with_consuls_words() {
        let said = |text| read(text).unwrap_err().to_string();
        assert_eq!(said("wait=60&index=x"), "Invalid wait time");
        assert_eq!(said("wait=1e0s"), "Invalid wait time");
        assert_eq!(said("index=-1"), "Invalid index");
        assert_eq!(said("max_stale=abc"), "Invalid max_stale value \"abc\"");
        assert_eq!(
            said("stale&consistent"),
            "Cannot specify ?stale with ?consistent, conflicting semantics."
        );
        assert_eq!(
            said("cached&consistent"),
            "Cannot specify ?cached with ?consistent, conflicting semantics."
        );
    }

    #[test]
    fn understands_cache_control() {
        let check = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(http::header::CACHE_CONTROL, value.parse().unwrap());
            CacheControl::read(&headers)
        };
        for (fine, max_age, must_revalidate) in [
            ("max-age=10", Some(10), false),
            ("max-age=-1", None, false),
            ("Must-Revalidate, stale-if-error=3", None, true),
            ("private, max-age=0", Some(0), false),
            ("no-cache", None, false),
        ] {
            let max_age = max_age.map(Duration::from_secs);
            assert_eq!(check(fine), Ok(CacheControl { max_age, must_revalidate }), "{fine}");
        }
        for bad in ["max-age=x", "stale-if-error="] {
            assert_eq!(check(bad), Err(OptionsError::CacheControl), "{bad}");
        }
    }
}
