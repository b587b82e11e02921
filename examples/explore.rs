//! The model of the protocol, to be walked through in a browser or checked in instances of one's own.
//!
//! ```text
//! cargo run --release --no-default-features --features _mutants --example explore -- [OPTIONS] [INSTANCE]
//!   --list             the instances there are, with their faults
//!   --check            goes through the whole space instead of showing it
//!   --kind KIND        guard, lease or no-trust, for an instance of one's own
//!   --replicas N       how many replicas (2)
//!   --steps N          how many steps, one after another (1)
//!   --fault NAME=N     N faults of a kind, as --list calls them; may be repeated
//!   --mutant NAME      with a fault in the protocol, as `protocol::mutant` calls them
//!   --port N           where the explorer listens, on the loopback interface (3000)
//! ```

#![expect(clippy::print_stdout, reason = "it is a program for people")]

#[path = "../tests/model/space/mod.rs"]
mod space;

use std::collections::VecDeque;
use std::process::ExitCode;

use bellwether::protocol::mutant;
use space::budget::{FAULTS, Fault};
use space::instances::{Instance, Kind, large, usual};
use space::story::story;
use stateright::{Checker, Expectation, Model};

/// What was asked for.
struct Asked {
    instance: Instance,
    check: bool,
    port: u16,
}

fn main() -> ExitCode {
    let words: VecDeque<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--list") {
        list();
        return ExitCode::SUCCESS;
    }
    match parse(words) {
        Err(problem) => {
            println!("{problem}; `--list` names the instances, and the source of this example all options");
            ExitCode::from(64)
        }
        Ok(asked) if asked.check => check(&asked.instance),
        Ok(asked) => {
            println!("http://127.0.0.1:{}", asked.port);
            asked.instance.space().checker().serve(("127.0.0.1", asked.port));
            ExitCode::SUCCESS
        }
    }
}

fn list() {
    for instance in usual().iter().chain(&large()) {
        println!("{:28} {:9} states  {:?}", instance.name, instance.states, instance.faults);
    }
    println!("faults: {FAULTS:?}");
}

fn parse(mut words: VecDeque<String>) -> Result<Asked, String> {
    let mut asked = Asked { instance: Instance::new("of one's own", Kind::Guard, 0), check: false, port: 3000 };
    while let Some(word) = words.pop_front() {
        let mut value = || words.pop_front().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--check" => asked.check = true,
            "--kind" => asked.instance.kind = kind(&value()?)?,
            "--replicas" => asked.instance.revs = vec!["v1"; number(&value()?)?],
            "--steps" => asked.instance.steps = number(&value()?)?,
            "--fault" => asked.instance.faults.push(fault(&value()?)?),
            "--mutant" => mutant::switch_on(&value()?).map_err(|name| format!("there is no mutant {name:?}"))?,
            "--port" => asked.port = number(&value()?)?,
            name => {
                let known = usual().into_iter().chain(large()).find(|known| known.name == name);
                asked.instance = known.ok_or_else(|| format!("there is no instance {name:?}"))?;
            }
        }
    }
    match asked.instance.idle_fault() {
        Some(fault) => Err(format!("{fault:?} has no effect in this instance")),
        None => Ok(asked),
    }
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("{text:?} is no number that fits"))
}

fn kind(text: &str) -> Result<Kind, String> {
    match text {
        "guard" => Ok(Kind::Guard),
        "lease" => Ok(Kind::Lease),
        "no-trust" => Ok(Kind::NoTrust),
        _ => Err(format!("{text:?} is none of guard, lease, no-trust")),
    }
}

fn fault(text: &str) -> Result<(Fault, u8), String> {
    let (name, times) = text.split_once('=').ok_or_else(|| format!("{text:?} is not of the form NAME=N"))?;
    let fault = FAULTS.iter().copied().find(|fault| format!("{fault:?}") == name);
    Ok((fault.ok_or_else(|| format!("there is no fault {name:?}"))?, number(times)?))
}

fn check(instance: &Instance) -> ExitCode {
    let space = instance.space();
    let checker = space.clone().checker().threads(2).spawn_bfs().join();
    println!("{} states, the longest way to one has {} actions", checker.unique_state_count(), checker.max_depth());
    let mut code = ExitCode::SUCCESS;
    let always = space.properties().into_iter().filter(|property| property.expectation == Expectation::Always);
    for (name, path) in always.filter_map(|property| Some((property.name, checker.discovery(property.name)?))) {
        println!("broken is {name}\n{}", story(&space, path));
        code = ExitCode::FAILURE;
    }
    code
}
