//! The operator's commands: each reads its flags, asks the agent and prints what came.
//!
//! A command is a struct of flags with `run`, which gives the exit code. The words are Consul's, which scripts look for.

pub(crate) mod absent;
pub(crate) mod acl;
pub(crate) mod catalog;
pub(crate) mod cluster;
pub(crate) mod completion;
pub(crate) mod config;
pub(crate) mod data;
pub(crate) mod debug;
pub(crate) mod dev;
pub(crate) mod doctor;
pub(crate) mod event;
pub(crate) mod exec;
pub(crate) mod export;
pub(crate) mod info;
pub(crate) mod intention;
pub(crate) mod keys;
pub(crate) mod kv;
pub(crate) mod kv_transfer;
pub(crate) mod lock;
pub(crate) mod maint;
pub(crate) mod members;
pub(crate) mod monitor;
pub(crate) mod operator;
pub(crate) mod rtt;
pub(crate) mod services;
pub(crate) mod snapshot;
pub(crate) mod tls;
pub(crate) mod top;
pub(crate) mod usage;
pub(crate) mod validate;
pub(crate) mod version;
pub(crate) mod watch;
