//! One round: a process that is the first of its namespaces, so nothing that the round has started, mounted or set up outlives it.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, WaitOptions, wait};

use crate::broken::CLEARING;
use crate::faults::{Outcome, Undo};
use crate::journal::{Entry, What, now};
use crate::network::Network;
use crate::processes;
use crate::referee::judge;
use crate::scene::{Fault, Scene};
use crate::secrets;
use crate::silence::EVERYTHING;
use crate::tally::Tally;
use crate::timeline;
use crate::world::World;

const TICK: Duration = Duration::from_millis(2);
/// How long a fault waits for somebody whom it could hit; the first one, which is the seed's own, longer than a start takes on
/// the busiest machine.
const PATIENCE: Duration = Duration::from_secs(2);
const FIRST_PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at the command lines of all processes.
const GLANCE: Duration = Duration::from_millis(100);
/// Before an orchestrator starts a replica again.
const RESPAWN: Duration = Duration::from_millis(100);
/// Before what could not be mended is tried again.
const RETRY: Duration = Duration::from_millis(200);
/// A warm start needs neither a Redis nor a volume that can be written to.
const WARM_LIMIT: Duration = Duration::from_secs(20);

/// What is said of one that is late.
pub(crate) const WARM: &str = "warm-start";

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).expect("a span of minutes")
}

/// Plays it. The result is in the scratch directory; the exit code tells whether it could be played.
pub(crate) fn play(seed: u64, scratch: &Path, binary: &Path, preload: &Path, mutant: &str) -> io::Result<Tally> {
    let began = now();
    let mut round = Round::new(World::new(Scene::of(seed), scratch, binary, preload, mutant)?);
    round.break_and_mend()?;
    let healed = now();
    round.settle(healed)?;
    let settled = now() - healed;
    round.start_warm()?;
    round.look_for_the_secret(true);
    round.world.look()?;
    let entries = round.world.entries();
    let findings = judge(&round.world.scene.rules(), entries);
    let dropped = if round.world.scene.has_redis { Network::dropped()? } else { 0 };
    let heard = round.world.redis.as_ref().map_or(0, |redis| redis.heard.load(Ordering::Relaxed));
    let log = fs::read_to_string(scratch.join("log"))?;
    let mut tally = Tally::of(&round.world.scene, entries, &log, heard, dropped);
    tally.findings = findings.iter().map(ToString::to_string).collect();
    for fault in &round.put_off {
        *tally.missed.entry(fault.kind.word().to_owned()).or_default() += 1;
    }
    (tally.settled_ms, tally.took_ms) = (settled / 1_000_000, (now() - began) / 1_000_000);
    timeline::write(&round.world, entries, &findings)?;
    if !findings.is_empty() {
        round.world.volume.copy_to(&scratch.join("volume-as-it-was"))?;
    }
    Ok(tally)
}

struct Round {
    world: World,
    undone: Vec<(u64, Undo)>,
    /// Faults that found nobody yet whom they could hit.
    put_off: Vec<Fault>,
    looked_at: u64,
}

impl Round {
    fn new(world: World) -> Round {
        Round { world, undone: Vec::new(), put_off: Vec::new(), looked_at: 0 }
    }

    /// Until the schedule is over, or everybody serves.
    fn break_and_mend(&mut self) -> io::Result<()> {
        if let Some(redis) = &self.world.redis {
            wait_for(|| redis.is_answering());
        }
        let mut next = now();
        for (nth, fault) in self.world.scene.faults.clone().into_iter().enumerate() {
            next += nanos(fault.gap);
            while now() < next {
                self.tick()?;
                self.try_again();
            }
            if self.is_over() {
                return Ok(());
            }
            next = now() + nanos(if nth == 0 { FIRST_PATIENCE } else { PATIENCE });
            while !self.try_inflict(&fault) {
                if now() >= next || self.is_over() {
                    self.put_off.push(fault);
                    break;
                }
                self.tick()?;
            }
            next = now();
        }
        while !self.undone.is_empty() && !self.is_over() {
            self.tick()?;
            self.try_again();
        }
        Ok(())
    }

    /// Those whose moment did not come while they were waited for.
    fn try_again(&mut self) {
        let put_off = std::mem::take(&mut self.put_off);
        self.put_off = put_off.into_iter().filter(|fault| !self.try_inflict(fault)).collect();
    }

    /// `false` if it could not be done yet.
    fn try_inflict(&mut self, fault: &Fault) -> bool {
        // It may be busy with what another fault has done to it.
        let Ok(Outcome::Done { life, detail, undo }) = self.world.inflict(fault) else { return false };
        self.world.journal.write(Entry::new(What::Fault, fault.kind.word()).of(&life, 0).detail(&detail));
        self.undone.extend(undo.map(|undo| (now() + nanos(fault.lasts), undo)));
        true
    }

    fn tick(&mut self) -> io::Result<()> {
        self.reap()?;
        let time = now();
        let (due, later): (Vec<_>, Vec<_>) = self.undone.drain(..).partition(|(at, _)| *at <= time);
        self.undone = later;
        for (_, undo) in due {
            match self.world.undo(&undo) {
                Ok(()) => self.world.journal.write(Entry::new(What::Heal, undo.word()).of(&undo.whom(), 0)),
                // What is to be removed from a volume that is read-only meanwhile, for one.
                Err(_) => self.undone.push((time + nanos(RETRY), undo)),
            }
        }
        for nth in 0..self.world.replicas.len() {
            if self.world.replicas[nth].due.is_some_and(|due| due <= time) {
                self.world.boot(nth)?;
            }
        }
        if time - self.looked_at > nanos(GLANCE) {
            self.looked_at = time;
            self.look_for_the_secret(false);
        }
        thread::sleep(TICK);
        Ok(())
    }

