//! The command line: thin.

use std::env;
use std::ffi::OsString;
use std::process::exit;

use bellwether::process::{hand_off, shim, supervise};

fn main() {
    let arguments: Vec<OsString> = env::args_os().collect();
    if shim::is_requested(&arguments) {
        shim::main();
    }
    let command = arguments.get(3..).unwrap_or_default();
    let result = match arguments.get(1).and_then(|first| first.to_str()) {
        Some("__handoff") => Err(hand_off(command)),
        Some("__supervise") => supervise(command),
        _ => Ok(0),
    };
    match result {
        Ok(code) => exit(code),
        Err(error) => report(&error),
    }
}

#[expect(clippy::print_stderr, reason = "logging is not set up yet")]
fn report(error: &bellwether::process::HandOffError) -> ! {
    eprintln!("bellwether: {error}");
    exit(error.exit().code())
}
