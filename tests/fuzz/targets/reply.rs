//! What `tests/abuse/properties/reply.rs` says, looked at by a fuzzer.
#![no_main]

#[expect(dead_code, reason = "what other targets use")]
#[path = "../../abuse/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(
    init: {
        // As every Rust program does before its `main`, which is not Rust's here.
        // SAFETY: no other thread is there yet, and ignoring a signal runs no code of ours.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    },
    |input: &[u8]| properties::reply::holds(input)
);
