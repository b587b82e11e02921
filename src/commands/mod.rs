//! What the binary's subcommands do. Each gets the command line, already taken apart, and ends with an [`Exit`].

mod brief;
mod demo;
mod doctor;
mod lease;
mod log_writer;
mod plan;
mod ready;
mod repair;
mod report;
mod run;
mod status;
mod step;
mod survey;
mod termination;
mod warm;
mod words;

use std::ffi::OsString;
use std::io::Write as _;

use crate::exit::Exit;
use crate::preset::Presets;
use crate::settings::{CommandLine, Misuse, Problem, Scan, Subcommand, cli, scan};

/// Does what the command line (without the program's name) asks for.
///
/// `ready` and a warm `run` come so far without clap, without a runtime and without a thread.
pub fn main(arguments: Vec<OsString>, presets: Presets) -> Exit {
    match ready::shortcut(&arguments) {
        Some(exit) => exit,
        None => main_of_all(arguments, presets),
    }
}

/// All but the plainest probe. Apart, so that the probe's code is short and lies close together.
#[cold]
#[inline(never)]
fn main_of_all(arguments: Vec<OsString>, presets: Presets) -> Exit {
    if let Some(exit) = demo::perform_part(&arguments) {
        return exit;
    }
    if let Some(exit) = step::perform_part(&arguments, presets) {
        return exit;
    }
    match scan(arguments) {
        Ok(Scan::Do(line)) => perform(&line, presets),
        Ok(Scan::Help | Scan::Version) => show_help(),
        Err(misuse) => refuse(&all_mistakes(misuse, presets)),
    }
}

fn perform(line: &CommandLine, presets: Presets) -> Exit {
    match line.subcommand {
        Subcommand::Run => run::run(line, presets),
        Subcommand::Ready => ready::ready(line, presets),
        _ => perform_for_people(line, presets),
    }
}

/// What nobody starts every few seconds. Apart, so that a probe's stack and pages have no room for it.
#[cold]
#[inline(never)]
fn perform_for_people(line: &CommandLine, presets: Presets) -> Exit {
    match line.subcommand {
        Subcommand::Run | Subcommand::Ready => Exit::Software,
        Subcommand::Status => status::status(line, presets),
        Subcommand::Plan => plan::plan(line, presets),
        Subcommand::Retry => repair::retry(line, presets),
        Subcommand::Skip => repair::skip(line, presets),
        Subcommand::Reset => repair::reset(line, presets),
        Subcommand::Doctor => doctor::doctor(line, presets),
        Subcommand::Demo => demo::demo(line),
    }
}

/// Those of the command line, and for `run` those of all other settings too: whoever starts it mends them in one go.
fn all_mistakes(misuse: Misuse, presets: Presets) -> Vec<Problem> {
    let Misuse { mut problems, subcommand, overlay } = misuse;
    if subcommand == Some(Subcommand::Run) {
        problems.extend(brief::settings(&overlay, presets).err().unwrap_or_default());
    }
    problems
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

/// Tells a person at a terminal why nothing was done. Kubernetes asks for the end of the replica, which this is not.
fn decline(refusal: &brief::Refusal) -> Exit {
    complain(&refusal.reason);
    refusal.exit
}

/// A line (or several) for whoever reads the output. A reader that has gone away is no error.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}

/// The same for errors.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
}
