//! The power goes in the middle of a boot: what was not synced is gone, and what was announced is not.

use std::fmt::{self, Display};
use std::thread;
use std::time::Duration;

use bellwether::process::boottime;

use crate::boot;
use crate::cage::{TOLD, is_inside};
use crate::chance::Chance;
use crate::disk::Disk;
use crate::pool::{each, is_whole};
use crate::referee::{Witness, Wreck};
use crate::replica::Replica;
use crate::stack::Stack;
use crate::trace::{Blow, CHANGES, Strike, Whom, points};
use crate::wait::wait_until;

const SIDE_BY_SIDE: usize = 6;

/// The power goes now. What was seen before has to be there after, and the next replica goes on.
fn cut(stack: &Stack, disk: &Disk, replica: &mut Replica) {
    // What is seen before the cut was promised before the cut.
    let witness = Witness::of(stack, &replica.log());
    disk.cut();
    replica.kill_tree();
    disk.restore();
    witness.assert_kept(stack);
    Wreck::look(stack).assert_goes_on(stack);
}

/// One leader after which another takes over, in the middle of the first step.
fn killed_before(stack: &Stack) {
    let mut first = boot::launch(stack).start();
    stack.journal().wait("start", "site", 1);
    first.kill_tree();
}

/// A call after which the power goes, in a first boot or in one that takes over.
#[derive(Clone, Debug)]
struct Loss {
    strike: Strike,
    takes_over: bool,
}

impl Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.strike, if self.takes_over { ", in a takeover" } else { "" })
    }
}

fn lose(loss: &Loss) -> bool {
    let stack = boot::stack();
    let disk = Disk::under(&stack);
    if loss.takes_over {
        killed_before(&stack);
    }
    let mut traced = loss.strike.start(&stack, boot::launch(&stack));
    let halted = traced.wait_halted();
    cut(&stack, &disk, &mut traced.replica);
    halted
}

#[test]
fn what_was_announced_is_there_after_a_loss_of_power_at_any_change_of_a_file() {
    if !is_inside("power::what_was_announced_is_there_after_a_loss_of_power_at_any_change_of_a_file") {
        return;
    }
    let points = points(boot::stack, Whom::Leader, CHANGES);
    let all = points.iter().flat_map(|point| {
        [false, true].map(|takes_over| Loss { strike: Strike(point.clone(), Blow::Halt), takes_over })
    });
    let losses: Vec<Loss> = all.step_by(if is_whole() { 1 } else { 9 }).collect();
    let struck = each(SIDE_BY_SIDE, &losses, lose);
    println!(
        "{TOLD}loss of power at a change: {} points, {struck} of {} strikes have struck",
        points.len(),
        losses.len()
    );
    assert!(struck * 100 >= losses.len() * 85, "{struck} of {}", losses.len());
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

fn lose_at(moment: &Moment) -> bool {
    let stack = boot::stack();
    let disk = Disk::under(&stack);
    let mut replica = boot::launch(&stack).start();
    match moment {
        Moment::Line(number) => wait_until("a line", || stack.journal().entries().len() >= *number),
        Moment::Said(words) => replica.wait_said(words),
        Moment::After(millis) => thread::sleep(Duration::from_millis(*millis)),
    }
    cut(&stack, &disk, &mut replica);
    true
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
    let lost = each(SIDE_BY_SIDE, &moments, lose_at);
    println!("{TOLD}loss of power at {} events and {at_random} random moments", lost - at_random);
}

fn seed() -> u64 {
    let given = std::env::var("BELLWETHER_SEED").ok().map(|seed| seed.parse().unwrap());
    given.unwrap_or_else(|| boottime::now().as_nanos())
}
