//! The state manager: slots, checkpoints and restores.
