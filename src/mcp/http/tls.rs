//! Whom we trust: the system's authorities, and those of a file.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore, crypto};
use rustls_platform_verifier::Verifier;

use crate::model::{Failure, Stage};

/// Reading the system's authorities takes a while, and all clients trust the same.
static SYSTEM: Mutex<Option<ClientConfig>> = Mutex::new(None);

/// What to encrypt with and whom to trust.
pub(crate) fn config(ca_file: Option<&Path>) -> Result<ClientConfig, Failure> {
    if let Some(file) = ca_file {
        return trusting(authorities(file)?);
    }
    let mut known = SYSTEM.lock();
    if let Some(config) = &*known {
        return Ok(config.clone());
    }
    let config = trusting(Vec::new())?;
    Ok(known.insert(config).clone())
}

/// For URLs without encryption: nothing is read, nobody is trusted.
pub(super) fn unused() -> Result<ClientConfig, Failure> {
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    Ok(config
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

fn trusting(extra: Vec<CertificateDer<'static>>) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let config = config.dangerous();
    let mut config = match Verifier::new_with_extra_roots(extra.clone(), provider.clone()) {
        Ok(verifier) => config.with_custom_certificate_verifier(Arc::new(verifier)),
        // A system without authorities, such as a small container: the file's are enough.
        Err(_) if !extra.is_empty() => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(extra);
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| {
                    Failure::caused_by(Stage::Connect, "the certificates of ca_file", error)
                })?;
            config.with_custom_certificate_verifier(verifier)
        }
        Err(error) => return Err(unusable(error)),
    }
    .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn unusable(error: rustls::Error) -> Failure {
    Failure::caused_by(Stage::Connect, "TLS cannot be used", error)
        .hint("install the package ca-certificates, or name a file with `ca_file`")
}

fn authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let problem = |text: String| {
        let text = format!("ca_file {}: {text}", file.display());
        Failure::other(Stage::Connect, text).hint("it must hold certificates in PEM")
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| problem(error.to_string()))?;
    if certificates.is_empty() {
        return Err(problem("there is no certificate in it".to_owned()));
    }
    Ok(certificates)
}
