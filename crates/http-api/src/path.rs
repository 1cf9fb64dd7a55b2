//! Paths: which are served, which are redirected, which are refused.

use std::borrow::Cow;

use http::{
    HeaderValue, Method, StatusCode,
    header::{CONTENT_TYPE, LOCATION},
};

use crate::{Answer, answer::TEXT};

/// A path without `//`, `/./` and `/../`, a slash at its end kept: `/v1//kv/../x/` is `/v1/x/`.
pub fn clean(path: &str) -> Cow<'_, str> {
    let dirty = !path.starts_with('/')
        || path.contains("//")
        || path.contains("/./")
        || path.contains("/../")
        || path.ends_with("/.")
        || path.ends_with("/..");
    if !dirty {
        return Cow::Borrowed(path);
    }
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(kept.pop()),
            part => kept.push(part),
        }
    }
    let end = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    Cow::Owned(format!("/{}{end}", kept.join("/")))
}

/// Whether every character of a decoded path can be printed: no control or format characters, no spaces but U+0020.
/// Bytes that are not UTF-8 can.
pub fn is_printable(path: &[u8]) -> bool {
    if path.iter().all(|b| (0x20..0x7f).contains(b)) {
        return true;
    }
    path.utf8_chunks().flat_map(|chunk| chunk.valid().chars()).all(|c| {
        // The standard library tells what can be printed only through its escapes; after another character, so
        // that combining marks count as printable.
        matches!(c, '"' | '\'' | '\\') || format!("a{c}").escape_debug().nth(1) == Some(c)
    })
}

/// A redirect as Go's server writes it: GET and HEAD get a page with the link.
pub(crate) fn redirect(method: &Method, status: StatusCode, to: &str) -> Answer {
    let Ok(location) = HeaderValue::from_str(to) else {
        return Answer::text(StatusCode::BAD_REQUEST, "400 Bad Request");
    };
    let page = matches!(*method, Method::GET | Method::HEAD);
    let answer = if page {
        let reason = status.canonical_reason().unwrap_or_default();
        let link = to.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;");
        Answer::bytes(
            HeaderValue::from_static("text/html; charset=utf-8"),
            format!("<a href=\"{}\">{reason}</a>.\n\n", link.replace('\'', "&#39;")),
        )
    } else {
        Answer::empty()
    };
    answer.status(status).with(LOCATION, location)
}

/// The answer at a path that nothing is at.
pub(crate) fn unknown(path: &str) -> Answer {
    let text = if path.contains("/v1/") {
        "Invalid URL path: not a recognized HTTP API endpoint\n"
    } else {
        "Invalid URL path: if attempting to use the HTTP API, ensure the path starts with '/v1/'\n"
    };
    Answer::text(StatusCode::NOT_FOUND, text).with(CONTENT_TYPE, TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleans_as_go() {
        for (path, cleaned) in [
            ("/v1/kv//lead2", "/v1/kv/lead2"),
            ("/v1/kv/../catalog/datacenters", "/v1/catalog/datacenters"),
            ("//v1/./x/", "/v1/x/"),
            ("/../..", "/"),
            ("/a/b/..", "/a"),
            ("/a/.", "/a"),
            ("/", "/"),
            ("//", "/"),
        ] {
            assert_eq!(clean(path), cleaned, "{path}");
        }
        assert!(matches!(clean("/v1/kv/a..b/.c/"), Cow::Borrowed(_)));
    }

    #[test]
    fn tells_what_can_be_printed() {
        for fine in ["a b", "grün ✓", "\"'\\", "e\u{301}", "日本", "\u{fffd}"] {
            assert!(is_printable(fine.as_bytes()), "{fine:?}");
        }
        assert!(is_printable(b"/v1/kv/\xff\xfe"));
        for bad in ["\n", "a\u{0}", "\u{7f}", "\u{a0}", "\u{2028}", "\u{200b}", "\u{e000}"] {
            assert!(!is_printable(bad.as_bytes()), "{bad:?}");
        }
    }
}
