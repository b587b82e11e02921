//! `run`: do the work of this revision, or wait until it is done; then become the command.

use std::ffi::OsString;
use std::path::Path;

use tokio::runtime::{Builder, Runtime};
use tracing::{error, info, warn};

use super::brief::{self, Refusal};
use super::log_writer::{self, LAST_WORDS, LogWriter};
use super::{complain, refuse, termination, warm};
use crate::driver::{Driver, End, LeaseSource, Setup, downgraded};
use crate::exit::{Exit, chain};
use crate::preset::{LocalBrief, Preset, Presets};
use crate::process::{self, StopSignals};
use crate::protocol::{Election, Outcome, Revision, Trust};
use crate::settings::{CommandLine, LogFormat, Mask, Settings, Warm};
use crate::volume::{Volume, describe_undo, undo_of};

/// Leads or follows, and hands off.
pub(super) fn run(line: &CommandLine, presets: Presets) -> Exit {
    process::hold_stop_signals();
    if line.has("no-wait") || is_ourselves(&line.command) {
        return hand_off(line);
    }
    if let Ok(settings) = Warm::from(&line.overlay, |name| std::env::var_os(name), presets) {
        match warm::look(&settings) {
            warm::Start::Now => {
                localize(settings.preset, &settings.rev, &settings.volume, complain);
                return hand_off(line);
            }
            warm::Start::Downgraded(newest) => {
                complain_of_downgrade(&settings, &newest);
                localize(settings.preset, &settings.rev, &settings.volume, complain);
                return hand_off(line);
            }
            warm::Start::Refused(newest) => return refuse_downgrade(&settings, &newest),
            warm::Start::Cold => {}
        }
    }
    cold(line, presets)
}

/// Lets the preset put right what is local to this container, and say what there is to say.
fn localize(preset: Option<&'static dyn Preset>, rev: &Revision, volume: &Path, say: impl Fn(&str)) {
    if let Some(preset) = preset {
        let brief = LocalBrief { revision: rev.as_str(), volume, lookup: &|name| std::env::var_os(name) };
        preset.localize(&brief).iter().for_each(|text| say(text));
    }
}

/// Apart from the ordinary warm start, like all that it does not need.
#[cold]
#[inline(never)]
fn complain_of_downgrade(settings: &Warm, newest: &str) {
    complain(&downgraded(settings.rev.as_str(), newest, &undo(settings, newest)));
}

#[cold]
#[inline(never)]
fn refuse_downgrade(settings: &Warm, newest: &str) -> Exit {
    end(&refused(settings.rev.as_str(), newest, &undo(settings, newest)))
}

/// What the steps of `newest` say of how to undo them, without what this environment tells to be secret.
fn undo(settings: &Warm, newest: &str) -> Vec<String> {
    let mut mask = Mask::new();
    mask.add_env(&std::env::vars_os().collect());
    undo_of(&settings.volume, newest, &|text| mask.mask(text).into_owned())
}

/// `docker compose run web bellwether status` has the image's entrypoint before it.
fn is_ourselves(command: &[OsString]) -> bool {
    command.first().is_some_and(|program| Path::new(program).file_name().is_some_and(|name| name == "bellwether"))
}

fn program(line: &CommandLine) -> std::borrow::Cow<'_, str> {
    line.command.first().map_or_else(Default::default, |program| program.to_string_lossy())
}

/// Apart from the warm start, whose stack would otherwise have room for all of this.
#[cold]
#[inline(never)]
fn cold(line: &CommandLine, presets: Presets) -> Exit {
    let (settings, notices) = match brief::settings(&line.overlay, presets) {
        Ok(checked) => checked,
        Err(problems) => return refuse(&problems),
    };
    brief::start_logging(&settings);
    exit_on_panic();
    for notice in notices {
        warn!("{notice}");
    }
    let setup = match brief::setup(&settings) {
        Ok(setup) => setup,
        Err(refusal) => return end(&refusal),
    };
    if settings.may_lead {
        say_who_elects(&setup);
    }
    let volume = setup.volume.clone();
    match coordinate(setup) {
        Ok((Outcome::HandOff, _, _)) => {
            localize(settings.preset, &settings.rev, &settings.volume, |text| warn!("{text}"));
            info!(rev = %settings.rev, command = %program(line), "ready: handing off");
            hand_off(line)
        }
        Ok((outcome, signal, reason)) => end(&judge(&outcome, signal, reason, &settings, &volume)),
        Err(error) => end(&Refusal::of_beginning("", &error)),
    }
}

