//! Units of systemd: their state, asked in one call.
