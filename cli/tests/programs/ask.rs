//! Questions to running programs, over HTTP and DNS, and waiting for an answer.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    str::FromStr as _,
    time::{Duration, Instant},
};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RData, RecordType},
};
use serde_json::Value;

/// Far more than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer; fails after `limit` with the last reason against it.
#[expect(clippy::disallowed_methods, reason = "a plain thread that watches other processes")]
pub(crate) fn until<T>(limit: Duration, what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(why) if start.elapsed() > limit => panic!("not within {limit:?}: {what}; {why}"),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Waits for a time in which nothing may happen.
#[expect(clippy::disallowed_methods, reason = "a plain thread that watches other processes")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    /// `X-Consul-Index`; 0 without.
    pub(crate) index: u64,
    pub(crate) text: String,
}

impl Page {
    /// The text as JSON, which it must be.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// One request on a connection of its own. Errors when there is no answer at all.
pub(crate) fn http(to: SocketAddr, method: &str, path: &str, body: &[u8]) -> Result<Page, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(LONG))
        .max_idle_connections(0)
        .build()
        .into();
    let url = format!("http://{to}{path}");
    let answer = match method {
        "PUT" => agent.put(url).header("Connection", "close").send(body),
        "DELETE" => agent.delete(url).header("Connection", "close").call(),
        "POST" => agent.post(url).header("Connection", "close").send(body),
        _ => agent.get(url).header("Connection", "close").call(),
    };
    let mut answer = answer.map_err(|e| e.to_string())?;
    let index = answer.headers().get("X-Consul-Index").and_then(|value| value.to_str().ok());
    let index = index.and_then(|text| text.parse().ok()).unwrap_or(0);
    let text = answer.body_mut().read_to_string().map_err(|e| e.to_string())?;
    Ok(Page { status: answer.status().as_u16(), index, text })
}

/// What DNS says: the code, and the records of answer and additional section in short words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Records {
    pub(crate) code: ResponseCode,
    /// `127.0.0.1`, or `1 1 80 web1.node.dc1.consul.`.
    pub(crate) answers: Vec<String>,
    pub(crate) additionals: Vec<String>,
    /// The whole answer records, as `rds.service.consul. 5 IN CNAME db.example.org.`.
    pub(crate) lines: Vec<String>,
}

/// A question in the bytes that go over the wire.
pub(crate) fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut question = Message::new(4711, MessageType::Query, OpCode::Query);
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(Name::from_str(name).unwrap(), kind));
    // Without it an answer over UDP has three records at most.
    question.set_edns({
        let mut edns = Edns::new();
        edns.set_max_payload(4096);
        edns
    });
    question.to_vec().unwrap()
}

/// One question over UDP. Errors when there is no answer within ten seconds.
pub(crate) fn dns(to: SocketAddr, name: &str, kind: RecordType) -> Result<Records, String> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut buffer = [0; 4096];
    let length = socket
        .send_to(&question(name, kind), to)
        .and_then(|_| socket.recv(&mut buffer))
        .map_err(|e| format!("no DNS answer from {to} for {name}: {e}"))?;
    records(&buffer[..length])
}

/// One question over TCP. Errors when there is no answer within ten seconds.
pub(crate) fn dns_over_tcp(to: SocketAddr, name: &str, kind: RecordType) -> Result<Records, String> {
    let ask = || {
        let mut stream = TcpStream::connect(to)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let question = question(name, kind);
        stream.write_all(&[&(question.len() as u16).to_be_bytes(), question.as_slice()].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    records(&ask().map_err(|e| format!("no DNS answer from {to} for {name}: {e}"))?)
}

fn records(answer: &[u8]) -> Result<Records, String> {
    let answer = Message::from_vec(answer).map_err(|e| e.to_string())?;
    let words =
        |records: &[hickory_proto::rr::Record]| records.iter().filter_map(|r| words(&r.data)).collect();
    Ok(Records {
        code: answer.metadata.response_code,
        answers: words(&answer.answers),
        additionals: words(&answer.additionals),
        lines: answer.answers.iter().map(ToString::to_string).collect(),
    })
}

fn words(data: &RData) -> Option<String> {
    match data {
        RData::A(address) => Some(IpAddr::from(address.0).to_string()),
        RData::SRV(srv) => Some(format!("{} {} {} {}", srv.priority, srv.weight, srv.port, srv.target)),
        _ => None,
    }
}
