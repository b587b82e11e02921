//! The simulator: replicas in virtual time, what befalls them, and a referee.
//!
//! A seed decides who takes part, what befalls whom and when, and what the steps do; in the end the world heals, and
//! every replica has to reach its command (P7). Of a story that breaks a promise the shortest form is shown, with the
//! command that plays it again.
//!
//! | command | what |
//! |---|---|
//! | `cargo test --test sim -- --nocapture` | the seeds of every day, and what there was in them |
//! | `BELLWETHER_SIM_SEEDS=10000..20000 cargo test --test sim -- seeds --nocapture` | others |
//! | `BELLWETHER_SIM_SEED=17 cargo test --test sim -- replay --nocapture` | one, with every event and action |

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod befallen;
mod campaign;
mod cast;
mod chance;
mod incidents;
#[cfg(feature = "_mutants")]
mod mutants;
mod quiet;
mod regressions;
mod shrink;
mod stage;
mod story;

use std::collections::BTreeSet;
use std::env;

use campaign::{Sum, play_all};
use shrink::{Failure, shrink, spec, story_of};
use stage::{Sabotage, play};
use story::{Kind, Story};

/// The seeds of every day.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=7_500;

/// What is in them at the least, so that they cannot become idle unseen: lives, and of every kind of incident.
const BOOTS: u64 = 100_000;
const OF_EACH: u64 = 1_000;

#[expect(clippy::print_stdout, reason = "figures and traces are what somebody asks for with --nocapture")]
fn show(text: &str) {
    println!("{text}");
}

#[test]
fn many_seeds_break_no_promise() {
    if let Ok(range) = env::var("BELLWETHER_SIM_SEEDS") {
        let bounds = range.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
        let (from, to) = bounds.unwrap_or_else(|| panic!("BELLWETHER_SIM_SEEDS={range} is not of the form from..to"));
        let sum = play_all(from..=to);
        assert_eq!(sum.stories, to - from + 1);
        return show(&sum.to_string());
    }
    let sum = play_all(SEEDS);
    show(&sum.to_string());
    check_minima(&sum);
}

fn check_minima(sum: &Sum) {
    assert!(sum.boots >= BOOTS, "{sum}");
    for (kind, word) in Kind::ALL {
        assert!(sum.faults.get(&kind).is_some_and(|&count| count >= OF_EACH), "too few: {word}\n{sum}");
    }
    for (what, count) in [
        ("elections", sum.elections),
        ("takeovers", sum.takeovers),
        ("without trust", sum.untrusted),
        ("replicas that may not lead", sum.workers),
    ] {
        assert!(count >= OF_EACH, "too few: {what}\n{sum}");
    }
    for how in ["well", "badly", "not yet", "for good", "stopped", "vanished", "killed"] {
        assert!(sum.run_ends.get(how).is_some_and(|&count| count >= OF_EACH), "too few runs that end {how}\n{sum}");
    }
    for how in ["handed off", "step failed", "stopped", "gave up", "Redis unavailable", "volume failed", "guard lost"] {
        assert!(sum.ends.get(how).is_some_and(|&count| count >= 100), "too few lives that end: {how}\n{sum}");
    }
}

/// Plays the story of `BELLWETHER_SIM_SEED` (a seed, or a whole story in one line) and shows its trace.
#[test]
fn replay() {
    let asked = env::var("BELLWETHER_SIM_SEED").ok();
    let spec = asked.as_deref().unwrap_or("1");
    let story = story_of(spec).unwrap_or_else(|problem| panic!("BELLWETHER_SIM_SEED: {problem}"));
    match play(&story, Sabotage::None, true) {
        Ok(report) => {
            assert!(report.trace.contains("incident: "), "{story}");
            if asked.is_some() {
                show(&format!("{story}\n{}", report.trace));
            }
        }
        Err(broken) => panic!("{}\n{story}\n{}", broken.what, broken.trace),
    }
}

#[test]
fn a_seed_gives_the_same_trace_again_on_any_thread_and_in_any_order() {
    let digest =
        |seed| play(&Story::of(seed), Sabotage::None, false).unwrap_or_else(|broken| panic!("{broken:?}")).digest;
    let (forth, back) = std::thread::scope(|scope| {
        let forth = scope.spawn(|| (1..=80).map(digest).collect::<Vec<u64>>());
        let back = scope.spawn(|| (1..=80).rev().map(digest).collect::<Vec<u64>>());
        (forth.join().unwrap(), back.join().unwrap())
    });
    assert!(forth.iter().eq(back.iter().rev()));
    assert_eq!(forth.iter().collect::<BTreeSet<_>>().len(), 80, "different seeds give different traces");
    let told = play(&Story::of(1), Sabotage::None, true).unwrap_or_else(|broken| panic!("{broken:?}"));
    assert_eq!(told.digest, forth[0], "to be shown changes nothing");
}

