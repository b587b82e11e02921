//! A story before it is played: who takes part, and what befalls them when. Made from a seed, or read from a file.

use std::fmt;
use std::str::FromStr;

use crate::chance::Chance;

/// What befalls somebody.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    Kill,
    Orphan,
    Freeze,
    FreezePastLease,
    Stop,
    Haste,
    Restart,
    RollOut,
    Upgrade,
    Downgrade,
    GoBack,
    Retry,
    RedisDown,
    Flush,
    Stall,
    RequestsLost,
    RepliesLost,
    RepliesDoubled,
    RepliesLate,
    CutRequests,
    CutReplies,
    FailOver,
    Mute,
    Announce,
    ClockAhead,
    ClockBack,
    Full,
    Slow,
    BeatsLate,
    Broken,
    NeedsUnmet,
    GuardBlip,
    MarkerRemoved,
}

impl Kind {
    /// Each with its word in a story's text.
    pub(crate) const ALL: [(Kind, &str); 33] = [
        (Kind::Kill, "kill"),
        (Kind::Orphan, "kill-leaving-orphans"),
        (Kind::Freeze, "freeze"),
        (Kind::FreezePastLease, "freeze-past-the-lease"),
        (Kind::Stop, "stop"),
        (Kind::Haste, "stop-in-haste"),
        (Kind::Restart, "restart"),
        (Kind::RollOut, "roll-out"),
        (Kind::Upgrade, "upgrade"),
        (Kind::Downgrade, "downgrade"),
        (Kind::GoBack, "go-back"),
        (Kind::Retry, "retry"),
        (Kind::RedisDown, "redis-down"),
        (Kind::Flush, "redis-flushed"),
        (Kind::Stall, "redis-stalls"),
        (Kind::RequestsLost, "requests-lost"),
        (Kind::RepliesLost, "replies-lost"),
        (Kind::RepliesDoubled, "replies-doubled"),
        (Kind::RepliesLate, "replies-late"),
        (Kind::CutRequests, "cut-requests"),
        (Kind::CutReplies, "cut-replies"),
        (Kind::FailOver, "fail-over"),
        (Kind::Mute, "announcements-lost"),
        (Kind::Announce, "announced-for-nothing"),
        (Kind::ClockAhead, "expiry-jumps-ahead"),
        (Kind::ClockBack, "expiry-jumps-back"),
        (Kind::Full, "volume-full"),
        (Kind::Slow, "volume-slow"),
        (Kind::BeatsLate, "beats-late"),
        (Kind::Broken, "volume-broken"),
        (Kind::NeedsUnmet, "needs-unmet"),
        (Kind::GuardBlip, "guard-lost-from-sight"),
        (Kind::MarkerRemoved, "marker-removed"),
    ];

    pub(crate) fn word(self) -> &'static str {
        Kind::ALL.iter().find(|(kind, _)| *kind == self).expect("all are listed").1
    }
}

/// Whom it befalls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Who {
    /// Whose steps run then; the first replica, if nobody's do.
    Leader,
    Slot(usize),
}

/// One thing that befalls somebody. Not every kind needs a person or a span.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Incident {
    /// So many milliseconds after the one before.
    pub(crate) gap: u64,
    pub(crate) kind: Kind,
    pub(crate) who: Who,
    /// For so many milliseconds.
    pub(crate) span: u64,
}

