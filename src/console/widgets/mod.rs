//! Parts that panes and modals are made of.

pub mod editor;
pub mod find;
pub mod form;
pub mod fuzzy;
pub mod grid;
pub mod hint;
pub mod json_tree;
pub mod json_view;
pub mod log_view;
pub mod matcher;
pub mod media;
pub mod pager;
pub mod pen;
pub mod phase;
pub mod prompt;
pub mod running;
pub mod sheet;
pub mod spark;
pub mod text;
pub mod toast;
