//! URLs, taken apart and put together as Go's `net/url` does it.

use std::net::{Ipv4Addr, Ipv6Addr};

use go_template::fmt::quoted;
use go_template::{Key, Type, Value};

use super::convert::kind;
use crate::functions::{Context, bytes};

/// A part of a URL: which bytes may stand in it as they are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    User,
    Host,
    Zone,
    Path,
    Fragment,
}

/// What a URL is made of, without escapes.
#[derive(Default)]
struct Url {
    scheme: Vec<u8>,
    opaque: Vec<u8>,
    /// Name and password.
    user: Option<(Vec<u8>, Option<Vec<u8>>)>,
    host: Vec<u8>,
    path: Vec<u8>,
    query: Vec<u8>,
    fragment: Vec<u8>,
}

type Read<T> = Result<T, String>;

/// The parts of a URL.
pub(super) fn parse(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let text = bytes(&args[0]);
    let (before, fragment) = cut(text, b'#').unwrap_or((text, b""));
    let refused =
        |text: &[u8], reason: String| format!("unable to parse url: parse {}: {reason}", quoted(text));
    let url = Url::read(before).map_err(|reason| refused(before, reason))?;
    let fragment = unescaped(fragment, Part::Fragment).map_err(|reason| refused(text, reason))?;
    let parts = [
        ("userinfo", url.user_info()),
        ("hostname", host_name(&url.host).to_vec()),
        ("scheme", url.scheme),
        ("host", url.host),
        ("path", url.path),
        ("query", url.query),
        ("opaque", url.opaque),
        ("fragment", fragment),
    ];
    let entries = parts.into_iter().map(|(name, part)| (Key::text(name), Value::from(part)));
    Ok(Value::map(Type::ANY_MAP, entries.collect()))
}

/// A URL from its parts.
pub(super) fn join(_: &Context<'_>, args: &[Value]) -> Result<Value, String> {
    let part = |name: &str| match &args[0] {
        Value::Map(map) => match map.entries().get(&Key::text(name)) {
            None => Ok(Vec::new()),
            Some(Value::Str(text)) => Ok(text.to_vec()),
            Some(other) => {
                let kind = kind(other);
                Err(format!("unable to parse {name} key, must be of type string, but {kind} found"))
            }
        },
        _ => Ok(Vec::new()),
    };
    let mut url = Url {
        scheme: part("scheme")?,
        host: part("host")?,
        path: part("path")?,
        query: part("query")?,
        opaque: part("opaque")?,
        fragment: part("fragment")?,
        user: None,
    };
    let user = part("userinfo")?;
    if !user.is_empty() {
        let text = [b"proto://", user.as_slice(), b"@host"].concat();
        let before = cut(&text, b'#').map_or(text.as_slice(), |(before, _)| before);
        let read = Url::read(before);
        let refused =
            |reason| format!("unable to parse userinfo in dict: parse {}: {reason}", quoted(before));
        url.user = read.map_err(refused)?.user;
    }
    Ok(Value::from(url.written()))
}

impl Url {
    /// Reads a URL without its fragment.
    fn read(text: &[u8]) -> Read<Self> {
        if text.iter().any(|byte| *byte < b' ' || *byte == 0x7f) {
            return Err("net/url: invalid control character in URL".to_owned());
        }
        let mut url = Url::default();
        if text == b"*" {
            url.path = b"*".to_vec();
            return Ok(url);
        }
        let (scheme, rest) = scheme(text)?;
        url.scheme = scheme.to_ascii_lowercase();
        let (rest, query) = cut(rest, b'?').unwrap_or((rest, b""));
        url.query = query.to_vec();
        if !rest.starts_with(b"/") {
            if !scheme.is_empty() {
                url.opaque = rest.to_vec();
                return Ok(url);
            }
            if has_colon(rest) {
                return Err("first path segment in URL cannot contain colon".to_owned());
            }
        }
        let has_authority = !scheme.is_empty() || !rest.starts_with(b"///");
        let path = match rest.strip_prefix(b"//").filter(|_| has_authority) {
            Some(rest) => {
                let (authority, path) = rest.split_at(position(rest, b'/').unwrap_or(rest.len()));
                url.read_authority(authority)?;
                path
            }
            None => rest,
        };
        url.path = unescaped(path, Part::Path)?;
        Ok(url)
    }

    fn read_authority(&mut self, authority: &[u8]) -> Read<()> {
        let (user, host) = match authority.iter().rposition(|byte| *byte == b'@') {
            Some(at) => (Some(&authority[..at]), &authority[at + 1..]),
            None => (None, authority),
        };
        self.host = read_host(&self.scheme, host)?;
        let Some(user) = user else { return Ok(()) };
        if !user.iter().all(|b| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(b)) {
            return Err("net/url: invalid userinfo".to_owned());
        }
        self.user = Some(match cut(user, b':') {
            Some((name, password)) => (unescaped(name, Part::User)?, Some(unescaped(password, Part::User)?)),
            None => (unescaped(user, Part::User)?, None),
        });
        Ok(())
    }

    fn user_info(&self) -> Vec<u8> {
        match &self.user {
            None => Vec::new(),
            Some((name, None)) => escaped(name, Part::User),
            Some((name, Some(password))) => {
                [escaped(name, Part::User), escaped(password, Part::User)].join(&b':')
            }
        }
    }