/// Who elects then.
pub(super) const NO_REDIS: &str = "no Redis is configured: the guard on the volume alone elects the leader";

/// Once, so that nobody has to guess it from what follows.
fn say_who_elects(setup: &Setup) {
    let (Election::Lease(times), Some(LeaseSource { server, .. })) = (setup.config.election(), &setup.lease) else {
        warn!("{NO_REDIS}");
        return;
    };
    let ttl_secs = times.ttl().as_secs_f64();
    let elects = match setup.config.trust() {
        Trust::Trusted => "a lease in Redis elects the leader, and the guard on the volume lets one act",
        Trust::NotTrusted => "a lease in Redis alone elects the leader: the volume's locks are not trusted",
    };
    info!(redis = %server, ttl_secs, "{elects}");
}

/// Runs a driver to its end: how it ended, the signal that stopped it, and the reason as far as the driver knows it.
fn coordinate(setup: Setup) -> std::io::Result<(Outcome, Option<i32>, Option<String>)> {
    let may_lead = setup.config.policy.may_lead;
    let runtime: Runtime =
        Builder::new_current_thread().enable_all().on_thread_start(process::block_all_signals).build()?;
    let end = runtime.block_on(async {
        // Before any other thread: they inherit the mask.
        let mut signals = StopSignals::listen()?;
        if may_lead {
            process::become_subreaper()?;
        }
        let driver = Driver::new(setup)?;
        let stopper = driver.stopper();
        let mut stopped_by = None;
        let mut end = std::pin::pin!(driver.run());
        let mut reaping = std::pin::pin!(process::reap_continuously());
        loop {
            tokio::select! {
                biased;
                end = &mut end => return Ok((end, stopped_by)),
                signal = signals.next() => {
                    stopped_by = Some(*stopped_by.get_or_insert(signal?));
                    info!(signal = stopped_by, "asked to stop");
                    stopper.stop();
                }
                error = &mut reaping => return Err(error.err().unwrap_or_else(|| std::io::ErrorKind::Other.into())),
            }
        }
    });
    // A name that is being looked up must not hold us back.
    runtime.shutdown_background();
    let (End { outcome, volume_error, needs_error, redis_failure }, signal) = end?;
    let reason = match outcome {
        Outcome::RedisUnavailable => redis_failure,
        Outcome::NeedsUnmet => needs_error.map(|error| error.to_string()),
        _ => volume_error.map(|error| chain(&error)),
    };
    Ok((heed(outcome, signal), signal, reason))
}

/// A signal that was read when the machine had just ended is not pending any more, and the command would never get it.
fn heed(outcome: Outcome, signal: Option<i32>) -> Outcome {
    if outcome == Outcome::HandOff && signal.is_some() { Outcome::Stopped } else { outcome }
}

/// The exit code and the reason of an outcome that is no hand-off.
fn judge(
    outcome: &Outcome,
    signal: Option<i32>,
    reason: Option<String>,
    settings: &Settings,
    volume: &Volume,
) -> Refusal {
    let rev = &settings.rev;
    let (exit, fallback) = match outcome {
        Outcome::HandOff => (Exit::Ok, String::new()),
        Outcome::Stopped => {
            let signal = signal.unwrap_or(libc::SIGTERM);
            return Refusal { exit: Exit::Signal(signal), reason: format!("stopped by signal {signal}") };
        }
        Outcome::StepFailed => return Refusal { exit: Exit::StepFailed, reason: volume.describe_failure() },
        Outcome::DowngradeRefused { newest } => {
            let undo = undo_of(volume.root(), newest.as_str(), &|text| settings.mask.mask(text).into_owned());
            return refused(rev.as_str(), newest.as_str(), &undo);
        }
        Outcome::GaveUp => (
            Exit::TryLater,
            format!(
                "revision {rev} was not ready in time (BELLWETHER_READY_TIMEOUT_SECS); `bellwether status` tells more"
            ),
        ),
        Outcome::NeedsUnmet => (Exit::TryLater, "what the plan needs did not come in time".to_owned()),
        Outcome::RedisUnavailable => (
            Exit::Unavailable,
            format!(
                "no Redis for {} s (BELLWETHER_REDIS_WAIT_SECS), revision {rev} is not ready, and nobody is seen at \
                 work on it: {}",
                settings.redis.as_ref().map_or(0.0, |redis| redis.wait.as_secs_f64()),
                reason.as_deref().unwrap_or("it does not answer")
            ),
        ),
        Outcome::VolumeFailed(fault) => (Exit::of_fault(*fault), "the volume does not work".to_owned()),
        Outcome::GuardLost => (
            Exit::VolumeIo,
            "the guard on the volume was lost, so the steps have been stopped; the file system has dropped our lock"
                .to_owned(),
        ),
    };
    let reason = match outcome {
        Outcome::NeedsUnmet | Outcome::VolumeFailed(_) => reason.unwrap_or(fallback),
        _ => fallback,
    };
    Refusal { exit, reason }
}

