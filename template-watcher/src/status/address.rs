//! Where the status is asked for: a TCP address or a unix socket.

use std::{fmt, path::PathBuf};

/// A listening address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// `127.0.0.1:8502`.
    Tcp(String),
    /// `unix:///run/ryo-watch.sock`, or the path alone.
    Unix(PathBuf),
}

impl Address {
    /// Reads an address. Errors when it is neither a path nor a host with a port.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix://").or(text.starts_with('/').then_some(text)) {
            return Ok(Self::Unix(path.into()));
        }
        let text = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let port = text.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        match port {
            Some(_) => Ok(Self::Tcp(text.to_owned())),
            None => Err(format!("{text:?} is no address: write HOST:PORT or unix:///PATH")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(Address::parse("127.0.0.1:80"), Ok(Address::Tcp("127.0.0.1:80".into())));
        assert_eq!(Address::parse("http://[::1]:80/"), Ok(Address::Tcp("[::1]:80".into())));
        assert_eq!(Address::parse("unix:///run/a"), Ok(Address::Unix("/run/a".into())));
        assert_eq!(Address::parse("/run/a"), Ok(Address::Unix("/run/a".into())));
        for text in ["", "localhost", "localhost:x", "a/b"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
