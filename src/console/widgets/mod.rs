//! Parts that panes and modals are made of.

pub mod editor;
pub mod form;
pub mod json_tree;
pub mod log_view;
pub mod matcher;
pub mod media;
pub mod pager;
pub mod pen;
pub mod prompt;
pub mod running;
pub mod text;
pub mod toast;
