//! The replicated state of a registry: pure, deterministic.
