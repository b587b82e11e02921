//! The command line: thin. A shim, a probe or a warm start is on its way after a few lines.

use std::ffi::OsString;

use bellwether::{commands, process};

fn main() {
    if process::shim::is_requested(std::env::args_os()) {
        process::shim::main();
    }
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    std::process::exit(commands::main(&arguments).code());
}
