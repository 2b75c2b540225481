//! Everything known of one instance: the facts, and all that its world tells of it as JSON.

mod facts;

use std::sync::Arc;

use bytes::Bytes;
use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::Modal;
use super::death_card::DeathCardPage;
use crate::console::action::Action;
use crate::console::effect::{Effect, Intent};
use crate::console::msg::Inspected;
use crate::console::panes::Cx;
use crate::console::widgets::hint;
use crate::console::widgets::json_view::JsonView;
use crate::console::widgets::sheet::Sheet;
use crate::model::{Instance, InstanceId};
use crate::stores::lines::clean;

pub struct Inspect {
    id: InstanceId,
    /// As it was last seen: the page outlives the instance.
    instance: Arc<Instance>,
    sheet: Option<Sheet>,
    /// What its world tells, as of when it was asked.
    world: World,
    shows_world: bool,
}

enum World {
    Asked,
    /// Why there is nothing to show.
    Silent(String),
    Told(Box<JsonView>),
}

impl Inspect {
    /// Opens the page and asks the world.
    pub fn open(instance: &Arc<Instance>) -> Vec<Intent> {
        let page = Self {
            id: instance.id.clone(),
            instance: instance.clone(),
            sheet: None,
            world: World::Asked,
            shows_world: false,
        };
        vec![Intent::Open(Box::new(page)), page_asks(&instance.id)]
    }

    fn copy_facts(&self, cx: &Cx) -> Intent {
        let facts = facts::sheet(&self.instance, cx).plain();
        Intent::copy(format!("{}\n\n{facts}", self.name()), "all facts")
    }

    fn name(&self) -> String {
        let instance = &self.instance;
        let name = format!("Inspect ─ {} {}", instance.backend.name, self.id.short());
        clean(&name).into_owned()
    }

    /// The tree, if it is what is looked at.
    fn tree(&mut self) -> Option<&mut JsonView> {
        match &mut self.world {
            World::Told(tree) if self.shows_world => Some(tree),
            _ => None,
        }
    }
}

fn page_asks(instance: &InstanceId) -> Intent {
    Intent::Run(Effect::Inspect(instance.clone()))
}

impl Modal for Inspect {
    fn title(&self) -> String {
        match &self.world {
            _ if !self.shows_world => self.name(),
            World::Told(tree) if !tree.path().is_empty() => {
                format!("{} ─ {}", self.name(), tree.path())
            }
            _ => format!("{} ─ JSON", self.name()),
        }
    }

    fn size(&self, screen: Rect, cx: &Cx) -> (u16, u16) {
        if self.shows_world {
            return (screen.width.min(140), screen.height);
        }
        let width = screen.width.saturating_sub(4).min(100);
        let rows = facts::sheet(&self.instance, cx).rows(width.saturating_sub(2).into());
        let height = u16::try_from(rows + 2).unwrap_or(u16::MAX);
        (width, height.min(screen.height))
    }

    fn actions(&self) -> &'static [Action] {
        match (&self.world, self.instance.death.is_some()) {
            (World::Told(_), _) if self.shows_world => JsonView::ACTIONS,
            (_, true) => &[Action::ToggleView, Action::Copy, Action::Inspect],
            (_, false) => &[Action::ToggleView, Action::Copy],
        }
    }

    fn on_key(&mut self, key: KeyEvent, _: &Cx) -> Option<Vec<Intent>> {
        self.tree()?.on_key(key)
    }

    fn on_action(&mut self, action: Action, cx: &Cx) -> Vec<Intent> {
        match action {
            Action::ToggleView => {
                self.shows_world = !self.shows_world;
                return Vec::new();
            }
            Action::RunAgain => {
                self.world = World::Asked;
                return vec![page_asks(&self.id)];
            }
            Action::Inspect => {
                let card = DeathCardPage::new(&self.instance);
                return card
                    .map(|page| vec![Intent::CloseModal, Intent::Open(Box::new(page))])
                    .unwrap_or_default();
            }
            _ => {}
        }
        if let Some(tree) = self.tree() {
            return tree.on_action(action, "all of the JSON");
        }
        match action {
            Action::Copy | Action::CopyAll => vec![self.copy_facts(cx)],
            _ => {
                self.sheet.get_or_insert_default().on_action(action);
                Vec::new()
            }
        }
    }

    fn on_inspected(&mut self, inspected: &Inspected, cx: &Cx) {
        if inspected.instance != self.id {
            return;
        }
        self.world = match &inspected.told {
            Ok(Some(json)) => {
                let document = cx.results.document(Bytes::from(json.clone()));
                World::Told(Box::new(JsonView::new(Arc::new(document))))
            }
            Ok(None) => World::Silent("nothing more is known of it than the facts".to_owned()),
            Err(why) => World::Silent(why.clone()),
        };
    }

    fn on_paste(&mut self, text: &str, _: &Cx) -> Vec<Intent> {
        if let Some(tree) = self.tree() {
            tree.on_paste(text);
        }
        Vec::new()
    }

    fn on_click(&mut self, at: Position, _: &Cx) -> Vec<Intent> {
        if let Some(tree) = self.tree() {
            tree.on_click(at.y.into());
        }
        Vec::new()
    }

    fn on_scroll(&mut self, rows: i32, _: &Cx) {
        if let Some(tree) = self.tree() {
            tree.scroll(rows);
        } else if let Some(sheet) = &mut self.sheet {
            sheet.scroll(isize::try_from(rows).unwrap_or_default());
        }
    }

    fn sync(&mut self, area: Rect, cx: &Cx) -> Vec<Intent> {
        let newer = cx.fleet.instance(&self.id);
        if let Some(newer) = newer.filter(|newer| !Arc::ptr_eq(newer, &self.instance)) {
            self.instance = newer.clone();
            let top = self.sheet.take().map(|sheet| sheet.top());
            let mut sheet = facts::sheet(&self.instance, cx);
            sheet.scroll(top.unwrap_or_default().cast_signed());
            self.sheet = Some(sheet);
        }
        let sheet = self
            .sheet
            .get_or_insert_with(|| facts::sheet(&self.instance, cx));
        sheet.sync(area);
        self.tree().map(|tree| tree.sync(area)).unwrap_or_default()
    }

    fn draw(&self, area: Rect, buf: &mut Buffer, cx: &Cx) {
        match (&self.world, &self.sheet) {
            (World::Told(tree), _) if self.shows_world => tree.draw(area, buf, cx),
            (World::Asked, _) if self.shows_world => hint::draw("asking…", area, buf, cx.theme),
            (World::Silent(why), _) if self.shows_world => hint::draw(why, area, buf, cx.theme),
            (_, Some(sheet)) => sheet.draw(area, buf, cx.theme),
            (_, None) => {}
        }
    }

    fn cursor(&self, area: Rect) -> Option<Position> {
        match &self.world {
            World::Told(tree) if self.shows_world => tree.cursor(area),
            _ => None,
        }
    }
}
