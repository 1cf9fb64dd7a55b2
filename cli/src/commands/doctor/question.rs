//! One question to a name server, to see whether it answers at all.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(2);
/// The question's number; one question a socket needs no secret.
const ID: [u8; 2] = [0x72, 0x79];

/// Whether a server knows an address of this name.
pub(super) fn answers(server: SocketAddr, name: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let own: SocketAddr = match server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(own)?;
        socket.set_read_timeout(Some(LIMIT))?;
        socket.connect(server)?;
        socket.send(&message(name))?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer)?;
        Ok(is_found(&answer[..length]))
    };
    ask().unwrap_or(false)
}

/// A question for addresses of a name (RFC 1035 §4.1).
fn message(name: &str) -> Vec<u8> {
    let mut out = ID.to_vec();
    out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let bytes = &label.as_bytes()[..label.len().min(63)];
        out.push(u8::try_from(bytes.len()).expect("a label was cut to 63 bytes"));
        out.extend_from_slice(bytes);
    }
    out.extend([0, 0, 1, 0, 1]);
    out
}

/// Whether it is our question's answer, without an error.
fn is_found(answer: &[u8]) -> bool {
    answer.len() >= 12
        && answer[..2] == ID
        && answer[2] & 0x80 != 0
        && answer[3] & 0x0f == 0
        && answer[6..8] != [0, 0]
}

#[cfg(test)]
mod tests {
    use super::{is_found, message};

    #[test]
    fn a_question_is_a_head_and_labels() {
        let question = message("a.consul.");
        assert_eq!(question[..12], [0x72, 0x79, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(question[12..], *b"\x01a\x06consul\0\0\x01\0\x01");
    }

    #[test]
    fn only_an_answer_with_records_counts() {
        let answer = |flags: u8, code: u8, count: u8| [0x72, 0x79, flags, code, 0, 1, 0, count, 0, 0, 0, 0];
        assert!(is_found(&answer(0x85, 0x80, 1)));
        assert!(!is_found(&answer(0x85, 0x83, 0)) && !is_found(&answer(0x01, 0, 1)) && !is_found(b"x"));
    }
}
