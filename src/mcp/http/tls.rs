//! Whom we trust: the system's authorities, and those of a file.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, crypto};
use rustls_platform_verifier::Verifier;

use super::words;
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
    let verifier: Arc<dyn ServerCertVerifier> =
        match Verifier::new_with_extra_roots(extra.clone(), provider.clone()) {
            Ok(verifier) => Arc::new(verifier),
            // A system without authorities, such as a small container: the file's are enough.
            Err(_) if !extra.is_empty() => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(extra.clone());
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|error| {
                        Failure::caused_by(Stage::Connect, "the certificates of ca_file", error)
                    })?
            }
            Err(error) => return Err(unusable(error)),
        };
    let named = OrNamed {
        verifier,
        named: extra,
    };
    let config = config.dangerous();
    let config = config.with_custom_certificate_verifier(Arc::new(named));
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Also trusts a server that shows one of the named certificates itself, even if that is an authority's: the
/// self-signed ones that `openssl req -x509` makes are.
#[derive(Debug)]
struct OrNamed {
    verifier: Arc<dyn ServerCertVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for OrNamed {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // Found after its dates were looked at, and before its name is.
            Err(error) if words::is_of_authority(&error) && self.named.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
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
