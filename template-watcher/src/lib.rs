//! Renders files from registry data, checks them, swaps them in and reloads what reads them.
//!
//! One thing after the other: [`query`] (what templates ask) → `watch` (asking it) → [`answers`] (what is known) →
//! [`render`] in a [`syntax`] with [`functions`] → `guard` (disbelief in sudden emptiness) → [`check`] → [`output`] (the
//! swap) → [`action`] (what is done after it). `run` is the loop around them, [`main`] the program around that.

pub mod action;
pub mod answers;
pub mod ask;
pub mod check;
pub mod command;
mod commands;
pub mod config;
mod diff;
mod expect;
pub mod functions;
mod glob;
mod guard;
mod lint;
pub mod offline;
pub mod output;
pub mod parts;
mod program;
pub mod query;
pub mod render;
mod run;
mod source;
mod status;
pub mod syntax;
mod watch;

pub use program::main;
pub use run::{RunError, observe, run, run_observed};
