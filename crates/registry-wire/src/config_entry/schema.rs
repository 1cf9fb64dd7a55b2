//! How a kind's fields are described: name, what it holds, when it is shown.

/// A field of an object, in the order in which it is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// As it is shown: `MaxInboundConnections`. `max_inbound_connections` is read as well, both in any case.
    pub(super) name: &'static str,
    pub(super) holds: Holds,
    pub(super) show: Show,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Holds {
    Text,
    Flag,
    /// A signed whole number.
    Number,
    /// A whole number of so many bits without sign; a negative one wraps around, as in Consul.
    Count(u32),
    /// A number with single precision.
    Float,
    /// A duration, shown as a text: `"1m30s"`.
    Duration,
    /// A duration, shown as a number of nanoseconds.
    Nanos,
    Texts,
    Numbers,
    /// Texts by name.
    TextMap,
    /// Anything by name.
    AnyMap,
    Object(&'static [Field]),
    Objects(&'static [Field]),
    /// Objects by name.
    ObjectMap(&'static [Field]),
}

/// When a field is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// Always: what was not given as its zero value (`""`, 0, `false`, `null` for lists and maps).
    Always,
    /// When it is not its zero value and not empty.
    Filled,
    /// When it was given, be it as zero.
    Given,
    /// Always; `null` when it was not given.
    OrNull,
    /// Read and checked, never shown.
    Never,
}

/// A field that is shown when it is not empty.
pub(super) const fn filled(name: &'static str, holds: Holds) -> Field {
    Field { name, holds, show: Show::Filled }
}

/// A field that is always shown.
pub(super) const fn always(name: &'static str, holds: Holds) -> Field {
    Field { name, holds, show: Show::Always }
}

/// A field that is shown when it was given.
pub(super) const fn given(name: &'static str, holds: Holds) -> Field {
    Field { name, holds, show: Show::Given }
}

/// A field that is `null` when it was not given.
pub(super) const fn or_null(name: &'static str, holds: Holds) -> Field {
    Field { name, holds, show: Show::OrNull }
}

/// A field that is read and not shown.
pub(super) const fn never(name: &'static str, holds: Holds) -> Field {
    Field { name, holds, show: Show::Never }
}

impl Field {
    /// Whether a key of a body means this field.
    pub(super) fn is(&self, key: &str) -> bool {
        self.name.eq_ignore_ascii_case(key) || snake(self.name).eq_ignore_ascii_case(key)
    }
}

/// `TLSMinVersion` as `tls_min_version`, `EnforcingConsecutive5xx` as `enforcing_consecutive_5xx`.
fn snake(name: &str) -> String {
    let bytes = name.as_bytes();
    let mut out = String::with_capacity(name.len() + 4);
    for (at, byte) in bytes.iter().enumerate() {
        let before = at.checked_sub(1).map(|i| bytes[i]);
        let starts_word = match before {
            None => false,
            Some(before) if byte.is_ascii_uppercase() => {
                !before.is_ascii_uppercase() || bytes.get(at + 1).is_some_and(u8::is_ascii_lowercase)
            }
            Some(before) => byte.is_ascii_digit() && before.is_ascii_lowercase(),
        };
        if starts_word {
            out.push('_');
        }
        out.push(byte.to_ascii_lowercase() as char);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_form_with_underscores() {
        for (name, form) in [
            ("TLSMinVersion", "tls_min_version"),
            ("EnforcingConsecutive5xx", "enforcing_consecutive_5xx"),
            ("MutualTLSMode", "mutual_tls_mode"),
            ("ExternalSNI", "external_sni"),
            ("JSONWebKeySet", "json_web_key_set"),
            ("SanitizeXForwardedClientCert", "sanitize_x_forwarded_client_cert"),
            ("HTTP", "http"),
            ("CAFile", "ca_file"),
        ] {
            assert_eq!(snake(name), form);
            assert!(filled("MaxConnections", Holds::Number).is("max_connections"));
        }
    }
}
