//! Many rounds at a time, each in a process and namespaces of its own: what there was in sum, and those that broke a promise.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

use crate::clock;
use crate::journal::now;
use crate::kind::Kind;
use crate::mutants;
use crate::options::Options;
use crate::processes;
use crate::scratch::Scratch;
use crate::tally::Tally;

/// No round takes as long.
const LIMIT: Duration = Duration::from_secs(240);

/// In so many rounds each kind of fault happens.
const ENOUGH: u64 = 30;

/// And each of these.
const NEEDED: [&str; 9] = [
    "takeovers",
    "untrusted",
    "guard alone",
    "few attempts",
    "failed for good",
    "Redis clocks seen to jump",
    "markers seen to beat",
    "leases heard to be kept or given back",
    "packets dropped",
];

/// And this, if the binary is one whose clock can be moved.
const JUMPED: &str = "clocks seen to jump";

/// What puts a round into namespaces of its own, and ends it when this program ends, however that comes about.
const SANDBOX: [&str; 12] = [
    "setpriv",
    "--pdeathsig",
    "KILL",
    "unshare",
    "--mount",
    "--pid",
    "--net",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--propagation",
    "private",
];

/// The processes of rounds, for whoever interrupts us.
static ROUNDS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// One of them. Dropping it kills it, and with it all that its namespaces hold.
struct UnderWay(Child);

impl UnderWay {
    fn start(command: &mut Command) -> io::Result<UnderWay> {
        let mut rounds = ROUNDS.lock().expect("no other thread has panicked");
        let child = command.spawn()?;
        rounds.insert(child.id());
        Ok(UnderWay(child))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // It may have ended, which is usual.
        let _ = self.0.kill();
        let _ = self.0.wait();
        ROUNDS.lock().expect("no other thread has panicked").remove(&self.0.id());
    }
}

/// At a request to end: ends all rounds, and leaves nothing behind. They would not hear of it by themselves, since the first
/// process of a namespace hears only what it asks for.
fn end_when_asked(scratch: PathBuf) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        // Kept, so that no other round begins.
        let rounds = ROUNDS.lock().expect("no other thread has panicked");
        for pid in rounds.iter() {
            processes::signal(i32::try_from(*pid).expect("a pid"), Signal::KILL);
        }
        // The last of their processes may be writing at this moment.
        for _ in 0..100 {
            if fs::remove_dir_all(&scratch).is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        std::process::exit(130);
    });
    Ok(())
}

/// What became of all rounds.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    sum: Tally,
}

/// Plays them all, and tells of each that failed.
pub(crate) fn play(options: &Options) -> io::Result<Results> {
    let (results, began) = (Mutex::new(Results::default()), now());
    each(options, |seed, result, scratch| {
        results.lock().expect("no other thread has panicked").take(seed, result, scratch, options);
        ControlFlow::Continue(())
    })?;
    let results = results.into_inner().expect("no thread has panicked");
    println!("\n{}took {} s", results.sum, (now() - began) / 1_000_000_000);
    Ok(results)
}

/// Plays one round after the other, some at a time, as long as whoever takes the results goes on.
pub(crate) fn each<F>(options: &Options, take: F) -> io::Result<()>
where
    F: Fn(u64, Result<Tally, String>, &Scratch) -> ControlFlow<()> + Sync,
{
    let scratch = Scratch::new()?;
    let preload = clock::build(scratch.path()).map_err(io::Error::other)?;
    end_when_asked(scratch.path().to_owned())?;
    let next = AtomicU64::new(*options.seeds.start());
    thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > *options.seeds.end() {
                        return;
                    }
                    let result = one(seed, &scratch, &preload, options);
                    if take(seed, result, &scratch).is_break() {
                        next.store(u64::MAX / 2, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    Ok(())
}

/// One round in its sandbox.
fn one(seed: u64, scratch: &Scratch, preload: &Path, options: &Options) -> Result<Tally, String> {
    let place = scratch.round(seed);
    let failed = |error: io::Error| format!("cannot be played: {error}");
    fs::create_dir(&place).map_err(failed)?;
    let this = std::env::current_exe().map_err(failed)?;
    let said = fs::File::create(place.join("said")).map_err(failed)?;
    let mut child = UnderWay::start(
        Command::new(SANDBOX[0])
            .args(&SANDBOX[1..])
            .arg("--")
            .arg(this)
            .args(["round", &seed.to_string()])
            .args([&place, &options.binary, &preload.to_owned()])
            .arg(options.mutant.as_deref().unwrap_or(mutants::NONE))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said),
    )
    .map_err(failed)?;
    let limit = now() + u64::try_from(LIMIT.as_nanos()).expect("minutes");
    let status = loop {
        if let Some(status) = child.0.try_wait().map_err(failed)? {
            break status;
        }
        if now() > limit {
            return Err(format!("not over after {LIMIT:?}"));
        }
        thread::sleep(Duration::from_millis(20));
    };
    let said = fs::read_to_string(place.join("said")).unwrap_or_default();
    let tally = fs::read_to_string(place.join("result")).ok().and_then(|text| Tally::from_json(&text));
    tally.filter(|_| status.success()).ok_or_else(|| format!("ended with {status} and without a result\n{said}"))
}

impl Results {
    fn take(&mut self, seed: u64, result: Result<Tally, String>, scratch: &Scratch, options: &Options) {
        let broken = match &result {
            Ok(tally) => tally.findings.clone(),
            Err(problem) => vec![problem.clone()],
        };
        if options.tells_all || !broken.is_empty() {
            println!("{}", fs::read_to_string(scratch.round(seed).join("timeline")).unwrap_or_default());
        }
        if broken.is_empty() {
            self.passed += 1;
            println!("round {seed} ... ok");
            let _ = fs::remove_dir_all(scratch.round(seed));
        } else {
            self.failed += 1;
            println!("round {seed} ... FAILED\n  {}", broken.join("\n  "));
            match scratch.keep(seed) {
                Ok(kept) => println!("  everything about it: {}", kept.display()),
                Err(error) => println!("  nothing of it is kept: {error}"),
            }
            println!("  once more: tests/run chaos --seed {seed}");
        }
        if let Ok(tally) = result {
            self.sum.add(&tally);
        }
    }

    /// What there should have been and was not: then nothing was shown.
    pub(crate) fn gaps(&self, options: &Options) -> Vec<String> {
        let count = |name: &str| self.sum.counts.get(name).copied().unwrap_or(0);
        let mut gaps = Vec::new();
        if self.sum.rounds >= ENOUGH {
            let kinds = Kind::ALL.iter().map(|(_, word, _)| *word);
            gaps.extend(kinds.filter(|word| !self.sum.faults.contains_key(*word)).map(str::to_owned));
            gaps.extend(NEEDED.into_iter().filter(|name| count(name) == 0).map(str::to_owned));
            // Nothing can be preloaded into a static one.
            if !options.has_other_binary && count(JUMPED) == 0 {
                gaps.push(JUMPED.to_owned());
            }
        }
        // A revision that fails for good hands off nobody.
        let is_sound = self.sum.rounds > count("failed for good");
        if is_sound && (count("hand-offs") == 0 || count("elections") == 0) {
            gaps.push("hand-offs".to_owned());
        }
        gaps
    }
}

/// Where a round leaves its result.
pub(crate) fn round_result(scratch: &Path) -> PathBuf {
    scratch.join("result")
}
