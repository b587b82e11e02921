//! The command line: thin. A shim, a probe or a warm start is on its way after a few lines.

use std::ffi::OsString;

use bellwether::{Presets, commands, process};

/// The ready-made plans that this binary knows.
const PRESETS: Presets = Presets(&[
    #[cfg(feature = "frappe")]
    &bellwether::frappe::Frappe,
]);

fn main() {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    if process::shim::is_requested(&arguments) {
        process::shim::main();
    }
    arguments.drain(..arguments.len().min(1));
    std::process::exit(commands::main(arguments, PRESETS).code());
}
