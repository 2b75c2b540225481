//! Where agents come in and how many are there, for the header.

use ratatui::text::Span;

use crate::console::theme::{Role, Theme};
use crate::model::GatewayInfo;

/// `gateway 127.0.0.1:8001 ●3 clients`
pub fn spans(gateway: &GatewayInfo, theme: &Theme) -> Vec<Span<'static>> {
    let dim = theme.style(Role::Dim);
    let clients = gateway.clients;
    let (light, style) = match clients {
        0 => ('○', dim),
        _ => ('●', theme.style(Role::PhaseReady)),
    };
    let word = if clients == 1 { "client" } else { "clients" };
    vec![
        Span::styled(format!("  gateway {} ", gateway.address), dim),
        Span::styled(format!("{light}{clients}"), style),
        Span::styled(format!(" {word}"), dim),
    ]
}
