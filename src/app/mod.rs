//! The whole, put together: built from a config, reloaded, drained.