#[test]
fn a_story_survives_being_written_down() {
    for seed in 1..=50 {
        let mut story = Story::of(seed);
        assert_eq!(story.to_string().parse(), Ok(story.clone()));
        assert_eq!(story_of(&spec(seed, &story)), Ok(story.clone()));
        story.incidents.truncate(2);
        assert_eq!(story_of(&spec(seed, &story)), Ok(story));
    }
    let good = Story::of(1).to_string();
    for wrong in ["seed", "tide 7", "seed 1", "+1 kill", "+1 kill 0 x", "+1 tickle 0 0", "1 kill 0 0"] {
        assert!(format!("{good}{wrong}").parse::<Story>().is_err(), "{wrong}");
    }
    assert_eq!(good.replacen("seed 1", "seed x", 1).parse::<Story>(), Err("\"x\" is no number".to_owned()));
}

#[test]
fn a_story_without_one_of_its_numbers_is_refused() {
    let good = Story::of(1).to_string();
    let numbers: Vec<&str> = good.lines().filter(|line| !line.starts_with('+')).collect();
    assert!(numbers.len() >= 16, "{good}");
    for number in numbers {
        let less = good.replacen(&format!("{number}\n"), "", 1);
        let name = number.split(' ').next().unwrap();
        assert_eq!(less.parse::<Story>(), Err(format!("the scene has no {name}")));
    }
}

#[test]
fn a_replica_that_never_reaches_its_command_is_noticed() {
    let (_, Failure { story, broken, .. }) = broken_by(Sabotage::NothingHeals, "P7");
    assert!(broken.what.contains("after the world has healed: replica"), "{}", broken.what);
    let forgotten: Vec<Kind> = story.incidents.iter().map(|incident| incident.kind).collect();
    assert!(forgotten.contains(&Kind::RedisDown), "{story}");
    assert!(story.incidents.len() <= 3, "{story}");
}

#[test]
fn a_lease_that_is_never_released_is_noticed() {
    // Also where nothing befalls anybody, so this is no story that needs an incident.
    let with_lease = SEEDS.map(Story::of).find(|story| story.scene.lease == 1).expect("a story with a lease");
    let story = Story { incidents: Vec::new(), ..with_lease };
    assert!(play(&story, Sabotage::None, false).is_ok());
    let broken = play(&story, Sabotage::NeverReleases, false).unwrap_err();
    assert_eq!(broken.what, "P6: it has ended, and its lease is left");
}

/// The first seed of a sabotaged world whose story needs something to befall somebody.
fn broken_by(sabotage: Sabotage, promise: &str) -> (usize, Failure) {
    for seed in SEEDS {
        let story = Story::of(seed);
        let calm = Story { incidents: Vec::new(), ..story.clone() };
        if let (Err(broken), Ok(_)) = (play(&story, sabotage, false), play(&calm, sabotage, false))
            && broken.promise == promise
        {
            return (story.incidents.len(), shrink(seed, broken, sabotage));
        }
    }
    panic!("{sabotage:?} breaks nothing");
}

#[test]
fn a_guard_that_does_not_guard_is_noticed_and_the_story_is_shrunk() {
    let (long, failure) = broken_by(Sabotage::GuardIsNone, "P1");
    let Failure { seed, story, broken } = &failure;
    assert!(long >= 10 && story.incidents.len() <= 3, "{long} incidents, {} are left:\n{story}", story.incidents.len());
    let told = failure.describe();
    let line = told.lines().find(|line| line.contains("BELLWETHER_SIM_SEED=")).unwrap();
    let given = line.split('\'').nth(1).unwrap();
    assert!(line.ends_with("cargo test --test sim -- replay --nocapture"), "{line}");
    assert_eq!(story_of(given).as_ref(), Ok(story), "seed {seed}");
    let again = play(story, Sabotage::GuardIsNone, true).unwrap_err();
    assert_eq!((&again.promise, &again.what), (&broken.promise, &broken.what));
    for word in ["incident: ", " starts, v1", "-> Spawn", "<- Claimed"] {
        assert!(again.trace.contains(word), "{word} is not in the trace:\n{}", again.trace);
    }
    assert!(play(story, Sabotage::None, false).is_ok(), "with a guard it holds");
}
