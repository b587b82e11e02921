//! `demo`: three replicas of this very binary on a temporary volume, their leader killed half-way.
//!
//! Nothing on the screen is made up: every line tells of something that was observed — a line of a replica's log, a
//! process in `/proc`, a marker on the volume, the steps' own journal, an answer over HTTP.
//!
//! | part | what |
//! |---|---|
//! | [`stage`] | the temporary volume, the plan, and what they are removed with |
//! | [`redis`] | who elects: a lease in a `redis-server`, if one is installed |
//! | [`replica`], [`words`] | one `bellwether run`, and what its log says |
//! | [`play`] | the loop: kill the leader, start it again, wait until all serve |
//! | [`step`], [`serve`] | what the replicas run: the steps and the real command, hidden subcommands |
//! | [`journal`], [`summary`] | what the steps wrote themselves, and the verdict on it |

mod ask;
mod journal;
mod play;
mod redis;
mod replica;
mod serve;
mod stage;
mod step;
mod summary;
mod timeline;
mod victim;
mod words;

use std::ffi::OsString;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::sleep;

use self::play::{Ending, Play};
use self::stage::Stage;
use self::timeline::Timeline;
use super::{complain, print};
use crate::exit::Exit;
use crate::process::{self, StopSignals, boottime, stop, tree};
use crate::settings::CommandLine;

/// The pause between two looks at processes that are about to be gone.
const LOOK: Duration = Duration::from_millis(5);
/// Longest wait for killed processes to be gone.
const GONE: Duration = Duration::from_secs(10);

/// Plays the part of a step or of a real command, if the command line asks for that.
pub(super) fn perform_part(arguments: &[OsString]) -> Option<Exit> {
    let (part, rest) = arguments.split_first()?;
    // Every probe passes here.
    if part.as_encoded_bytes().starts_with(b"__") { play(part.to_str()?, rest) } else { None }
}

#[cold]
#[inline(never)]
fn play(part: &str, rest: &[OsString]) -> Option<Exit> {
    match part {
        step::ARGUMENT => Some(step::work(rest)),
        step::HELPER_ARGUMENT => Some(step::help()),
        serve::ARGUMENT => Some(serve::serve(rest)),
        redis::ARGUMENT => Some(redis::become_server(rest)),
        _ => None,
    }
}

/// Shows it all, and leaves nothing behind.
pub(super) fn demo(line: &CommandLine) -> Exit {
    let (keep, is_redis_wanted) = (line.has("keep"), !line.has("no-redis"));
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return give_up(&format!("cannot begin: {error}"), Exit::Software),
    };
    let exit = runtime.block_on(async {
        // Before anything is there that a signal could leave behind. Orphans come to us, so whatever is left of
        // anything can be found and ended.
        match StopSignals::listen().and_then(|signals| process::become_subreaper().map(|()| signals)) {
            Ok(signals) => on_stage(keep, is_redis_wanted, signals).await,
            Err(error) => give_up(&format!("cannot begin: {error}"), Exit::Software),
        }
    });
    runtime.shutdown_background();
    exit
}

async fn on_stage(keep: bool, is_redis_wanted: bool, signals: StopSignals) -> Exit {
    let stage = match Stage::build(keep) {
        Ok(stage) => stage,
        Err(reason) => return give_up(&reason, Exit::VolumeIo),
    };
    let exit = perform(&stage, is_redis_wanted, signals).await;
    match stage.clear() {
        Ok(()) => exit,
        Err(reason) => give_up(&reason, Exit::VolumeIo),
    }
}

async fn perform(stage: &Stage, is_redis_wanted: bool, mut signals: StopSignals) -> Exit {
    let timeline = Timeline::begin();
    let mut play = Play::new(stage, timeline.clone());
    let ending = tokio::select! {
        biased;
        signal = signals.next() => Ending::Interrupted(signal.unwrap_or(libc::SIGTERM)),
        error = process::reap_continuously() => Ending::Failed(format!("cannot reap: {error:?}")),
        ending = play.run(is_redis_wanted) => ending,
    };
    let facts = play.facts();
    // Replicas without an owner are reaped like everybody else.
    drop(play);
    let all_gone = end_everybody().await;
    let exit = match ending {
        Ending::Complete => summary::tell(&facts, stage, &timeline),
        Ending::Interrupted(signal) => {
            print(&format!("\ninterrupted by signal {signal}"));
            Exit::Signal(signal)
        }
        Ending::Failed(reason) => {
            give_up(&format!("\nthe demo did not come to its end: {reason}\n{}", facts.seen()), Exit::Software)
        }
    };
    if all_gone { exit } else { give_up("some of its processes cannot be ended", Exit::Software) }
}

/// Kills whatever descends from this process, however far away it has moved, until nobody is left.
async fn end_everybody() -> bool {
    let deadline = boottime::now() + GONE;
    loop {
        let alive = stop::kill_descendants(None);
        process::reap_orphans();
        if alive.is_empty() && tree::own_descendants().is_empty() {
            return true;
        }
        if boottime::now() >= deadline {
            return false;
        }
        sleep(LOOK).await;
    }
}

fn give_up(reason: &str, exit: Exit) -> Exit {
    complain(reason);
    exit
}
