//! Parts that panes and modals are made of.

pub mod log_view;
pub mod matcher;
pub mod pen;
pub mod prompt;
pub mod text;
pub mod toast;
