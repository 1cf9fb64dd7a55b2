//! Typed HTTP client of the registry with the blocking-query loop.
