//! What every program of ryo does the same: logs, signals and shutdown, exit codes, Go-style flags.
//!
//! Nothing here knows what a program does; it only knows how a program behaves towards its user and its supervisor.

pub mod args;
pub mod exit;
pub mod logs;
pub mod shutdown;

pub use exit::Exit;
pub use shutdown::Shutdown;
