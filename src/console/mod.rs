//! The console: fleet and keys in, cells and effects out.

pub mod action;
pub mod effect;
mod frame;
pub mod keymap;
pub mod layout;
pub mod modals;
pub mod model;
pub mod msg;
pub mod panes;
pub mod preferences;
mod run;
pub mod terminal;
pub mod testing;
pub mod theme;
mod update;
mod view;
pub mod widgets;

pub use run::{Looks, run};
