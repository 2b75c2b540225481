//! The console: fleet and keys in, cells and effects out.

pub mod action;
mod editor;
pub mod effect;
mod frame;
mod input;
pub mod invocation;
pub mod keymap;
pub mod layout;
pub mod modals;
pub mod model;
mod modes;
pub mod msg;
pub mod panes;
pub mod preferences;
mod run;
mod shell;
mod signals;
pub mod terminal;
pub mod testing;
pub mod theme;
mod update;
mod view;
pub mod widgets;

pub use run::{Looks, run};
