//! Many seeds, on all cores: what there was in sum, and the first story that breaks a promise, shrunk.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::shrink::shrink;
use crate::stage::{Report, Sabotage, play};
use crate::story::{Kind, Story};

/// What there was in all stories.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) stories: u64,
    pub(crate) boots: u64,
    pub(crate) untrusted: u64,
    pub(crate) workers: u64,
    pub(crate) elections: u64,
    pub(crate) takeovers: u64,
    pub(crate) runs: u64,
    pub(crate) faults: BTreeMap<Kind, u64>,
    pub(crate) run_ends: BTreeMap<&'static str, u64>,
    pub(crate) ends: BTreeMap<&'static str, u64>,
    pub(crate) virtual_time: Duration,
    pub(crate) longest_settling: Duration,
    pub(crate) real_time: Duration,
}

impl Sum {
    fn add(&mut self, story: &Story, report: &Report) {
        let (scene, tally) = (&story.scene, &report.tally);
        self.stories += 1;
        self.boots += tally.boots;
        self.untrusted += if scene.trusted == 0 { tally.boots } else { 0 };
        self.workers += scene.workers;
        self.elections += tally.elections;
        self.takeovers += tally.takeovers;
        self.runs += tally.runs;
        for (kind, count) in &report.faults {
            *self.faults.entry(*kind).or_default() += count;
        }
        for (sums, counts) in [(&mut self.run_ends, &tally.run_ends), (&mut self.ends, &tally.ends)] {
            for (how, count) in counts {
                *sums.entry(how).or_default() += count;
            }
        }
        self.virtual_time += report.took;
        self.longest_settling = self.longest_settling.max(report.settled);
    }
}

/// Plays the stories of these seeds. Panics with the first that breaks a promise, shrunk.
pub(crate) fn play_all(seeds: std::ops::RangeInclusive<u64>) -> Sum {
    let (begun, next, stop) = (now(), AtomicU64::new(*seeds.start()), AtomicBool::new(false));
    let (sum, failed) = (Mutex::new(Sum::default()), Mutex::new(None));
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > *seeds.end() {
                return;
            }
            let story = Story::of(seed);
            match play(&story, Sabotage::None, false) {
                Ok(report) => sum.lock().unwrap().add(&story, &report),
                Err(broken) => {
                    stop.store(true, Ordering::Relaxed);
                    failed.lock().unwrap().get_or_insert((seed, broken));
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    if let Some((seed, broken)) = failed.into_inner().unwrap() {
        panic!("{}", shrink(seed, broken, Sabotage::None).describe());
    }
    Sum { real_time: now().duration_since(begun), ..sum.into_inner().unwrap() }
}

#[expect(clippy::disallowed_methods, reason = "how long it took is told, and decides nothing")]
fn now() -> Instant {
    Instant::now()
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sum { stories, boots, untrusted, workers, elections, takeovers, runs, .. } = self;
        let hours = self.virtual_time.as_secs() / 3600;
        writeln!(
            f,
            "{stories} stories, {boots} boots ({untrusted} without trust in the guard), {hours} h of virtual time"
        )?;
        writeln!(f, "{elections} elections, {takeovers} takeovers, {runs} runs, {workers} replicas that may not lead")?;
        writeln!(f, "settled at the latest {:?} after the healing; took {:?}", self.longest_settling, self.real_time)?;
        for (kind, count) in &self.faults {
            writeln!(f, "{count:>9} {}", kind.word())?;
        }
        for (title, counts) in [("how runs ended", &self.run_ends), ("how lives ended", &self.ends)] {
            writeln!(f, "{title}:")?;
            for (how, count) in counts {
                writeln!(f, "{count:>9} {how}")?;
            }
        }
        Ok(())
    }
}
