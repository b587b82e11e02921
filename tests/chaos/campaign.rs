//! Many rounds at a time, each in a process and namespaces of its own: what there was in sum, and those that broke a promise.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::clock;
use crate::journal::now;
use crate::kind::Kind;
use crate::options::Options;
use crate::scratch::Scratch;
use crate::tally::Tally;

/// No round takes as long.
const LIMIT: Duration = Duration::from_secs(240);

/// In so many rounds each kind of fault happens.
const ENOUGH: u64 = 30;

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

/// What became of all rounds.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    sum: Tally,
}

/// Plays them all, and tells of each that failed.
pub(crate) fn play(options: &Options) -> io::Result<Results> {
    let scratch = Scratch::new()?;
    let preload = clock::build(scratch.path()).map_err(io::Error::other)?;
    let (next, results) = (AtomicU64::new(*options.seeds.start()), Mutex::new(Results::default()));
    let began = now();
    thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > *options.seeds.end() {
                        return;
                    }
                    let result = one(seed, &scratch, &preload, options);
                    let mut results = results.lock().expect("no other thread has panicked");
                    results.take(seed, result, &scratch, options);
                }
            });
        }
    });
    let results = results.into_inner().expect("no thread has panicked");
    println!("\n{}took {} s", results.sum, (now() - began) / 1_000_000_000);
    Ok(results)
}

/// One round in its sandbox.
fn one(seed: u64, scratch: &Scratch, preload: &Path, options: &Options) -> Result<Tally, String> {
    let place = scratch.round(seed);
    let failed = |error: io::Error| format!("cannot be played: {error}");
    fs::create_dir(&place).map_err(failed)?;
    let this = std::env::current_exe().map_err(failed)?;
    let said = fs::File::create(place.join("said")).map_err(failed)?;
    let mut child = Command::new(SANDBOX[0])
        .args(&SANDBOX[1..])
        .arg("--")
        .arg(this)
        .args(["round", &seed.to_string()])
        .args([&place, &options.binary, &preload.to_owned()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said)
        .spawn()
        .map_err(failed)?;
    let limit = now() + u64::try_from(LIMIT.as_nanos()).expect("minutes");
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        if now() > limit {
            child.kill().map_err(failed)?;
            child.wait().map_err(failed)?;
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
            let kept = scratch.keep(seed);
            println!("round {seed} ... FAILED\n  {}", broken.join("\n  "));
            println!("  everything about it: {}", kept.display());
            println!("  once more: tests/run chaos --seed {seed}");
        }
        if let Ok(tally) = result {
            self.sum.add(&tally);
        }
    }

    /// What there should have been and was not: then nothing was shown.
    pub(crate) fn gaps(&self) -> Vec<String> {
        let count = |name: &str| self.sum.counts.get(name).copied().unwrap_or(0);
        let mut gaps = Vec::new();
        if self.sum.rounds >= ENOUGH {
            let kinds = Kind::ALL.iter().map(|(_, word, _)| *word);
            gaps.extend(kinds.filter(|word| !self.sum.faults.contains_key(*word)).map(str::to_owned));
            let needed = ["takeovers", "untrusted", "guard alone", "failed for good", "with clocks"];
            gaps.extend(needed.into_iter().filter(|name| count(name) == 0).map(str::to_owned));
        }
        if count("hand-offs") == 0 || count("elections") == 0 {
            gaps.push("hand-offs".to_owned());
        }
        gaps
    }
}

/// The directories of one campaign; see [`Scratch`].
pub(crate) fn round_result(scratch: &Path) -> PathBuf {
    scratch.join("result")
}
