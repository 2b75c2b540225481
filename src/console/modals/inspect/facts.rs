//! The page of facts of an instance.

use crate::console::action::Action;
use crate::console::keymap::Context;
use crate::console::panes::Cx;
use crate::console::theme::Role;
use crate::console::widgets::phase::state;
use crate::console::widgets::sheet::Sheet;
use crate::console::widgets::text::{count, duration_short};
use crate::model::{Era, Instance, ServerInfo};

pub fn sheet(instance: &Instance, cx: &Cx) -> Sheet {
    let mut sheet = Sheet::default();
    instance_part(instance, &mut sheet, cx);
    backend_part(instance, &mut sheet);
    if let Some(server) = &instance.server {
        server_part(server, &mut sheet);
    } else {
        sheet.heading("server");
        sheet.text("it has not introduced itself", Role::Dim);
    }
    calls_part(instance, &mut sheet);
    if !instance.facts.is_empty() {
        sheet.heading("facts");
        for (name, value) in instance.facts.iter() {
            sheet.fact(name, &**value);
        }
    }
    sheet
}

fn instance_part(instance: &Instance, sheet: &mut Sheet, cx: &Cx) {
    sheet.heading("instance");
    sheet.fact("id", instance.id.as_str());
    sheet.fact("session", instance.session.as_str());
    let (glyph, word, role) = state(instance);
    let since = cx.clock(instance.since);
    sheet.fact_as("state", format!("{glyph} {word} since {since}"), role);
    if let Some(step) = &instance.step {
        sheet.fact("step", &**step);
    }
    sheet.fact("restarts", instance.restarts.to_string());
    if let Some(card) = &instance.death {
        let text = format!("{} at {}", card.failure, cx.clock(card.at));
        sheet.fact_as("last death", text, Role::LevelError);
        if let Some(key) = cx.keymap.key_for(Context::Dialog, Action::Inspect) {
            sheet.fact("", format!("{key} opens its death card"));
        }
    }
}

fn backend_part(instance: &Instance, sheet: &mut Sheet) {
    let backend = &instance.backend;
    sheet.heading("backend");
    sheet.fact("name", &*backend.name);
    sheet.fact("type", &*backend.kind);
    sheet.fact(
        "mode",
        format!("{} over {}", backend.mode, backend.transport),
    );
    sheet.fact("scope", backend.scope.to_string());
    sheet.fact("runs", &*backend.summary);
}

fn calls_part(instance: &Instance, sheet: &mut Sheet) {
    sheet.heading("calls");
    let numbers = format!(
        "{} · {} not ok · {} running",
        count(instance.calls),
        count(instance.errors),
        instance.in_flight
    );
    sheet.fact("total", numbers);
    if let Some(p50) = instance.p50() {
        sheet.fact("median", duration_short(p50));
    }
    if let Some(tools) = &instance.tools {
        sheet.fact("tools", tools.len().to_string());
        for tool in tools.iter() {
            if let Some(problem) = &tool.problem {
                sheet.fact_as(&tool.name, &**problem, Role::LevelWarn);
            }
        }
    }
}

fn server_part(server: &ServerInfo, sheet: &mut Sheet) {
    sheet.heading("server");
    sheet.fact("name", &*server.name);
    sheet.fact("version", &*server.version);
    let era = match server.era {
        Era::Sessions => "with sessions",
        Era::Stateless => "stateless",
    };
    sheet.fact("protocol", format!("MCP {}, {era}", server.protocol));
    let capabilities = if server.capabilities.is_empty() {
        "none".to_owned()
    } else {
        server.capabilities.join(", ")
    };
    sheet.fact("capabilities", capabilities);
    if let Some(instructions) = &server.instructions {
        sheet.heading("instructions");
        sheet.text(&**instructions, Role::Text);
    }
}
