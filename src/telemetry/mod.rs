//! Tracing set-up, and the closed list of metric names.
