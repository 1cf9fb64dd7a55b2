//! What every program of ryo does the same: logs, signals and shutdown, exit codes, Go-style flags, and the programs it runs.
//!
//! Nothing here knows what a program does; it only knows how a program behaves towards its user and its supervisor.

pub mod args;
pub mod child;
pub mod exit;
pub mod init;
pub mod logs;
pub mod shutdown;
pub mod supervisor;
pub mod tail;

pub use exit::Exit;
pub use shutdown::Shutdown;
pub use tail::Tail;
