//! What `tests/abuse/properties/marker.rs` says, looked at by a fuzzer.
#![no_main]

#[expect(dead_code, reason = "what other targets use")]
#[path = "../../abuse/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::marker::holds(input));