fn refused(rev: &str, newest: &str, undo: &[String]) -> Refusal {
    let reason = format!(
        "revision {rev} is ready, but {newest} has begun since, and BELLWETHER_ON_DOWNGRADE=refuse; \
         set IMAGE_REV={newest}, or BELLWETHER_ALLOW_ROLLBACK=1 to go back to {rev}{}",
        describe_undo(newest, undo)
    );
    Refusal { exit: Exit::Usage, reason }
}

/// Makes a panic on any thread the end of this process: the loop would wait for ever for a thread that is gone.
fn exit_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let place = thread.name().unwrap_or("unnamed");
        let reason = format!("a bug of bellwether, please report it: thread {place} {panic}");
        termination::write(&reason);
        // Not as an event: the panic may have come from within one.
        if let Some(log) = log_writer::active() {
            log.push(format!("{reason}\n").into_bytes());
            log.flush(LAST_WORDS);
        } else {
            complain(&reason);
        }
        std::process::exit(Exit::Software.code());
    }));
}

/// Tells the reason, to people and to Kubernetes.
fn end(refusal: &Refusal) -> Exit {
    let (code, reason) = (refusal.exit.code(), refusal.reason.trim_end());
    match log_writer::active().map(LogWriter::format) {
        Some(LogFormat::Json) => error!(exit = code, "{reason}"),
        // A field would stand behind the last of several lines, which may be a command to copy.
        Some(LogFormat::Text) => error!("exit {code}: {reason}"),
        None => complain(reason),
    }
    termination::write(&refusal.reason);
    if let Some(log) = log_writer::active() {
        log.flush(LAST_WORDS);
    }
    refusal.exit
}

/// Becomes the command, or its parent.
fn hand_off(line: &CommandLine) -> Exit {
    if let Some(log) = log_writer::active() {
        log.close(LAST_WORDS);
    }
    let failed = if line.has("supervise") {
        match process::supervise(&line.command) {
            Ok(code) => return Exit::Command(code),
            Err(error) => error,
        }
    } else {
        process::hand_off(&line.command)
    };
    end(&Refusal { exit: failed.exit(), reason: failed.to_string() })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Set in the process that is to panic.
    const PANIC: &str = "BELLWETHER_TEST_PANIC";

    #[test]
    fn a_panic_on_any_thread_is_told_and_ends_the_process_as_a_bug() {
        let test = "commands::run::tests::a_panic_on_any_thread_is_told_and_ends_the_process_as_a_bug";
        if let Some(begun) = std::env::var_os(PANIC) {
            exit_on_panic();
            if begun == "after logging" {
                log_writer::begin(LogFormat::Text);
            }
            let thread = std::thread::Builder::new().name("volume".to_owned()).spawn(|| panic!("no such claim"));
            // What it would come to without the hook.
            let _ = thread.unwrap().join();
            return;
        }
        for when in ["before logging", "after logging"] {
            let mut again = Command::new(std::env::current_exe().unwrap());
            let output = again.args([test, "--exact", "--nocapture"]).env(PANIC, when).output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(70), "{when}: {told}");
            assert!(told.contains("a bug of bellwether") && told.contains("thread volume panicked at "), "{told}");
            assert!(told.contains("src/commands/run.rs:") && told.contains("no such claim"), "{told}");
        }
    }

    #[test]
    fn a_signal_that_was_read_before_the_hand_off_counts() {
        assert_eq!(heed(Outcome::HandOff, None), Outcome::HandOff);
        assert_eq!(heed(Outcome::HandOff, Some(libc::SIGTERM)), Outcome::Stopped);
        assert_eq!(heed(Outcome::StepFailed, Some(libc::SIGTERM)), Outcome::StepFailed);
    }
}
