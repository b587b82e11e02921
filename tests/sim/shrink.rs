//! Makes a story that breaks a promise as short as it can be, and says how to play it again.

use std::fmt::Write as _;

use crate::stage::{Broken, Sabotage, play};
use crate::story::{Incident, Scene, Story};

/// So often a story is played to shrink it, at the most.
const MOST_TRIES: usize = 500;

/// A story that breaks a promise.
pub(crate) struct Failure {
    pub(crate) seed: u64,
    pub(crate) story: Story,
    pub(crate) broken: Broken,
}

struct Shrinker {
    sabotage: Sabotage,
    story: Story,
    broken: Broken,
    tries: usize,
}

/// The shortest story found on the way from this one that breaks the same promise.
pub(crate) fn shrink(seed: u64, broken: Broken, sabotage: Sabotage) -> Failure {
    let mut shrinker = Shrinker { sabotage, story: Story::of(seed), broken, tries: 0 };
    loop {
        let before = shrinker.story.clone();
        shrinker.drop_incidents();
        shrinker.shorten();
        shrinker.simplify_scene();
        if shrinker.story == before || shrinker.tries >= MOST_TRIES {
            break;
        }
    }
    let Shrinker { story, broken, .. } = shrinker;
    Failure { seed, story, broken }
}

impl Shrinker {
    /// Takes a story instead, if it breaks the same promise.
    fn try_out(&mut self, story: Story) -> bool {
        if story == self.story || self.tries >= MOST_TRIES {
            return false;
        }
        self.tries += 1;
        match play(&story, self.sabotage, false) {
            Err(broken) if broken.promise == self.broken.promise => {
                (self.story, self.broken) = (story, broken);
                true
            }
            _ => false,
        }
    }

    /// Halves first, then quarters, and in the end one by one. The time they took stays, or goes.
    fn drop_incidents(&mut self) {
        let mut chunk = self.story.incidents.len().max(1);
        while chunk > 0 {
            let mut at = 0;
            while at < self.story.incidents.len() {
                let end = (at + chunk).min(self.story.incidents.len());
                if !self.drop_range(at, end, true) && !self.drop_range(at, end, false) {
                    at = end;
                }
            }
            chunk /= 2;
        }
    }

    fn drop_range(&mut self, at: usize, end: usize, keep_time: bool) -> bool {
        let mut story = self.story.clone();
        let gaps: u64 = story.incidents.drain(at..end).map(|incident| incident.gap).sum();
        if let Some(next) = story.incidents.get_mut(at).filter(|_| keep_time) {
            next.gap += gaps;
        }
        self.try_out(story)
    }

    fn shorten(&mut self) {
        for at in 0..self.story.incidents.len() {
            let numbers: [fn(&mut Incident) -> &mut u64; 2] = [|i| &mut i.gap, |i| &mut i.span];
            for number in numbers {
                let mut smaller = |with: fn(u64) -> u64| {
                    let mut story = self.story.clone();
                    let place = number(&mut story.incidents[at]);
                    *place = with(*place);
                    self.try_out(story)
                };
                if !smaller(|_| 0) {
                    while smaller(|n| n / 2) {}
                    while smaller(|n| n / 100 * 100) {}
                }
            }
        }
    }

    fn simplify_scene(&mut self) {
        let simpler: [fn(&mut Scene); 8] = [
            |scene| scene.workers = 0,
            |scene| scene.bad = 0,
            |scene| scene.later = 0,
            |scene| scene.useless = 0,
            |scene| scene.timeout = 0,
            |scene| scene.ready_timeout = 0,
            |scene| (scene.holds, scene.refuses) = (0, 0),
            |scene| {
                scene.replicas = scene.replicas.max(2) - 1;
                scene.workers = scene.workers.min(scene.replicas - 1);
            },
        ];
        for simplify in simpler {
            let mut story = self.story.clone();
            simplify(&mut story.scene);
            self.try_out(story);
        }
    }
}

impl Failure {
    /// Everything a person needs: what broke, the story, and the command that plays it with its trace.
    pub(crate) fn describe(&self) -> String {
        let Failure { seed, story, broken } = self;
        let mut text = format!("seed {seed}: {}\n", broken.what);
        writeln!(text, "shrunk to {} incidents; to see every event and action of it:", story.incidents.len()).unwrap();
        writeln!(text, "    {}", command(*seed, story)).unwrap();
        writeln!(text, "to keep it, put this into tests/regressions/:\n{story}").unwrap();
        write!(text, "what happened:\n{}", broken.trace).unwrap();
        text
    }
}

/// The command that plays a story.
fn command(seed: u64, story: &Story) -> String {
    format!("BELLWETHER_SIM_SEED='{}' cargo test --test sim -- replay --nocapture", spec(seed, story))
}

/// A story in one line: its seed, and what is different from the seed's own story.
pub(crate) fn spec(seed: u64, story: &Story) -> String {
    if *story == Story::of(seed) {
        return seed.to_string();
    }
    let lines: Vec<String> = story.to_string().lines().map(str::to_owned).collect();
    lines.join("; ")
}

/// The story that such a line tells.
pub(crate) fn story_of(spec: &str) -> Result<Story, String> {
    match spec.trim().parse() {
        Ok(seed) => Ok(Story::of(seed)),
        Err(_) => spec.replace(';', "\n").parse(),
    }
}
