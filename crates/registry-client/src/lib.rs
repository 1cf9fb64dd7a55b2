//! Typed HTTP client of the registry with the blocking-query loop.
//!
//! [`Settings`] say where the registry is and who asks, [`Client`] sends one request, [`Watch`] asks the same question
//! again and again and hands out only what changed. Nothing here knows what an answer means.

mod client;
mod direct;
mod error;
mod request;
mod settings;
mod watch;

pub use client::{Client, Pieces};
pub use error::{RequestError, SettingsError, innermost};
pub use request::{Request, Response};
pub use settings::{BasicAuth, Settings, Tls};
pub use watch::{Event, Retry, Watch, WatchSettings};
