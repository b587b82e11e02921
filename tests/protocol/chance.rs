//! Stories told by chance: a seed decides who is killed, frozen, stopped or cut off, and when. The referee watches; in
//! the end the world heals, and every replica has to reach its command.

use std::sync::Arc;
use std::time::Duration;

use bellwether::protocol::{Config, Election, LeaseTimes, Outcome, Plan, Policy, Step, StepEnd, Trust};

use crate::world::{Life, STALE, Script, World, usual_plan};

const SEEDS: u64 = 400;

/// A small generator (xorshift64*, Vigna 2016): the same seed tells the same story.
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

fn config(chance: &mut Chance, trust: Trust) -> Config {
    let grace = Duration::from_millis(500);
    let wait = Duration::from_secs(36_000);
    let election = match trust {
        Trust::Trusted if chance.below(2) == 0 => Election::Guard,
        _ => Election::Lease(LeaseTimes::new(Duration::from_secs(9), None, grace, wait, trust).unwrap()),
    };
    let policy = Policy { stale_after: STALE, backoff: Duration::from_secs(1), ..Policy::default() };
    // Kills and long freezes use up attempts, and here nobody may fail for good.
    let steps = usual_plan().iter().map(|(_, step)| Step { max_attempts: 100, ..step.clone() }).collect();
    Config::new(Arc::new(Plan::new(steps).unwrap()), election, trust, policy).unwrap()
}

fn tell(seed: u64, trust: Trust) {
    let mut chance = Chance::new(seed);
    let mut world = World::new(trust == Trust::Trusted);
    let longest = 1 + chance.below(40);
    let lasts = Duration::from_secs(1 + chance.below(longest));
    world.scripts = Box::new(move |_, _| Script { lasts, end: StepEnd::Exit(0) });
    let config = config(&mut chance, trust);
    let mut lives: Vec<Life> = (0..3).map(|_| world.start("v1", &config)).collect();
    for _ in 0..chance.below(25) {
        world.run_for(Duration::from_millis(chance.below(12_000)));
        let index = usize::try_from(chance.below(3)).unwrap();
        let life = lives[index];
        match chance.below(11) {
            0 => {
                world.kill(life);
                lives[index] = world.start("v1", &config);
            }
            1 => world.freeze(life),
            2 => world.thaw(life),
            3 => world.redis.down = true,
            4 => world.redis.down = false,
            5 => world.redis.flush(),
            6 => world.redis.stalls = (chance.below(2) == 0).then(|| Duration::from_millis(chance.below(15_000))),
            7 => world.redis.replicate(),
            8 => world.redis.fail_over(),
            9 => world.volume.full = chance.below(2) == 0,
            _ => {
                world.thaw(life);
                world.stop(life);
                world.run_for(Duration::from_secs(5));
                lives[index] = world.start("v1", &config);
            }
        }
    }
    world.redis.down = false;
    world.redis.stalls = None;
    world.volume.full = false;
    for &life in &lives {
        world.thaw(life);
    }
    let over = |world: &World, life: Life| matches!(world.outcome(life), Some(Outcome::HandOff | Outcome::Stopped));
    world.run_until(Duration::from_secs(3600), &format!("all hand off, seed {seed}"), |world| {
        lives.iter().all(|&life| over(world, life))
    });
}

#[test]
fn under_a_trusted_guard_chance_breaks_no_promise() {
    for seed in 1..=SEEDS {
        tell(seed, Trust::Trusted);
    }
}

#[test]
fn without_trust_chance_breaks_no_promise() {
    for seed in 1..=SEEDS {
        tell(seed, Trust::NotTrusted);
    }
}
