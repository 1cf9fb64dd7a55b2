//! A blocking HTTP/1.1 client that sends exactly what a scenario says.
//!
//! Client libraries normalise paths, add headers and refuse odd requests; scenarios need those as they stand.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// What a server answered.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case; headers that came several times are joined by `, `.
    pub headers: Vec<(String, String)>,
    /// The body after its transfer coding, its content coding kept.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text, for messages.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Something to send.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `GET`, …
    pub method: String,
    /// Path and query, sent as they stand.
    pub path: String,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// `None` sends no body; with `PUT` and `POST` a length of 0 is told then.
    pub body: Option<Vec<u8>>,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.into(), path: path.into(), ..Self::default() }
    }

    /// A request with a body.
    pub fn with_body(method: &str, path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: Some(body.into()), ..Self::new(method, path) }
    }

    /// Sends it over a connection of its own and waits for the answer, each read for `timeout` at most.
    ///
    /// Errors as the connection does, and when the answer is not HTTP.
    pub fn send(&self, address: SocketAddr, timeout: Duration) -> io::Result<Answer> {
        Connection::open(address, timeout)?.send(self)
    }

    fn bytes(&self, address: SocketAddr) -> Vec<u8> {
        let mut out = format!("{} {} HTTP/1.1\r\nHost: {address}\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            out += &format!("{name}: {value}\r\n");
        }
        if self.body.is_some() || matches!(self.method.as_str(), "PUT" | "POST") {
            out += &format!("Content-Length: {}\r\n", self.body.as_ref().map_or(0, Vec::len));
        }
        out += "\r\n";
        let mut out = out.into_bytes();
        out.extend(self.body.iter().flatten());
        out
    }
}

/// A connection for one request after the other.
///
/// After an error it is of no more use: what was asked may have been done, and what comes next may be its answer.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
}

impl Connection {
    /// Connects within five seconds; each read and write after that takes `timeout` at most.
    pub fn open(address: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), address })
    }

    /// Sends a request and waits for the answer.
    pub fn send(&mut self, request: &Request) -> io::Result<Answer> {
        // A server may answer before it has read all of a body that is too large; its answer counts then.
        let sent = self.stream.get_mut().write_all(&request.bytes(self.address));
        match read_answer(&mut self.stream, &request.method) {
            Err(e) => Err(sent.err().unwrap_or(e)),
            answer => answer,
        }
    }
}

/// `GET path`, with a limit of ten seconds.
pub fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    Request::new("GET", path).send(address, Duration::from_secs(10))
}

/// Percent-encodes all of a path but letters, digits, `/` and `-._~`.
pub fn encode(path: &str) -> String {
    path.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                char::from(b).to_string()
            }
            _ => format!("%{b:02X}"),
        })
        .collect()
}

fn read_answer(input: &mut impl BufRead, method: &str) -> io::Result<Answer> {
    let (status, headers) = loop {
        let (first, headers) = read_head(input)?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        match status.ok_or_else(|| malformed("status line", &first))? {
            100..200 => continue,
            status => break (status, headers),
        }
    };
    let mut answer = Answer { status, headers, body: Vec::new() };
    let bodiless = method == "HEAD" || status == 204 || status == 304;
    if !bodiless {
        answer.body = read_body(input, &answer)?;
    }
    Ok(answer)
}

/// Reads a first line and the headers after it, of a request or an answer.
pub(crate) fn read_head(input: &mut impl BufRead) -> io::Result<(String, Vec<(String, String)>)> {
    let first = read_line(input)?;
    let mut headers: Vec<(String, String)> = Vec::new();
    loop {
        let line = read_line(input)?;
        if line.is_empty() {
            return Ok((first, headers));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| malformed("header", &line))?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        match headers.iter_mut().find(|(n, _)| *n == name) {
            Some((_, before)) => *before = format!("{before}, {value}"),
            None => headers.push((name, value.to_owned())),
        }
    }
}

fn read_body(input: &mut impl BufRead, answer: &Answer) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if answer.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        loop {
            let line = read_line(input)?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(digits, 16).map_err(|_| malformed("chunk size", &line))?;
            read_exactly(input, size, &mut body)?;
            if size == 0 {
                while !read_line(input)?.is_empty() {}
                return Ok(body);
            }
            read_line(input)?;
        }
    }
    match answer.header("content-length").and_then(|length| length.parse().ok()) {
        Some(length) => read_exactly(input, length, &mut body)?,
        None => drop(input.read_to_end(&mut body)?),
    }
    Ok(body)
}

/// Appends exactly so many bytes of the input.
pub(crate) fn read_exactly(input: &mut impl BufRead, size: u64, into: &mut Vec<u8>) -> io::Result<()> {
    let got = input.take(size).read_to_end(into)?;
    if (got as u64) < size { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

fn read_line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    if input.read_until(b'\n', &mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let line = String::from_utf8_lossy(&line);
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn malformed(what: &str, text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no HTTP: {what} {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::{encode, read_answer};

    #[test]
    fn chunks_are_joined_and_interim_answers_skipped() {
        let wire = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nVary: a\r\nvary: b\r\n\
            Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        let answer = read_answer(&mut wire.as_slice(), "GET").unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"abcd".as_slice()));
        assert_eq!(answer.header("vary"), Some("a, b"));
    }

    #[test]
    fn a_body_that_ends_early_is_an_error() {
        let wire = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc";
        assert!(read_answer(&mut wire.as_slice(), "GET").is_err());
        assert!(read_answer(&mut wire.as_slice(), "HEAD").is_ok());
    }

    #[test]
    fn paths_are_encoded_byte_by_byte() {
        assert_eq!(encode("a b/ü"), "a%20b/%C3%BC");
    }
}
