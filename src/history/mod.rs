//! The database of runs.
