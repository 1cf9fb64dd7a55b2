use std::{fs, path::Path};

use rcgen::{CertificateParams, KeyPair};

use super::*;

fn settings(folder: &Path, certificate: &str, key: &str) -> HttpsTls {
    HttpsTls {
        places: Vec::new(),
        ca_file: None,
        ca_path: None,
        cert_file: Some(folder.join(certificate)),
        key_file: Some(folder.join(key)),
        verify_incoming: false,
        min_version: TlsVersion::V1_2,
        cipher_suites: Vec::new(),
    }
}

fn write_pair(folder: &Path, name: &str) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
    fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

fn refused(settings: &HttpsTls) -> String {
    server_config(settings).map_or_else(|error| error.to_string(), |_| "fine".into())
}

#[test]
fn what_is_wrong_with_files_is_said_in_consuls_words() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_pair(folder, "a");
    write_pair(folder, "b");
    fs::write(folder.join("empty"), "subject = x\n").unwrap();
    assert_eq!(refused(&settings(folder, "a.pem", "a.key")), "fine");
    let gone = folder.join("gone").display().to_string();
    for (settings, said) in [
        (
            settings(folder, "gone", "gone"),
            format!("Failed to load cert/key pair: open {gone}: no such file or directory"),
        ),
        (
            settings(folder, "a.pem", "b.key"),
            "Failed to load cert/key pair: tls: private key does not match public key".into(),
        ),
        (
            settings(folder, "empty", "a.key"),
            "Failed to load cert/key pair: tls: failed to find any PEM data in certificate input".into(),
        ),
        (
            HttpsTls { ca_file: Some(folder.join("gone")), ..settings(folder, "a.pem", "a.key") },
            format!("Error loading from {gone}: open {gone}: no such file or directory"),
        ),
        (
            HttpsTls { verify_incoming: true, ..settings(folder, "a.pem", "a.key") },
            "VerifyIncoming set but no CA certificates were provided".into(),
        ),
        (
            HttpsTls {
                verify_incoming: true,
                ca_file: Some(folder.join("b.pem")),
                cert_file: None,
                ..settings(folder, "a.pem", "a.key")
            },
            "VerifyIncoming requires either a Cert and Key pair in the configuration file, or auto_encrypt/auto_config be enabled".into(),
        ),
    ] {
        assert_eq!(refused(&settings), said);
    }
    let without = HttpsTls { cert_file: None, ..settings(folder, "a.pem", "a.key") };
    assert!(server_config(&without).unwrap().is_none());
}

#[test]
fn versions_and_suites_are_those_that_were_chosen() {
    let folder = tempfile::tempdir().unwrap();
    write_pair(folder.path(), "a");
    let name = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
    let chosen = HttpsTls { cipher_suites: vec![name.into()], ..settings(folder.path(), "a.pem", "a.key") };
    let spoken = provider(&chosen).cipher_suites;
    let old: Vec<_> = spoken.iter().filter(|suite| suite.tls13().is_none()).collect();
    assert_eq!(old.len(), 1);
    assert_eq!(old[0].suite().as_str(), Some(name));
    assert!(knows_suite("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305"));
    assert!(!knows_suite("TLS_RSA_WITH_AES_128_CBC_SHA") && !knows_suite("TLS13_AES_128_GCM_SHA256"));
    assert_eq!(versions(&HttpsTls { min_version: TlsVersion::V1_3, ..chosen }).len(), 1);
}

#[test]
fn an_error_says_where_the_key_stands() {
    let places = vec![
        ("tls.https.cert_file".to_owned(), "/a.hcl:3:5".to_owned()),
        ("tls.defaults.ca_file".to_owned(), "/b.hcl:1:1".to_owned()),
    ];
    let of = |error: TlsError| {
        error.placed(&HttpsTls { places: places.clone(), ..settings(Path::new("/"), "a", "b") })
    };
    assert_eq!(
        of(TlsError::Pair("x".into())),
        "Failed to load cert/key pair: x (/a.hcl:3:5: tls.https.cert_file)"
    );
    assert!(of(TlsError::NoPair).ends_with("be enabled"));
}
