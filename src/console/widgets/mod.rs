//! Parts that panes and modals are made of.

pub mod editor;
pub mod form;
pub mod log_view;
pub mod matcher;
pub mod pen;
pub mod prompt;
pub mod running;
pub mod text;
pub mod toast;
