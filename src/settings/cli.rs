//! The command line as clap knows it: for `--help` and `--version`. The scanner does the work.

use clap::{Arg, ArgAction, Command, value_parser};

use super::subcommands::{Entry, SUBCOMMANDS, Switch, Trailing};
use super::table::{Fallback, SETTINGS, Setting};

/// The command line. Parses what the scanner parses.
pub fn command() -> Command {
    Command::new("bellwether")
        .version(env!("CARGO_PKG_VERSION"))
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .after_help(after_help())
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .propagate_version(true)
        .args_override_self(true)
        .args(SETTINGS.iter().filter_map(setting))
        .subcommands(SUBCOMMANDS.iter().map(subcommand))
}

fn setting(setting: &'static Setting) -> Option<Arg> {
    let flag = setting.flag?;
    let help = format!("{} [env: {}]{}", setting.help, sources(setting).join(", "), default(setting));
    let argument = Arg::new(setting.variable).long(flag).value_name(setting.value_name).help(help);
    Some(argument.global(true).value_parser(value_parser!(std::ffi::OsString)).help_heading("Settings"))
}

/// The variables that say it.
fn sources(setting: &Setting) -> Vec<String> {
    let mut sources = vec![setting.variable.to_owned()];
    sources.extend(setting.aliases.iter().map(|&alias| alias.to_owned()));
    if setting.file {
        sources.push(format!("{}_FILE", setting.variable));
    }
    sources
}

fn default(setting: &Setting) -> String {
    match setting.default {
        Fallback::Required => " [required]".to_owned(),
        Fallback::Unset => String::new(),
        Fallback::Value(value) => format!(" [default: {value}]"),
    }
}

/// The settings that clap knows nothing of, and what holds for all of them.
fn after_help() -> String {
    let line = |setting: &Setting| {
        format!("  {}\n          {}{}\n", sources(setting).join(", "), setting.help, default(setting))
    };
    let variables: String = SETTINGS.iter().filter(|setting| setting.flag.is_none()).map(line).collect();
    format!(
        "Variables:\n{variables}\nEvery other setting is a flag and an environment variable; the flag wins. \
         Passwords are read from variables or files."
    )
}

fn subcommand(entry: &'static Entry) -> Command {
    let mut command = Command::new(entry.name).about(entry.about).args(entry.switches.iter().map(switch));
    if !entry.after_help.is_empty() {
        command = command.after_help(entry.after_help);
    }
    let help = match entry.command {
        Trailing::Never => return command,
        Trailing::Optional => "the command that a replica would become",
        Trailing::Required => "the command to become",
    };
    let is_required = entry.command == Trailing::Required;
    let trailing = Arg::new("COMMAND").last(true).required(is_required).num_args(1..).action(ArgAction::Append);
    command.arg(trailing.value_parser(value_parser!(std::ffi::OsString)).help(help))
}

fn switch(switch: &'static Switch) -> Arg {
    let argument = Arg::new(switch.long).long(switch.long).help(switch.help).required(switch.required);
    let argument = match switch.short {
        Some(short) => argument.short(short),
        None => argument,
    };
    match switch.value {
        Some(name) => argument.value_name(name).value_parser(value_parser!(std::ffi::OsString)),
        None => argument.action(ArgAction::SetTrue),
    }
}

#[cfg(test)]
mod tests;
