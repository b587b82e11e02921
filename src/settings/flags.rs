//! The command line, taken apart without clap: a warm start and a probe have no time for more.
//!
//! clap knows the same language (`cli`), but only to print help; a test compares the two.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::iter::Peekable;
use std::os::unix::ffi::OsStrExt as _;

use super::env::Overlay;
use super::problem::Problem;
use super::secret;
use super::spelling;
use super::subcommands::{SUBCOMMANDS, Subcommand, Switch, Trailing};
use super::table::{SETTINGS, Setting};

/// What a command line asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Scan {
    /// Do this.
    Do(CommandLine),
    /// Print help; clap knows which.
    Help,
    /// Print the version.
    Version,
}

/// A command line, taken apart. Values are not checked yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommandLine {
    /// What to do.
    pub subcommand: Subcommand,
    /// Settings given as flags, by variable. The last of several wins.
    pub overlay: Overlay,
    /// Flags without a value that were given, without their hyphens (`no-wait`, `json`).
    pub switches: BTreeSet<&'static str>,
    /// The value of `--step`.
    pub step: Option<OsString>,
    /// The command after `--`; empty for all but `run` and `doctor`.
    pub command: Vec<OsString>,
}

impl CommandLine {
    /// Whether the flag `long` (without hyphens) was given.
    pub fn has(&self, long: &str) -> bool {
        self.switches.contains(long)
    }
}

/// A command line that cannot be obeyed, and what was understood of it: so that mistakes in the settings can be told
/// along with its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Misuse {
    /// Every mistake in it.
    pub problems: Vec<Problem>,
    /// What to do, if that is known.
    pub subcommand: Option<Subcommand>,
    /// Settings given as flags, by variable; those that were refused are missing.
    pub overlay: Overlay,
}

/// Takes a command line (without the program's name) apart.
///
/// # Errors
///
/// Every mistake in it. Passwords in flags are refused here, and never shown.
pub fn scan(arguments: impl IntoIterator<Item = OsString>) -> Result<Scan, Misuse> {
    Scanner::new(SETTINGS, arguments.into_iter()).scan()
}

/// Where scanning stops early.
enum Stop {
    Help,
    Version,
}

struct Scanner<I: Iterator<Item = OsString>> {
    table: &'static [Setting],
    arguments: Peekable<I>,
    subcommand: Option<Subcommand>,
    overlay: Overlay,
    switches: BTreeSet<&'static str>,
    step: Option<OsString>,
    command: Vec<OsString>,
    problems: Vec<Problem>,
}

