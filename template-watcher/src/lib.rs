//! Renders files from registry data, checks them, swaps them in and reloads what reads them.
//!
//! One thing after the other: [`query`] (what templates ask) → [`answers`] (what is known) → rendering → guard → check →
//! swap → action.

pub mod action;
pub mod answers;
pub mod check;
pub mod command;
pub mod config;
pub mod functions;
pub mod output;
pub mod query;
pub mod syntax;
