//! Bytes that a runner or a module writes.
#![no_main]
#![allow(dead_code)] // each target uses its own property

#[path = "../properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::frames(bytes));
