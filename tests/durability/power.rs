//! The power goes in the middle of a boot: what was not synced is gone, and what was announced is not.

use std::fmt::{self, Display};
use std::thread;
use std::time::Duration;

use bellwether::process::boottime;

use crate::boot;
use crate::cage::{TOLD, is_inside};
use crate::chance::Chance;
use crate::disk::Disk;
use crate::points::{CHANGES, Role};
use crate::pool::{count, each, extent, is_whole};
use crate::referee::Witness;
use crate::replica::Replica;
use crate::sample::{Case, assert_most, points, sample};
use crate::scene::{Scene, Stage};
use crate::trace::{Blow, Strike};
use crate::wait::wait_until;

const SIDE_BY_SIDE: usize = 6;

/// The power goes now. What was seen before has to be there after, and the next replica goes on.
fn cut(stage: &Stage, disk: &Disk, replica: &mut Replica) {
    let stack = &stage.stack;
    // What is seen before the cut was promised before the cut.
    let witness = Witness::of(stack, &replica.log());
    disk.cut();
    replica.kill_tree();
    disk.restore();
    witness.assert_kept(stack);
    stage.assert_goes_on();
}

/// Whether it has come to the call after which the power goes.
fn lose(case: &Case) -> bool {
    let stage = Stage::bare(case.scene);
    let disk = Disk::under(&stage.stack);
    stage.prepare();
    let mut traced = case.strike.start(&stage.stack, boot::launch(&stage.stack));
    let mut told = false;
    let halted = traced.wait_halted(|replica| stage.meddle(replica, &mut told));
    cut(&stage, &disk, &mut traced.replica);
    halted
}

#[test]
fn what_was_announced_is_there_after_a_loss_of_power_at_any_change_of_a_file() {
    if !is_inside("power::what_was_announced_is_there_after_a_loss_of_power_at_any_change_of_a_file") {
        return;
    }
    let scenes = Scene::alone();
    if scenes.is_empty() {
        return;
    }
    let (points, part) = (points(&scenes, &[Role::Volume, Role::Guard], CHANGES), 4);
    let case = |(scene, point)| Case { scene, strike: Strike(point, Blow::Halt) };
    let losses: Vec<Case> = sample(&points, part).into_iter().map(case).collect();
    let lost = count(&each(SIDE_BY_SIDE, &losses, lose));
    println!(
        "{TOLD}loss of power at a change: {lost} of {} have struck, of {} points in {} scenes ({})",
        losses.len(),
        points.len(),
        scenes.len(),
        extent(part)
    );
    assert_most("loss of power", 85, lost, losses.len());
}

/// When the power goes in a boot that nobody traces.
#[derive(Clone, Debug)]
enum Moment {
    /// When the steps and the command have written so many lines.
    Line(usize),
    /// When the replica has said this.
    Said(&'static str),
    /// So many milliseconds after its start.
    After(u64),
}

impl Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

fn lose_at(moment: &Moment) {
    let stage = Stage::bare(Scene::Cold);
    let stack = &stage.stack;
    let disk = Disk::under(stack);
    let mut replica = boot::launch(stack).start();
    match moment {
        Moment::Line(number) => wait_until("a line", || stack.journal().entries().len() >= *number),
        Moment::Said(words) => replica.wait_said(words),
        Moment::After(millis) => thread::sleep(Duration::from_millis(*millis)),
    }
    cut(&stage, &disk, &mut replica);
}

/// Lines of a boot: `start`, `member` and `end` of the first step, `start` and `end` of the second, `serve`.
const LINES: usize = 6;

const SAID: [&str; 5] = ["FOLLOWER", "LEADER", "step started", "step ended", "handing off"];

/// No longer than a boot on a busy machine.
const LONGEST: u64 = 400;

#[test]
fn what_was_announced_is_there_after_a_loss_of_power_at_any_event_or_moment() {
    if !is_inside("power::what_was_announced_is_there_after_a_loss_of_power_at_any_event_or_moment") {
        return;
    }
    let seed = seed();
    println!("{TOLD}BELLWETHER_SEED={seed}");
    let mut chance = Chance::new(seed);
    let at_random = if is_whole() { 100 } else { 12 };
    let mut moments: Vec<Moment> = (1..=LINES).map(Moment::Line).chain(SAID.map(Moment::Said)).collect();
    moments.extend((0..at_random).map(|_| Moment::After(chance.below(LONGEST))));
    let lost = each(SIDE_BY_SIDE, &moments, lose_at).len();
    println!("{TOLD}loss of power at {} events and {at_random} random moments", lost - at_random);
}

fn seed() -> u64 {
    let given = std::env::var("BELLWETHER_SEED").ok().map(|seed| seed.parse().unwrap());
    given.unwrap_or_else(|| boottime::now().as_nanos())
}
