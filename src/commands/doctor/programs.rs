//! The programs of the steps, and of the command that a replica would become.

use std::ffi::{OsStr, OsString};

use crate::exit::Exit;
use crate::finding::Finding;
use crate::process::{User, find_program};
use crate::settings::{Known, StepCommand};

const WHAT: &str = "programs";

/// This program itself, as presets call it.
const OURSELVES: &str = "/proc/self/exe";

/// `command`: what stands after `--`; `path`: this process's `PATH`.
pub(super) fn look(known: &Known, command: &[OsString], path: Option<&OsStr>, tell: &dyn Fn(Finding)) {
    if let Some(program) = command.first() {
        tell(match find_program(program, None, path) {
            Ok(file) => Finding::ok("command", file.display().to_string()),
            Err(error) => {
                Finding::fail("command", error.to_string(), "look at what stands after `--`, and at PATH", error.exit())
            }
        });
    }
    let Some(plan) = &known.plan else { return };
    if !known.may_lead {
        tell(Finding::ok(WHAT, "those of the steps need not be here: this replica never leads (IS_LEADER)"));
        return;
    }
    let mut there = Vec::new();
    for ((_, step), command) in plan.plan.iter().zip(&plan.commands) {
        if let Some(finding) = surroundings(step.name.as_str(), command) {
            tell(finding);
            continue;
        }
        let path = command.env.get("PATH").map_or(path, |path| Some(OsStr::new(path)));
        let words = [Some(&command.run), command.check.as_ref()];
        for program in words.into_iter().flatten().filter_map(|words| words.first()).filter(|word| *word != OURSELVES) {
            match find_program(OsStr::new(program), command.cwd.as_deref(), path) {
                Ok(_) if there.contains(program) => {}
                Ok(_) => there.push(program.clone()),
                Err(error) => {
                    let seen = format!("step {}: {error}", step.name);
                    let repair = "put it into the image, or look at the step's `run`, `check`, `cwd` and PATH";
                    tell(Finding::fail(WHAT, seen, repair, error.exit()));
                }
            }
        }
    }
    if !there.is_empty() {
        tell(Finding::ok(WHAT, format!("{}: found", there.join(", "))));
    }
}

/// Whom the step runs as, and where; without them the program is not even looked for.
fn surroundings(step: &str, command: &StepCommand) -> Option<Finding> {
    if let Some(user) = &command.user {
        let refused = User::find(user).and_then(|user| user.check_allowed()).err();
        if let Some(error) = refused {
            let repair = "look at the step's `user`, and at the user of this container";
            return Some(Finding::fail(WHAT, format!("step {step}: {error}"), repair, Exit::CannotExecute));
        }
    }
    let cwd = command.cwd.as_deref()?;
    let error = match std::fs::metadata(cwd) {
        Ok(found) if found.is_dir() => return None,
        Ok(_) => "it is no directory".to_owned(),
        Err(error) => error.to_string(),
    };
    let seen = format!("step {step}: cannot enter {}: {error}", cwd.display());
    Some(Finding::fail(WHAT, seen, "look at the step's `cwd`, and at what is mounted there", Exit::CannotExecute))
}
