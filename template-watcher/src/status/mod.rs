//! How the watcher is, for people and programs: JSON, Prometheus, health checks and systemd.
//!
//! `board` writes down what observers are told, `view` is what it shows, `serve` gives it to whoever asks at
//! `status_address`, `page` moves that when the configuration does, `metrics` is the same for Prometheus. `supervisor` tells systemd, `waiting` warns of templates that wait
//! for long. Nothing here knows a value: questions are named, texts are digests.

mod address;
mod board;
mod metrics;
mod page;
mod serve;
mod supervisor;
mod view;
mod waiting;

pub(crate) use address::Address;
pub(crate) use board::Board;
pub(crate) use page::Page;
use serve::{Serving, serve};
pub(crate) use supervisor::Supervisor;
pub(crate) use view::{Action, Question, State, Status, TemplateStatus, Time};
pub(crate) use waiting::Waiting;
