//! The arguments of one tool as they are being made: as a form, or as raw JSON.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent};

use crate::arguments::json_text::{Members, compact, pretty};
use crate::console::widgets::editor::Editor;
use crate::console::widgets::form::Form;
use crate::model::ToolSpec;

pub struct Draft {
    pub tool: Arc<ToolSpec>,
    pub form: Form,
    pub raw: Option<Raw>,
}

/// The arguments as text.
pub struct Raw {
    pub editor: Editor,
    pub editing: bool,
    /// The text when it was opened, if it came from the form: unchanged, the form is as it was.
    opened: Option<String>,
}

impl Raw {
    pub fn new(text: &str, editing: bool) -> Self {
        Self {
            editor: Editor::new(text),
            editing,
            opened: None,
        }
    }

    /// Why the text is no JSON object, with line and column.
    pub fn error(&self) -> Option<String> {
        let text = self.editor.text();
        let parsed = serde_json::from_str::<Members>(&text);
        parsed.err().map(|error| error.to_string())
    }
}

impl Draft {
    pub fn new(tool: &Arc<ToolSpec>) -> Self {
        Self {
            tool: tool.clone(),
            form: Form::new(&tool.input_schema),
            raw: None,
        }
    }

    /// The tool may have been listed again with another schema: what was typed moves over to it.
    pub fn refresh(&mut self, tool: &Arc<ToolSpec>) {
        if Arc::ptr_eq(&self.tool, tool) {
            return;
        }
        if self.tool.input_schema != tool.input_schema {
            let arguments = self.form.arguments();
            self.form = Form::new(&tool.input_schema);
            if arguments != "{}" && self.form.load(&arguments).is_err() {
                self.raw.get_or_insert_with(|| Raw::new(&arguments, false));
            }
        }
        self.tool = tool.clone();
    }

    pub fn is_editing(&self) -> bool {
        match &self.raw {
            Some(raw) => raw.editing,
            None => self.form.is_editing(),
        }
    }

    /// Takes arguments from outside; text that is no object stays as text, with its error.
    pub fn load(&mut self, text: &str) {
        if let Some(raw) = &mut self.raw {
            *raw = Raw::new(text, raw.editing);
        } else if self.form.load(text).is_err() {
            self.raw = Some(Raw::new(text, true));
        }
    }

    /// The arguments as they would be sent, or what is wrong with them.
    pub fn arguments(&mut self) -> Result<String, String> {
        match &self.raw {
            Some(raw) => match raw.error() {
                None => Ok(compact(&raw.editor.text())),
                Some(error) => Err(error),
            },
            None => match self.form.complain() {
                None => Ok(self.form.arguments()),
                Some(error) => Err(error),
            },
        }
    }

    /// All there is, for the editor and the clipboard, complete or not.
    pub fn text(&self) -> String {
        match &self.raw {
            Some(raw) => raw.editor.text(),
            None => pretty(&self.form.arguments()),
        }
    }

    /// Form to JSON and back. Text that is no object stays, and its error is returned.
    pub fn toggle_raw(&mut self) -> Result<(), String> {
        let Some(raw) = &self.raw else {
            let text = self.text();
            self.raw = Some(Raw {
                opened: Some(text.clone()),
                ..Raw::new(&text, self.form.is_editing())
            });
            return Ok(());
        };
        let text = raw.editor.text();
        if raw.opened.as_ref() != Some(&text) {
            self.form.load(&text)?;
        }
        self.raw = None;
        Ok(())
    }

    /// A key while editing; `false`: not for us.
    pub fn on_key(&mut self, key: KeyEvent) -> bool {
        match &mut self.raw {
            Some(raw) if key.code == KeyCode::Esc => {
                raw.editing = false;
                true
            }
            Some(raw) => raw.editor.on_key(key),
            None => self.form.on_key(key),
        }
    }

    /// Pasted text. An object fills the form unless it goes into a field that is being edited; then how
    /// many fields of the tool it had is returned.
    pub fn paste(&mut self, text: &str) -> Option<usize> {
        if let Some(raw) = &mut self.raw {
            // Nobody wants an object behind the empty one of a form that nothing was filled in.
            if raw.editor.text().trim() == "{}" {
                raw.editor = Editor::new("");
            }
            raw.editor.insert(text);
            return None;
        }
        let known = self.form.knows(text);
        let field = self.form.focused().and_then(|field| field.prompt());
        let room = field.is_none_or(|prompt| prompt.text().is_empty());
        let fills = match known {
            Some(known) => !self.form.is_editing() || (room && known > 0),
            None => false,
        };
        if fills {
            self.form.load(text).ok()?;
            return known;
        }
        if self.form.is_editing() {
            self.form.paste(text);
        }
        None
    }
}