    /// Takes note of who has ended, and starts it again as an orchestrator would: unless its command was reached, or the
    /// revision has failed for good.
    fn reap(&mut self) -> io::Result<()> {
        self.world.look()?;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get();
            // It may have written on its last way.
            self.world.look()?;
            let Some(replica) = self.world.replicas.iter_mut().find(|replica| replica.pid == Some(pid)) else {
                continue;
            };
            let code = status.exit_status().or_else(|| Some(128 + status.terminating_signal()?)).unwrap_or(-1);
            replica.pid = None;
            let life = replica.life();
            self.world.journal.write(Entry::new(What::Exit, "-").of(&life, pid).detail(&code.to_string()));
            let has_served = self.world.entries().iter().any(|entry| entry.what == What::Serve && entry.life == life);
            let is_final = has_served || code == 78;
            let due = (!is_final).then(|| now() + nanos(RESPAWN));
            self.world.replicas.iter_mut().filter(|replica| replica.life() == life).for_each(|r| r.due = due);
        }
        Ok(())
    }

    fn has_failed(&self) -> bool {
        self.world.scene.is_doomed || self.world.entries().iter().any(|entry| entry.what == What::Failed)
    }

    /// Whether there is nothing left that a fault could disturb.
    fn is_over(&self) -> bool {
        let entries = self.world.entries();
        // A revision that has failed for good ends them all.
        if self.has_failed() {
            return self.world.replicas.iter().all(|replica| replica.pid.is_none() && replica.due.is_none());
        }
        self.world
            .replicas
            .iter()
            .all(|replica| entries.iter().any(|entry| entry.what == What::Serve && entry.replica() == replica.name))
    }

    /// P7: with the world whole again, everybody reaches its command.
    fn settle(&mut self, healed: u64) -> io::Result<()> {
        self.undone.clear();
        self.undone.extend(self.world.heal()?.map(|undo| (now(), undo)));
        self.world.journal.write(Entry::new(What::Heal, EVERYTHING));
        let limit = healed + nanos(self.world.scene.bound());
        while !self.is_over() && now() < limit {
            self.tick()?;
        }
        if !self.is_over() {
            let detail = format!("{:?} after everything was healed", self.world.scene.bound());
            self.world.journal.write(Entry::new(What::Late, "-").of("somebody", 0).detail(&detail));
        } else if !self.has_failed() {
            for name in self.world.volume.in_the_way()? {
                self.world.journal.write(Entry::new(What::Left, "-").detail(&name));
            }
        }
        Ok(())
    }

    /// P10: once more each, without Redis, on a volume that cannot be written to.
    fn start_warm(&mut self) -> io::Result<()> {
        if self.world.scene.is_doomed || !self.world.entries().iter().any(|entry| entry.what == What::Ready) {
            return Ok(());
        }
        self.world.journal.write(Entry::new(What::Heal, CLEARING));
        processes::signal_all(&processes::all_but_first(), Signal::KILL);
        let limit = now() + nanos(WARM_LIMIT);
        while processes::all().len() > 1 && now() < limit {
            self.reap()?;
            thread::sleep(TICK);
        }
        self.world.volume.forbid_writing()?;
        self.world.journal.write(Entry::new(What::Heal, WARM));
        let before = self.world.entries().len();
        for nth in 0..self.world.replicas.len() {
            self.world.boot(nth)?;
        }
        let serves =
            |round: &Round| round.world.entries()[before..].iter().filter(|entry| entry.what == What::Serve).count();
        while serves(self) < self.world.replicas.len() && now() < limit {
            self.reap()?;
            self.world.replicas.iter_mut().for_each(|replica| replica.due = None);
            thread::sleep(TICK);
        }
        if serves(self) < self.world.replicas.len() {
            let detail = "a warm start without Redis on a read-only volume";
            self.world.journal.write(Entry::new(What::Late, WARM).of("somebody", 0).detail(detail));
        }
        Ok(())
    }

    fn look_for_the_secret(&mut self, everywhere: bool) {
        let found = if everywhere { secrets::in_files(&self.world) } else { secrets::in_argv(&self.world) };
        if let Some(place) = found {
            self.world.journal.write(Entry::new(What::Secret, "-").detail(&place));
        }
        // Each step tells the secret, so where one was done it is in the log, masked; or nothing is shown about masks.
        let is_told = self.world.entries().iter().any(|entry| entry.what == What::Done);
        if everywhere && is_told && !secrets::is_masked(&self.world) {
            self.world
                .journal
                .write(Entry::new(What::Secret, "-").detail("no mask: the log has nothing of what steps told"));
        }
    }
}

/// What happens at the border of a round, and always comes.
fn wait_for(mut look: impl FnMut() -> bool) {
    let limit = now() + nanos(Duration::from_secs(30));
    while !look() && now() < limit {
        thread::sleep(TICK);
    }
}
