//! Sandbox profiles: load, extend, and resolve into a plan.
