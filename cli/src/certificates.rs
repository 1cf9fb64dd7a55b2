//! The files that `https` needs, looked at before anybody is asked, and in Consul's words: also where `http` is spoken.

use std::{
    fs,
    path::{Path, PathBuf},
};

use registry_client::Tls;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use crate::client::system_words;

/// Errors, in words for the user, when a file is not there or holds no certificate.
pub(crate) fn check(tls: &Tls) -> Result<(), String> {
    match (&tls.cert_file, &tls.key_file) {
        (None, None) => {}
        (Some(certificate), Some(key)) => {
            for file in [certificate, key] {
                read(file)?;
            }
            let text = read(certificate)?;
            if !holds_certificate(&text) {
                return Err("tls: failed to find any PEM data in certificate input".into());
            }
        }
        _ => return Err("both client cert and client key must be provided".into()),
    }
    if let Some(file) = &tls.ca_file {
        authority(file).map_err(|why| format!("Error loading CA File: {why}"))?;
    } else if let Some(folder) = &tls.ca_path {
        for file in files(folder)? {
            authority(&file).map_err(|why| format!("Error loading CA Path: {why}"))?;
        }
    }
    Ok(())
}

fn authority(file: &Path) -> Result<(), String> {
    if holds_certificate(&read(file)?) {
        Ok(())
    } else {
        Err(format!("Couldn't parse PEM in: {}", file.display()))
    }
}

/// The files of a folder, in their order.
fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let wrong = |e: &std::io::Error| format!("lstat {}: {}", folder.display(), system_words(e));
    let entries = fs::read_dir(folder).map_err(|e| wrong(&e))?;
    let mut found: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    found.sort();
    // Without the folder's own dot, as a user writes it.
    let plain = |path: PathBuf| path.strip_prefix(".").map_or(path.clone(), Path::to_owned);
    Ok(found.into_iter().map(plain).collect())
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|e| format!("open {}: {}", file.display(), system_words(&e)))
}

fn holds_certificate(text: &[u8]) -> bool {
    CertificateDer::pem_slice_iter(text).next().is_some_and(|found| found.is_ok())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use registry_client::Tls;

    use super::check;

    #[test]
    fn files_are_looked_at_whatever_is_spoken() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("t");
        fs::write(&text, "abc\n").unwrap();
        let why = |tls: Tls| check(&tls).unwrap_err();
        let missing = || Some("/nowhere".into());
        let said = why(Tls { ca_file: missing(), ..Tls::default() });
        assert_eq!(said, "Error loading CA File: open /nowhere: no such file or directory");
        let said = why(Tls { ca_file: Some(text.clone()), ..Tls::default() });
        assert_eq!(said, format!("Error loading CA File: Couldn't parse PEM in: {}", text.display()));
        assert_eq!(
            why(Tls { ca_path: missing(), ..Tls::default() }),
            "lstat /nowhere: no such file or directory"
        );
        assert!(
            why(Tls { ca_path: Some(folder.path().into()), ..Tls::default() })
                .starts_with("Error loading CA Path")
        );
        let said = why(Tls { cert_file: missing(), ..Tls::default() });
        assert_eq!(said, "both client cert and client key must be provided");
        let said = why(Tls { cert_file: Some(text.clone()), key_file: Some(text), ..Tls::default() });
        assert_eq!(said, "tls: failed to find any PEM data in certificate input");
        assert!(check(&Tls::default()).is_ok());
    }
}
