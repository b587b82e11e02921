//! Chaos: the real binary, real Redis servers, and whatever can go wrong, by seeds; a referee outside judges.
//!
//! `tests/run chaos` plays thirty rounds; `tests/run chaos --seeds 1..1000` as many as you like, `--seed 17` one with all that
//! happened in it, `--mutant NAME` some with a fault in the binary, which has to be found. A seed decides who takes part, what is to be done, and what breaks when; what comes of it is decided by the
//! machine, too, so a seed that failed need not fail again. See `scene` for what a seed says, `kind` for what breaks,
//! `referee` for what is judged.
//!
//! This one program is the campaign, each round (in namespaces of its own), and the steps and commands that replicas run.

#![expect(clippy::print_stdout, reason = "a program that tells what it finds")]
#![expect(clippy::print_stderr, reason = "a program that tells what it finds")]

mod breach;
mod broken;
mod campaign;
mod clock;
mod faults;
mod journal;
mod jumps;
mod kind;
mod markers;
mod monitor;
mod mutants;
mod needs;
mod network;
mod options;
mod processes;
mod redis;
mod referee;
mod replica;
mod round;
mod run;
mod scene;
mod scratch;
mod secrets;
mod self_test;
mod self_test_times;
mod silence;
mod step;
mod tally;
mod timeline;
mod variables;
mod volume;
mod watcher;
mod world;

#[expect(clippy::unwrap_used, reason = "the simulator's")]
#[path = "../sim/chance.rs"]
mod chance;
#[expect(dead_code, reason = "only what may fail is asked here")]
#[path = "../redis_server/resp.rs"]
mod resp;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use options::{Options, USAGE};

/// How long a Redis is waited for in a conversation with it: it may be frozen, on purpose.
const LIMIT: Duration = Duration::from_millis(300);

const BAD_USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;
const BROKEN: u8 = 1;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    match arguments.first().map_or("", String::as_str) {
        "step" => step::step(rest),
        "fork" => step::fork(rest),
        "member" => step::member(rest),
        "serve" => step::serve(rest),
        "round" => round(rest),
        _ => campaign(&arguments),
    }
}

/// `round SEED SCRATCH BINARY PRELOAD MUTANT`, with `-` for no mutant: the first process of its namespaces.
fn round(arguments: &[String]) -> ExitCode {
    let [seed, scratch, binary, preload, mutant] = arguments else { panic!("round: {arguments:?}") };
    // A thread that cannot go on must not leave the round to itself.
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        std::process::exit(BROKEN.into());
    }));
    let [scratch, binary, preload] = [scratch, binary, preload].map(Path::new);
    match round::play(seed.parse().expect("a seed"), scratch, binary, preload, mutant) {
        Ok(tally) => {
            std::fs::write(campaign::round_result(scratch), tally.to_json()).expect("there is room for the result");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(BROKEN)
        }
    }
}

fn campaign(arguments: &[String]) -> ExitCode {
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("chaos: {problem}\n{USAGE}");
            conclude(0, 1);
            return ExitCode::from(BAD_USAGE);
        }
    };
    let proven = match self_test::run() {
        Ok(count) => count,
        Err(problem) => {
            println!("the referee does not see what it has to see: {problem}");
            return conclude(0, 1);
        }
    };
    println!("self-test ... ok: the referee tells {proven} journals made by hand apart");
    if options.only_self_test {
        return conclude(proven, 0);
    }
    let missing = needs::missing(&options.binary);
    if !missing.is_empty() {
        eprintln!("chaos: rounds need {}", missing.join("; "));
        conclude(proven, 1);
        return ExitCode::from(UNAVAILABLE);
    }
    if let Some(name) = &options.mutant {
        return hunt(name, &options);
    }
    match campaign::play(&options) {
        Ok(results) => {
            let gaps = results.gaps(&options);
            if !gaps.is_empty() {
                println!("FAILED: these never happened, so nothing is shown about them: {}", gaps.join(", "));
            }
            conclude(results.passed + proven, results.failed + gaps.len())
        }
        Err(error) => {
            eprintln!("chaos: {error}");
            conclude(proven, 1);
            ExitCode::from(UNAVAILABLE)
        }
    }
}

/// Whether a fault in the binary itself is found.
fn hunt(name: &str, options: &Options) -> ExitCode {
    match mutants::hunt(name, options) {
        Ok(true) => conclude(1, 0),
        Ok(false) => conclude(0, 1),
        Err(error) => {
            eprintln!("chaos: {error}");
            conclude(0, 1);
            ExitCode::from(UNAVAILABLE)
        }
    }
}

/// The last line, as other test programs have it.
fn conclude(passed: usize, failed: usize) -> ExitCode {
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) }
}
