//! The header.

use envdeck::model::{GatewayInfo, Happening};

use crate::common::*;

#[test]
fn agents_that_come_in_are_counted() {
    let with = |clients| {
        let gateway = Some(GatewayInfo {
            address: "127.0.0.1:8001".parse().unwrap(),
            clients,
        });
        let harness = full(120, 36).happening(Happening::GatewayChanged { gateway });
        harness.screen().lines().next().unwrap().to_owned()
    };
    for (clients, words) in [
        (0, "test   gateway 127.0.0.1:8001 ○0 clients"),
        (1, "test   gateway 127.0.0.1:8001 ●1 client "),
        (12, "test   gateway 127.0.0.1:8001 ●12 clients"),
    ] {
        assert!(with(clients).contains(words), "{}", with(clients));
    }
    let gone = full(120, 36).happening(Happening::GatewayChanged { gateway: None });
    assert!(!gone.screen().contains("gateway"));
}
