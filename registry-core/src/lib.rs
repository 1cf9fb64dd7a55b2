//! The registry: state, Raft, disk, HTTP, DNS.