    fn written(&self) -> Vec<u8> {
        let mut out = self.scheme.clone();
        if !self.scheme.is_empty() {
            out.push(b':');
        }
        if self.opaque.is_empty() {
            self.write_place(&mut out);
        } else {
            out.extend_from_slice(&self.opaque);
        }
        if !self.query.is_empty() {
            out.push(b'?');
            out.extend_from_slice(&self.query);
        }
        if !self.fragment.is_empty() {
            out.push(b'#');
            out.extend(escaped(&self.fragment, Part::Fragment));
        }
        out
    }

    fn write_place(&self, out: &mut Vec<u8>) {
        let has_place = !self.host.is_empty() || self.user.is_some();
        if has_place || (!self.scheme.is_empty() && !self.path.is_empty()) {
            out.extend_from_slice(b"//");
            if self.user.is_some() {
                out.extend(self.user_info());
                out.push(b'@');
            }
            out.extend(escaped(&self.host, Part::Host));
        }
        let path = if self.path == b"*" { self.path.clone() } else { escaped(&self.path, Part::Path) };
        if !path.is_empty() && !path.starts_with(b"/") && !self.host.is_empty() {
            out.push(b'/');
        }
        // A path that would be read as a scheme.
        if out.is_empty() && has_colon(&path) {
            out.extend_from_slice(b"./");
        }
        out.extend(path);
    }
}

fn position(text: &[u8], wanted: u8) -> Option<usize> {
    text.iter().position(|byte| *byte == wanted)
}

fn cut(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    position(text, at).map(|at| (&text[..at], &text[at + 1..]))
}

/// Whether there is a colon before the first slash.
fn has_colon(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').next().is_some_and(|segment| segment.contains(&b':'))
}

/// The scheme and what follows its colon.
fn scheme(text: &[u8]) -> Read<(&[u8], &[u8])> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let length = text.iter().take_while(|byte| is_part(byte)).count();
    match text.get(length) {
        Some(b':') if length == 0 => Err("missing protocol scheme".to_owned()),
        Some(b':') if text[0].is_ascii_alphabetic() => Ok((&text[..length], &text[length + 1..])),
        _ => Ok((b"", text)),
    }
}

fn read_host(scheme: &[u8], host: &[u8]) -> Read<Vec<u8>> {
    match host.iter().rposition(|byte| *byte == b'[') {
        Some(0) => return read_address(host),
        Some(_) => return Err("invalid IP-literal".to_owned()),
        None => {}
    }
    // Only with these schemes a colon may stand nowhere but before the port.
    let is_strict = matches!(scheme, b"http" | b"https");
    let colon = if is_strict { position(host, b':') } else { host.iter().rposition(|byte| *byte == b':') };
    if let Some(at) = colon {
        check_port(&host[at..])?;
    }
    unescaped(host, Part::Host)
}

/// An address in brackets, and perhaps a port.
fn read_address(host: &[u8]) -> Read<Vec<u8>> {
    let end = host.iter().rposition(|byte| *byte == b']').ok_or("missing ']' in host")?;
    check_port(&host[end + 1..])?;
    let name = &host[1..end];
    let zone = name.windows(3).position(|window| window == b"%25").unwrap_or(name.len());
    let name = [unescaped(&name[..zone], Part::Host)?, unescaped(&name[zone..], Part::Zone)?].concat();
    let text = String::from_utf8_lossy(&name);
    let (address, zone) = text.split_once('%').unwrap_or((&text, "-"));
    if address.parse::<Ipv4Addr>().is_ok() {
        return Err("invalid IP-literal".to_owned());
    }
    if address.parse::<Ipv6Addr>().is_err() || zone.is_empty() {
        return Err(format!("invalid host: ParseAddr({}): unable to parse IP", quoted(&name)));
    }
    Ok([b"[", name.as_slice(), b"]", &host[end + 1..]].concat())
}

fn is_port(text: &[u8]) -> bool {
    match text {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn check_port(text: &[u8]) -> Read<()> {
    if is_port(text) { Ok(()) } else { Err(format!("invalid port {} after host", quoted(text))) }
}

/// A host without its port and brackets.
fn host_name(host: &[u8]) -> &[u8] {
    let colon = host.iter().rposition(|byte| *byte == b':').filter(|at| is_port(&host[*at..]));
    let host = &host[..colon.unwrap_or(host.len())];
    host.strip_prefix(b"[").and_then(|inner| inner.strip_suffix(b"]")).unwrap_or(host)
}

/// Whether a byte stands for itself in a part.
fn is_plain(byte: u8, part: Part) -> bool {
    let more: &[u8] = match part {
        Part::User => b"$&+,;=",
        Part::Host | Part::Zone => b"!$&'()*+,;=:[]<>\"",
        Part::Path => b"$&+,/:;=@",
        Part::Fragment => b"$&+,/:;=?@!()*",
    };
    byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || more.contains(&byte)
}

fn escaped(text: &[u8], part: Part) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if is_plain(*byte, part) {
            out.push(*byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out
}

fn unescaped(text: &[u8], part: Part) -> Read<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'%' {
            if matches!(part, Part::Host | Part::Zone) && byte.is_ascii() && !is_plain(*byte, part) {
                return Err(format!("invalid character {} in host name", quoted(&[*byte])));
            }
            out.push(*byte);
            continue;
        }
        let digits = tail.get(..2).unwrap_or(tail);
        let refused = || format!("invalid URL escape {}", quoted(&[b"%", digits].concat()));
        let code = match digits {
            [high, low] => digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        let code = code.ok_or_else(refused)?;
        if part == Part::Host && code.is_ascii() && code != b'%' {
            return Err(refused());
        }
        out.push(code);
        rest = &tail[2..];
    }
    Ok(out)
}
