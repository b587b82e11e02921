//! The hidden subcommand under which a preset's steps run: this program again, in a process of its own.

use std::ffi::OsString;

use super::complain;
use crate::exit::Exit;
use crate::preset::{Presets, STEP_ARGUMENT};
use crate::settings::Env;

/// What every step finds in its environment; nobody else has it.
const RECORD: &str = "BELLWETHER_RECORD";

/// Does a step's work, if the command line asks for that.
pub(super) fn perform_part(arguments: &[OsString], presets: Presets) -> Option<Exit> {
    let (part, rest) = arguments.split_first()?;
    // Every warm start passes here.
    if part.as_encoded_bytes() == STEP_ARGUMENT.as_bytes() { Some(perform(rest, presets)) } else { None }
}

#[cold]
#[inline(never)]
fn perform(rest: &[OsString], presets: Presets) -> Exit {
    let words: Vec<&str> = rest.iter().filter_map(|word| word.to_str()).collect();
    let [preset, step] = words[..] else { return refuse() };
    let env: Env = std::env::vars_os().collect();
    match presets.find(preset) {
        Some(preset) if env.lookup(RECORD).is_some() => Exit::Command(preset.perform(step, &env)),
        _ => refuse(),
    }
}

fn refuse() -> Exit {
    complain("this is how a leader calls the steps of a preset, under the guard; call bellwether run instead");
    Exit::Usage
}
