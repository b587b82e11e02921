//! The command line: thin. A shim, a probe or a warm start is on its way after a few lines.

use std::ffi::OsString;

use bellwether::{Presets, commands, process};

/// The ready-made plans that this binary knows.
const PRESETS: Presets = Presets(&[
    #[cfg(feature = "frappe")]
    &bellwether::frappe::Frappe,
]);

fn main() {
    #[cfg(feature = "_mutants")]
    break_as_asked();
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    if process::shim::is_requested(&arguments) {
        process::shim::main();
    }
    arguments.drain(..arguments.len().min(1));
    std::process::exit(commands::main(arguments, PRESETS).code());
}

/// Switches on the fault that is named, in shims as well: for the tests that have to find it. No release has this.
#[cfg(feature = "_mutants")]
fn break_as_asked() {
    if let Ok(name) = std::env::var("_BELLWETHER_MUTANT") {
        bellwether::protocol::mutant::switch_on(&name).expect("a mutant of that name");
    }
}
