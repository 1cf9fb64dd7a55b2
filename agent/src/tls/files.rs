//! Certificates and keys from PEM files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustls::pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{Error, PemObject},
};

use super::TlsError;
use crate::config::HttpsTls;

/// A certificate with those that lead to its authority, and its key.
pub(super) type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The certificate to show; `None` unless both it and its key are configured.
pub(super) fn pair(settings: &HttpsTls) -> Result<Option<Pair>, TlsError> {
    let (Some(certificate), Some(key)) = (&settings.cert_file, &settings.key_file) else { return Ok(None) };
    let chain = certificates(certificate).map_err(TlsError::Pair)?;
    if chain.is_empty() {
        return Err(TlsError::Pair("tls: failed to find any PEM data in certificate input".into()));
    }
    let text = read(key).map_err(TlsError::Pair)?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        TlsError::Pair(match error {
            Error::NoItemsFound => "tls: failed to find any PEM data in key input".into(),
            other => format!("tls: failed to parse private key: {other}"),
        })
    })?;
    Ok(Some((chain, key)))
}

/// The authorities of `ca_file` and of all files in `ca_path`, each with the file that it comes from.
pub(super) fn authorities(settings: &HttpsTls) -> Result<Vec<(PathBuf, CertificateDer<'static>)>, TlsError> {
    let mut files: Vec<PathBuf> = settings.ca_file.iter().cloned().collect();
    if let Some(folder) = &settings.ca_path {
        let refused = |error: io::Error| TlsError::Authorities {
            path: folder.clone(),
            reason: format!("open {}: {}", folder.display(), words(&error)),
        };
        for entry in fs::read_dir(folder).map_err(refused)? {
            files.push(entry.map_err(refused)?.path());
        }
    }
    let mut all = Vec::new();
    for path in files.into_iter().filter(|path| !path.is_dir()) {
        let refused = |reason| TlsError::Authorities { path: path.clone(), reason };
        let found = certificates(&path).map_err(refused)?;
        if found.is_empty() {
            return Err(refused("no certificate in it".into()));
        }
        all.extend(found.into_iter().map(|certificate| (path.clone(), certificate)));
    }
    Ok(all)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    found.map_err(|error| format!("{}: {error}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("open {}: {}", path.display(), words(&error)))
}

/// A system error in the words of C's library, as Go prints them: `no such file or directory`.
fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}