impl<I: Iterator<Item = OsString>> Scanner<I> {
    fn new(table: &'static [Setting], arguments: I) -> Scanner<I> {
        Scanner {
            table,
            arguments: arguments.peekable(),
            subcommand: None,
            overlay: Overlay::new(),
            switches: BTreeSet::new(),
            step: None,
            command: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn scan(mut self) -> Result<Scan, Misuse> {
        while let Some(argument) = self.arguments.next() {
            let bytes = argument.as_bytes();
            let stop = if bytes == b"--" {
                self.trailing();
                None
            } else if let Some(long) = bytes.strip_prefix(b"--") {
                self.long(long)
            } else if bytes.len() > 1 && bytes[0] == b'-' {
                self.short(&String::from_utf8_lossy(&bytes[1..]))
            } else {
                self.positional(&argument);
                None
            };
            match stop.filter(|_| self.problems.is_empty()) {
                Some(Stop::Help) => return Ok(Scan::Help),
                Some(Stop::Version) => return Ok(Scan::Version),
                None => {}
            }
        }
        self.finish()
    }

    fn finish(mut self) -> Result<Scan, Misuse> {
        let Some(subcommand) = self.subcommand else {
            if self.problems.is_empty() {
                let names: Vec<&str> = SUBCOMMANDS.iter().map(|entry| entry.name).collect();
                self.complain("bellwether", format!("needs to know what to do: {}", names.join(", ")));
            }
            return Err(self.misuse());
        };
        let entry = subcommand.entry();
        if entry.command == Trailing::Required && self.command.is_empty() && self.problems.is_empty() {
            self.complain(entry.name, "no command to become; put it after `--`: bellwether run -- COMMAND");
        }
        if self.step.is_none() && entry.switches.iter().any(|switch| switch.required) && self.problems.is_empty() {
            self.complain(entry.name, "needs to know the step; give it as --step STEP");
        }
        if !self.problems.is_empty() {
            return Err(self.misuse());
        }
        let Scanner { overlay, switches, step, command, .. } = self;
        Ok(Scan::Do(CommandLine { subcommand, overlay, switches, step, command }))
    }

    fn misuse(self) -> Misuse {
        let Scanner { problems, subcommand, overlay, .. } = self;
        Misuse { problems, subcommand, overlay }
    }

    /// Everything after `--`.
    fn trailing(&mut self) {
        let rest: Vec<OsString> = self.arguments.by_ref().collect();
        match self.subcommand {
            Some(subcommand) if subcommand.entry().command != Trailing::Never => self.command = rest,
            Some(subcommand) if !rest.is_empty() => self.complain(subcommand.name(), "takes no command after `--`"),
            None if !rest.is_empty() => {
                self.complain("--", "stands before the subcommand; write bellwether run -- COMMAND");
            }
            _ => {}
        }
    }

    fn positional(&mut self, argument: &OsStr) {
        let shown = argument.to_string_lossy();
        match self.subcommand {
            None => {
                self.subcommand = argument.to_str().and_then(Subcommand::find);
                if self.subcommand.is_none() {
                    let hint = spelling::hint(&shown, SUBCOMMANDS.iter().map(|entry| entry.name));
                    self.complain(shown, format!("is no subcommand{hint}"));
                    // What follows belongs to a subcommand we do not know.
                    self.arguments.by_ref().for_each(drop);
                }
            }
            Some(subcommand) if subcommand.entry().command != Trailing::Never => {
                let name = subcommand.name();
                self.complain(shown, format!("unexpected; put `--` before the command: bellwether {name} -- COMMAND"));
                self.arguments.by_ref().for_each(drop);
            }
            Some(subcommand) => self.complain(shown, format!("{} takes no such argument", subcommand.name())),
        }
    }

    /// A cluster of one-letter flags.
    fn short(&mut self, letters: &str) -> Option<Stop> {
        for letter in letters.chars() {
            match letter {
                'h' => return Some(Stop::Help),
                'V' => return Some(Stop::Version),
                _ => {}
            }
            let known = self.own_switches().iter().find(|switch| switch.short == Some(letter));
            let Some(known) = known else {
                self.unknown(&format!("-{letter}"), None);
                return None;
            };
            self.switches.insert(known.long);
        }
        None
    }

    /// `name` or `name=value`.
    fn long(&mut self, bytes: &[u8]) -> Option<Stop> {
        let (name, attached) = match bytes.iter().position(|&byte| byte == b'=') {
            Some(at) => (&bytes[..at], Some(OsStr::from_bytes(&bytes[at + 1..]).to_owned())),
            None => (bytes, None),
        };
        let name = String::from_utf8_lossy(name);
        let own = self.own_switches().iter().find(|switch| switch.long == name);
        let stop = match &*name {
            "help" => Some(Stop::Help),
            "version" => Some(Stop::Version),
            _ => None,
        };
        if stop.is_some() || own.is_some_and(|own| own.value.is_none()) {
            if attached.is_some() {
                self.complain(format!("--{name}"), "takes no value");
            } else {
                self.switches.extend(own.map(|own| own.long));
            }
            return stop;
        }
        if own.is_some() {
            self.step = self.value(&name, attached).or(self.step.take());
        } else if let Some((variable, setting)) = self.setting(&name) {
            if let Some(value) = self.value(&name, attached) {
                self.take_setting(&name, variable, setting, value);
            }
        } else {
            self.unknown(&format!("--{name}"), attached);
        }
        None
    }

    fn own_switches(&self) -> &'static [Switch] {
        self.subcommand.map_or(&[], |subcommand| subcommand.entry().switches)
    }

    fn setting(&self, flag: &str) -> Option<(&'static str, &'static Setting)> {
        let setting = self.table.iter().find(|setting| setting.flag == Some(flag))?;
        Some((setting.variable, setting))
    }

    /// The value of `--name`: what stands after `=`, else the next argument, which must not look like a flag.
    fn value(&mut self, name: &str, attached: Option<OsString>) -> Option<OsString> {
        let value = attached.or_else(|| self.arguments.next_if(|next| !is_flag(next)));
        if value.is_none() {
            self.complain(format!("--{name}"), "needs a value");
        }
        value
    }

    fn take_setting(&mut self, flag: &str, variable: &'static str, setting: &Setting, value: OsString) {
        if secret::url_passwords(&value.to_string_lossy()).next().is_none() {
            self.overlay.insert(variable, value);
        } else if setting.file {
            self.problems.push(secret::refuse_flag(flag, Some(variable)));
        } else {
            self.problems.push(secret::refuse_url(flag));
        }
    }

    /// A flag nobody knows. It may have a value, which may be secret: it is taken away without being shown.
    fn unknown(&mut self, flag: &str, attached: Option<OsString>) {
        let name = flag.trim_start_matches('-');
        let is_secret = secret::is_secret_flag(name);
        let before_subcommand = self.subcommand.is_none();
        let value = attached.or_else(|| {
            let is_value = |next: &OsString| {
                let names_subcommand = before_subcommand && next.to_str().and_then(Subcommand::find).is_some();
                is_secret && next != "--" || !is_flag(next) && !names_subcommand
            };
            self.arguments.next_if(is_value)
        });
        let url_password = value.is_some_and(|value| secret::url_passwords(&value.to_string_lossy()).next().is_some());
        let flagless = self.table.iter().find(|setting| setting.flag.is_none() && flag_of(setting.variable) == name);
        if is_secret || url_password {
            let variable = flagless.filter(|setting| setting.file).map(|setting| setting.variable);
            self.problems.push(secret::refuse_flag(name, variable));
            return;
        }
        if let Some(setting) = flagless {
            self.complain(flag, format!("is no flag; set the variable {}", setting.variable));
            return;
        }
        let here = self.own_switches().iter().map(|switch| switch.long);
        let hint = spelling::nearest(name, self.table.iter().filter_map(|setting| setting.flag).chain(here));
        let hint = hint.map_or_else(String::new, |best| format!("; did you mean --{best}?"));
        self.complain(flag, format!("unknown flag{hint}"));
    }

    fn complain(&mut self, culprit: impl Into<String>, text: impl Into<String>) {
        // A URL in a place where none belongs is shown as well.
        self.problems.push(Problem::new(secret::without_passwords(&culprit.into()), text));
    }
}

fn is_flag(argument: &OsStr) -> bool {
    argument.len() > 1 && argument.as_bytes()[0] == b'-'
}

/// The flag a variable would have.
fn flag_of(variable: &str) -> String {
    variable.strip_prefix("BELLWETHER_").unwrap_or(variable).to_ascii_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests;
