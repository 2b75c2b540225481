//! Everything known of one instance.

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Modal;
use super::death_card::DeathCardPage;
use crate::console::action::Action;
use crate::console::effect::Intent;
use crate::console::keymap::Context;
use crate::console::panes::Cx;
use crate::console::theme::Role;
use crate::console::widgets::phase::{glyph, role};
use crate::console::widgets::sheet::Sheet;
use crate::console::widgets::text::{count, duration_short};
use crate::model::{Era, Instance, InstanceId, ServerInfo};
use crate::stores::lines::clean;

pub struct Inspect {
    id: InstanceId,
    /// As it was last seen: the page outlives the instance.
    instance: Arc<Instance>,
    sheet: Option<Sheet>,
}

impl Inspect {
    pub fn new(instance: &Arc<Instance>) -> Self {
        Self {
            id: instance.id.clone(),
            instance: instance.clone(),
            sheet: None,
        }
    }

    fn build(&self, cx: &Cx) -> Sheet {
        let mut sheet = Sheet::default();
        self.instance_part(&mut sheet, cx);
        self.backend_part(&mut sheet);
        if let Some(server) = &self.instance.server {
            server_part(server, &mut sheet);
        } else {
            sheet.heading("server");
            sheet.text("it has not introduced itself", Role::Dim);
        }
        self.calls_part(&mut sheet);
        if !self.instance.facts.is_empty() {
            sheet.heading("facts");
            for (name, value) in self.instance.facts.iter() {
                sheet.fact(name, &**value);
            }
        }
        sheet
    }

    fn instance_part(&self, sheet: &mut Sheet, cx: &Cx) {
        let instance = &self.instance;
        sheet.heading("instance");
        sheet.fact("id", instance.id.as_str());
        sheet.fact("session", instance.session.as_str());
        let state = format!(
            "{} {} since {}",
            glyph(instance.phase),
            instance.phase,
            cx.clock(instance.since)
        );
        sheet.fact_as("state", state, role(instance.phase));
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

    fn backend_part(&self, sheet: &mut Sheet) {
        let backend = &self.instance.backend;
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

    fn calls_part(&self, sheet: &mut Sheet) {
        let instance = &self.instance;
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

impl Modal for Inspect {
    fn title(&self) -> String {
        let name = format!(
            "Inspect ─ {} {}",
            self.instance.backend.name,
            self.id.short()
        );
        clean(&name).into_owned()
    }

    fn size(&self, screen: Rect, cx: &Cx) -> (u16, u16) {
        let width = screen.width.saturating_sub(4).min(100);
        let rows = self.build(cx).rows(width.saturating_sub(2).into());
        let height = u16::try_from(rows + 2).unwrap_or(u16::MAX);
        (width, height.min(screen.height))
    }

    fn actions(&self) -> &'static [Action] {
        if self.instance.death.is_some() {
            &[Action::Copy, Action::Inspect]
        } else {
            &[Action::Copy]
        }
    }

    fn on_action(&mut self, action: Action, cx: &Cx) -> Vec<Intent> {
        let sheet = self.sheet.get_or_insert_default();
        if sheet.on_action(action) {
            return Vec::new();
        }
        match action {
            Action::Copy | Action::CopyAll => {
                let text = format!("{}\n\n{}", self.title(), self.build(cx).plain());
                vec![Intent::copy(text, "all of it")]
            }
            Action::Inspect => DeathCardPage::new(&self.instance)
                .map(|page| vec![Intent::CloseModal, Intent::Open(Box::new(page))])
                .unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    fn on_scroll(&mut self, rows: i32, _: &Cx) {
        if let Some(sheet) = &mut self.sheet {
            sheet.scroll(isize::try_from(rows).unwrap_or_default());
        }
    }

    fn sync(&mut self, area: Rect, cx: &Cx) {
        let newer = cx.fleet.instance(&self.id);
        if let Some(newer) = newer.filter(|newer| !Arc::ptr_eq(newer, &self.instance)) {
            self.instance = newer.clone();
            let top = self.sheet.take().map(|sheet| sheet.top());
            let mut sheet = self.build(cx);
            sheet.scroll(top.unwrap_or_default().cast_signed());
            self.sheet = Some(sheet);
        }
        let mut sheet = self.sheet.take().unwrap_or_else(|| self.build(cx));
        sheet.sync(area);
        self.sheet = Some(sheet);
    }

    fn draw(&self, area: Rect, buf: &mut Buffer, cx: &Cx) {
        if let Some(sheet) = &self.sheet {
            sheet.draw(area, buf, cx.theme);
        }
    }
}
