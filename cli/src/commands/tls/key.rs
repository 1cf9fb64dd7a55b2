//! Keys on the curve P-256 in the form that OpenSSL writes (SEC 1, RFC 5915), which our library does not speak.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rcgen::KeyPair;
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};

/// The bytes before the private number and between it and the public point, in PKCS #8 (RFC 5958).
const PKCS8: (&[u8], &[u8]) = (
    &[
        0x30, 0x81, 0x87, 2, 1, 0, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 3, 1, 7, 4, 0x6d, 0x30, 0x6b, 2, 1, 1, 4, 0x20,
    ],
    &[0xa1, 0x44, 3, 0x42, 0],
);
/// The same in SEC 1.
const SEC1: (&[u8], &[u8]) = (
    &[0x30, 0x77, 2, 1, 1, 4, 0x20],
    &[0xa0, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7, 0xa1, 0x44, 3, 0x42, 0],
);
/// The length of the private number.
const NUMBER: usize = 32;
/// The length of the public point.
const POINT: usize = 65;

/// A new key.
pub(super) fn make() -> Result<KeyPair, String> {
    KeyPair::generate().map_err(|e| format!("cannot make a key: {e}"))
}

/// The key as `-----BEGIN EC PRIVATE KEY-----`.
pub(super) fn pem(key: &KeyPair) -> String {
    let der =
        rewrap(key.serialized_der(), PKCS8, SEC1).expect("the library writes keys on P-256 in this one form");
    let text = BASE64_STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned() + "\n");
    format!("-----BEGIN EC PRIVATE KEY-----\n{}-----END EC PRIVATE KEY-----\n", lines.collect::<String>())
}

/// Reads a key, SEC 1 or PKCS #8.
pub(super) fn read(text: &str) -> Result<KeyPair, String> {
    let found = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| match block(text) {
        Some(name) => format!("unknown PEM block type for signing key: {name}"),
        None => "no PEM-encoded data found".into(),
    })?;
    match found {
        PrivateKeyDer::Sec1(der) => {
            let der = rewrap(der.secret_sec1_der(), SEC1, PKCS8)
                .ok_or("a key of this kind must be on the curve P-256, or written as PKCS #8")?;
            KeyPair::try_from(der).map_err(|e| e.to_string())
        }
        other => KeyPair::try_from(&other).map_err(|e| e.to_string()),
    }
}

/// What the first block of a PEM text is called.
pub(super) fn block(text: &str) -> Option<&str> {
    text.split_once("-----BEGIN ")?.1.split_once("-----").map(|(name, _)| name)
}

/// The same number and point between other bytes; `None` when it is no key of that form.
fn rewrap(der: &[u8], from: (&[u8], &[u8]), to: (&[u8], &[u8])) -> Option<Vec<u8>> {
    let (number, rest) = der.strip_prefix(from.0)?.split_at_checked(NUMBER)?;
    let point = rest.strip_prefix(from.1).filter(|point| point.len() == POINT)?;
    Some([to.0, number, to.1, point].concat())
}

#[cfg(test)]
mod tests {
    use super::{make, pem, read};

    #[test]
    fn a_key_survives_its_file() {
        let key = make().expect("there is randomness");
        let text = pem(&key);
        assert!(text.starts_with("-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE"), "{text}");
        assert_eq!(read(&text).expect("we wrote it").serialized_der(), key.serialized_der());
        assert_eq!(read(&key.serialize_pem()).expect("PKCS #8").serialized_der(), key.serialized_der());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let why = |text: &str| read(text).err().unwrap_or_default();
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(why(certificate), "unknown PEM block type for signing key: CERTIFICATE");
        assert_eq!(why("x"), "no PEM-encoded data found");
        assert!(
            why("-----BEGIN EC PRIVATE KEY-----\nMAMCAQE=\n-----END EC PRIVATE KEY-----\n").contains("P-256")
        );
    }
}
