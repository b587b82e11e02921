//! What the binary's subcommands do. Each gets the command line, already taken apart, and ends with an [`Exit`].

mod brief;
mod ready;
mod run;
mod termination;
mod warm;

use std::ffi::OsString;
use std::io::Write as _;

use crate::exit::Exit;
use crate::settings::{CommandLine, Problem, Scan, Subcommand, cli, scan};

/// Does what the command line (without the program's name) asks for.
///
/// `ready` and a warm `run` come so far without clap, without a runtime and without a thread.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    match scan(arguments) {
        Ok(Scan::Do(line)) => perform(&line),
        Ok(Scan::Help | Scan::Version) => show_help(),
        Err(problems) => refuse(&problems),
    }
}

fn perform(line: &CommandLine) -> Exit {
    match line.subcommand {
        Subcommand::Run => run::run(line),
        Subcommand::Ready => ready::ready(line),
        _ => Exit::Software,
    }
}

/// Lets clap print what was asked for; the scanner has used the arguments up.
#[cold]
#[inline(never)]
fn show_help() -> Exit {
    let name = OsString::from("bellwether");
    match cli::command().try_get_matches_from([name].into_iter().chain(std::env::args_os().skip(1))) {
        Err(shown) if !shown.use_stderr() => {
            print(&shown.to_string());
            Exit::Ok
        }
        _ => Exit::Usage,
    }
}

/// Reports every mistake of settings or command line.
#[cold]
#[inline(never)]
fn refuse(problems: &[Problem]) -> Exit {
    let text = Problem::render(problems);
    complain(&text);
    termination::write(&text);
    Exit::Usage
}

/// A line (or several) for whoever reads the output. A reader that has gone away is no error.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}

/// The same for errors.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
}
