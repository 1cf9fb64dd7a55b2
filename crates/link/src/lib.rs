//! The internal HTTP/2 link between agents and registries.