/// Declares the scene's numbers once, for the struct and for the text.
macro_rules! scene {
    ($($(#[$doc:meta])* $field:ident,)*) => {
        /// Where a story takes place.
        #[derive(Clone, Debug, Default, Eq, PartialEq)]
        pub(crate) struct Scene { $($(#[$doc])* pub(crate) $field: u64,)* }

        impl Scene {
            fn numbers(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($field), self.$field)),*]
            }

            fn number(&mut self, name: &str) -> Option<&mut u64> {
                match name {
                    $(stringify!($field) => Some(&mut self.$field),)*
                    _ => None,
                }
            }
        }
    };
}

scene! {
    /// What is left to chance while the story is played: how runs end, which replies are lost.
    seed,
    /// Whether the volume's locks work.
    trusted,
    /// Whether there is a Redis.
    lease,
    replicas,
    /// So many of them may not lead.
    workers,
    /// How often a step may be tried.
    attempts,
    /// How long a run lasts at the most, in milliseconds.
    lasts,
    /// When a run is stopped, in milliseconds; 0: never.
    timeout,
    /// Of a hundred runs so many end badly …
    bad,
    /// … say "not yet" …
    later,
    /// … or that trying again is of no use.
    useless,
    /// How long stopping a step takes, in milliseconds.
    stopping,
    /// After so many milliseconds without Redis a replica gives up.
    redis_wait,
    /// After so many milliseconds a follower gives up; 0: never.
    ready_timeout,
    /// Whether a failed replica stays to be asked.
    holds,
    /// Whether a ready but superseded replica refuses to serve.
    refuses,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Story {
    pub(crate) scene: Scene,
    pub(crate) incidents: Vec<Incident>,
}

impl Story {
    /// The story of a seed.
    pub(crate) fn of(seed: u64) -> Story {
        let mut chance = Chance::new(seed);
        let scene = set_scene(seed, &mut chance);
        let count = 10 + chance.below(60);
        let incidents = (0..count).map(|_| befall(&scene, &mut chance)).collect();
        Story { scene, incidents }
    }
}

fn set_scene(seed: u64, chance: &mut Chance) -> Scene {
    let trusted = u64::from(!chance.one_in(3));
    let replicas = 2 + chance.below(4);
    Scene {
        seed,
        trusted,
        lease: u64::from(trusted == 0 || !chance.one_in(3)),
        replicas,
        workers: chance.below(replicas - 1),
        attempts: chance.of(&[1, 3, 3, 100]),
        lasts: chance.of(&[200, 2_000, 8_000, 30_000]),
        timeout: chance.of(&[0, 0, 5_000]),
        bad: chance.of(&[0, 5, 30]),
        later: chance.of(&[0, 5, 20]),
        useless: chance.of(&[0, 0, 3, 10]),
        stopping: chance.of(&[1, 50, 400, 1_900]),
        redis_wait: chance.of(&[2_000, 120_000]),
        ready_timeout: chance.of(&[0, 0, 60_000]),
        holds: chance.below(2),
        refuses: chance.below(2),
    }
}

fn befall(scene: &Scene, chance: &mut Chance) -> Incident {
    let gap = if chance.one_in(2) { chance.below(200) } else { chance.below(6_000) };
    let who =
        if chance.one_in(2) { Who::Leader } else { Who::Slot(usize::try_from(chance.below(scene.replicas)).unwrap()) };
    let span = chance.of(&[300, 3_000, 15_000, 40_000]);
    let span = chance.below(span);
    // Kills and the like are what makes lives end and begin.
    let kind = match chance.below(17) {
        0 => Kind::Kill,
        1 => Kind::Restart,
        2 => Kind::RollOut,
        // These befall only who leads, and often nobody does.
        3 => chance.of(&[Kind::GuardBlip, Kind::MarkerRemoved]),
        // These find nobody more often than others.
        4..=6 => chance.of(&[
            Kind::Retry,
            Kind::Retry,
            Kind::CutRequests,
            Kind::CutReplies,
            Kind::Mute,
            Kind::BeatsLate,
            Kind::NeedsUnmet,
        ]),
        _ => chance.of(&Kind::ALL).0,
    };
    Incident { gap, kind, who, span }
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Incident { gap, kind, who, span } = self;
        match who {
            Who::Leader => write!(f, "+{gap} {} leader {span}", kind.word()),
            Who::Slot(slot) => write!(f, "+{gap} {} {slot} {span}", kind.word()),
        }
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, number) in self.scene.numbers() {
            writeln!(f, "{name} {number}")?;
        }
        self.incidents.iter().try_for_each(|incident| writeln!(f, "{incident}"))
    }
}

impl FromStr for Incident {
    type Err = String;

    fn from_str(line: &str) -> Result<Incident, String> {
        let wrong = || format!("{line:?} is no incident");
        let words: Vec<&str> = line.split_whitespace().collect();
        let &[gap, word, who, span] = words.as_slice() else { return Err(wrong()) };
        let gap = gap.strip_prefix('+').and_then(|gap| gap.parse().ok()).ok_or_else(wrong)?;
        let (kind, _) = Kind::ALL.into_iter().find(|(_, known)| *known == word).ok_or_else(wrong)?;
        let who = match who {
            "leader" => Who::Leader,
            slot => Who::Slot(slot.parse().map_err(|_| wrong())?),
        };
        Ok(Incident { gap, kind, who, span: span.parse().map_err(|_| wrong())? })
    }
}

/// Lines that begin with `#` are for people. Every number of the scene stands there once: what is missing would be told
/// differently as soon as there is another number.
impl FromStr for Story {
    type Err = String;

    fn from_str(text: &str) -> Result<Story, String> {
        let mut story = Story { scene: Scene::default(), incidents: Vec::new() };
        let mut missing: Vec<&str> = story.scene.numbers().into_iter().map(|(name, _)| name).collect();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if line.starts_with('+') {
                story.incidents.push(line.parse()?);
                continue;
            }
            let (name, number) = line.split_once(' ').ok_or_else(|| format!("{line:?} is no number of a scene"))?;
            let place = story.scene.number(name).ok_or_else(|| format!("{name:?} is no part of a scene"))?;
            *place = number.parse().map_err(|_| format!("{number:?} is no number"))?;
            let at =
                missing.iter().position(|known| *known == name).ok_or_else(|| format!("{name:?} is there twice"))?;
            missing.remove(at);
        }
        if missing.is_empty() { Ok(story) } else { Err(format!("the scene has no {}", missing.join(", "))) }
    }
}
