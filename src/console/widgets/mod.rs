//! Parts that panes and modals are made of.

pub mod prompt;
pub mod text;
pub mod toast;
