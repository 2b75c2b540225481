//! How a sandbox reaches the package indexes that this machine reaches.

use std::collections::BTreeMap;

use envdeck::model::Secret;

/// For `box.env`.
pub fn index() -> BTreeMap<String, Secret> {
    const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
    const PASSED: [&str; 8] = [
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "NO_PROXY",
        "PIP_EXTRA_INDEX_URL",
        "PIP_INDEX_URL",
        "PIP_TRUSTED_HOST",
        "https_proxy",
        "npm_config_registry",
    ];
    let set = |name: &str| Some((name.to_owned(), Secret::new(std::env::var(name).ok()?)));
    let mut index: BTreeMap<_, _> = PASSED.into_iter().filter_map(set).collect();
    for name in ["PIP_CERT", "NODE_EXTRA_CA_CERTS"] {
        index.insert(name.to_owned(), Secret::new(CERTIFICATES));
    }
    index
}
