use std::ffi::OsString;

use clap::ArgMatches;
use clap::error::ErrorKind;

use super::*;
use crate::settings::env::Overlay;
use crate::settings::flags::{CommandLine, Scan, scan};
use crate::settings::subcommands::Subcommand;

/// What clap makes of a command line, in the scanner's words; `None` for an error.
fn parsed(words: &[&str]) -> Option<Scan> {
    let matches = match command().try_get_matches_from(["bellwether"].iter().chain(words)) {
        Ok(matches) => matches,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => return Some(Scan::Help),
        Err(error) if error.kind() == ErrorKind::DisplayVersion => return Some(Scan::Version),
        Err(_) => return None,
    };
    let (name, matches) = matches.subcommand()?;
    let subcommand = Subcommand::find(name)?;
    let switches = subcommand.entry().switches.iter();
    Some(Scan::Do(CommandLine {
        subcommand,
        overlay: overlay(matches),
        switches: switches
            .clone()
            .filter(|switch| switch.value.is_none() && matches.get_flag(switch.long))
            .map(|switch| switch.long)
            .collect(),
        step: matches.try_get_one::<OsString>("step").ok().flatten().cloned(),
        command: matches.try_get_many::<OsString>("COMMAND").ok().flatten().into_iter().flatten().cloned().collect(),
    }))
}

fn overlay(matches: &ArgMatches) -> Overlay {
    let value =
        |setting: &'static Setting| Some((setting.variable, matches.get_one::<OsString>(setting.variable)?.clone()));
    SETTINGS.iter().filter(|setting| setting.flag.is_some()).filter_map(value).collect()
}

/// Every line of up to `length` words.
fn lines(words: &[&'static str], length: usize) -> Vec<Vec<&'static str>> {
    let mut all = vec![Vec::new()];
    let mut from = 0;
    for _ in 0..length {
        let to = all.len();
        for at in from..to {
            for word in words {
                let longer = all[at].iter().chain([word]).copied().collect();
                all.push(longer);
            }
        }
        from = to;
    }
    all
}

fn assert_agreement(line: &[&str]) {
    let scanned = scan(line.iter().map(OsString::from)).ok();
    assert_eq!(scanned, parsed(line), "{line:?}");
}

#[test]
fn clap_and_the_scanner_agree() {
    let run = ["run", "--", "--rev", "--rev=", "v1", "--no-wait", "--no-wait=x", "-", "-h", "--supervise", "-5", "--="];
    for line in lines(&run, 3) {
        assert_agreement(&line);
    }
    let others = ["ready", "-v", "-vv", "-vh", "-vx", "skip", "--step", "--step=a", "--force", "--log=a=b", "-V", "--"];
    for line in lines(&others, 3) {
        assert_agreement(&line);
    }
}

#[test]
fn clap_and_the_scanner_agree_on_longer_lines() {
    for line in [
        "--rev a run --rev b -- sh -c --rev",
        "--rev a --rev b ready --verbose",
        "run --no-wait --no-wait --supervise -- sh -- x",
        "run --volume /a --plan=/b --log-format json -- --help",
        "run --volume /a --help -- x",
        "status --json --watch --history --step-stale-secs 0.5",
        "plan --schema --json",
        "retry --force --step x",
        "reset --step=x --step y --force",
        "demo --keep --bogus",
        "doctor",
        "doctor --json -- sh -c --json",
        "doctor --",
        "doctor sh",
        "doctor --help",
        "demo demo",
        "bogus",
        "help",
        "--version=1 run -- x",
        "run -- x --version",
        "run --versio -- x",
        "--redis-pass x run -- y",
    ] {
        assert_agreement(&line.split(' ').collect::<Vec<_>>());
    }
}

#[test]
fn the_command_is_well_formed() {
    command().debug_assert();
}

#[test]
fn help_shows_every_setting() {
    insta::assert_snapshot!(command().render_help());
}

#[test]
fn help_of_doctor_shows_its_exit_codes() {
    let mut command = command();
    command.build();
    let help = command.find_subcommand_mut("doctor").unwrap().render_help().to_string();
    let (head, tail) = help.split_once("Settings:").unwrap();
    insta::assert_snapshot!(head, @"
    look for what keeps replicas from starting, and say how to repair it

    Usage: bellwether doctor [OPTIONS] [-- <COMMAND>...]

    Arguments:
      [COMMAND]...  the command that a replica would become

    Options:
          --json     for programs
      -h, --help     Print help
      -V, --version  Print version
    ");
    let codes = tail.split_once("Exit codes: ").unwrap().1;
    for code in ["0 if", "64 ", "69 ", "70 ", "74 ", "75 ", "77 ", "78 ", "126 ", "127 "] {
        assert!(codes.contains(code), "{code}: {codes}");
    }
}

#[test]
fn help_of_run_shows_its_flags() {
    let mut command = command();
    command.build();
    let help = command.find_subcommand_mut("run").unwrap().render_help().to_string();
    insta::assert_snapshot!(help.split("Settings:").next().unwrap(), @r"
    do the work of this revision, or wait until it is done; then become the command

    Usage: bellwether run [OPTIONS] -- <COMMAND>...

    Arguments:
      <COMMAND>...  the command to become

    Options:
          --no-wait    become the command at once; never lead
          --supervise  stay as the command's parent: forward signals, reap, exit with its code
      -h, --help       Print help
      -V, --version    Print version
    ");
}
