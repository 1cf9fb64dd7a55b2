//! Runs recorded scenarios against a registry, an agent or a watcher.
