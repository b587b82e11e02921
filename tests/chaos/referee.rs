//! The referee: decides from the journal alone whether a promise was broken. It reads no marker, log or history of
//! Bellwether's; what the journal tells of markers is that they came and went.

use std::collections::{BTreeMap, BTreeSet};

use crate::breach::{Breach, Finding, Rules};
use crate::broken::Broken;
use crate::journal::{Entry, What};
use crate::kind::Kind;
use crate::markers::Markers;
use crate::round::WARM;

/// Everything that is wrong with a round.
pub(crate) fn judge(rules: &Rules, entries: &[Entry]) -> Vec<Finding> {
    let mut referee = Referee::blank(rules);
    for entry in entries {
        referee.look_at(entry);
    }
    referee.look_back();
    referee.findings
}

struct Referee<'a> {
    rules: &'a Rules,
    findings: Vec<Finding>,
    /// The newest start of each step.
    begun: BTreeMap<&'a str, Entry>,
    newest: Option<Entry>,
    /// Who led under each epoch.
    leaders: BTreeMap<u64, String>,
    /// Starts of each step under other epochs after it had ended well under one.
    again: BTreeMap<(&'a str, u64), Vec<Entry>>,
    /// Epochs under which each step ended well.
    succeeded: BTreeMap<&'a str, BTreeSet<u64>>,
    done: BTreeSet<&'a str>,
    /// Those under which it was done.
    committed: BTreeSet<(&'a str, u64)>,
    bad_ends: BTreeMap<&'a str, usize>,
    has_been_ready: bool,
    has_failed: bool,
    /// Lives whose command has begun.
    served: BTreeSet<String>,
    /// Lives that may have stopped a step, whose attempt is given back then.
    stopping: BTreeSet<String>,
    /// Lives that each step was begun by.
    starters: BTreeMap<&'a str, BTreeSet<String>>,
    /// What was broken on purpose.
    broken: Broken,
    markers: Markers,
    /// How often each step was begun.
    starts: BTreeMap<&'a str, usize>,
    /// Attempts that nobody saw begin: of whoever ended or lost a shim between counting and beginning.
    unseen: usize,
    /// Those of them that came before the revision had failed for good.
    unseen_before: usize,
    /// Lives that ended because the revision had failed for good.
    failed: BTreeSet<String>,
    /// Lives that were stopped and had their shims until then.
    stopped: BTreeSet<String>,
    /// Lives that were killed.
    killed: BTreeSet<String>,
    /// Attempts of each step that went on when their leader was dead: nobody can have taken them back.
    spent: BTreeMap<&'a str, u32>,
    /// Pairs of processes whose overlap has been told.
    told: BTreeSet<(i32, String)>,
    /// Processes that have been told to live too long.
    outlived: BTreeSet<(i32, Breach)>,
}

impl<'a> Referee<'a> {
    fn blank(rules: &'a Rules) -> Referee<'a> {
        Referee {
            rules,
            findings: Vec::new(),
            begun: BTreeMap::new(),
            newest: None,
            leaders: BTreeMap::new(),
            again: BTreeMap::new(),
            succeeded: BTreeMap::new(),
            done: BTreeSet::new(),
            committed: BTreeSet::new(),
            bad_ends: BTreeMap::new(),
            has_been_ready: false,
            has_failed: false,
            served: BTreeSet::new(),
            stopping: BTreeSet::new(),
            starters: BTreeMap::new(),
            broken: Broken::new(rules.redis_wait),
            markers: Markers::new(rules.stale),
            starts: BTreeMap::new(),
            unseen: 0,
            unseen_before: 0,
            failed: BTreeSet::new(),
            stopped: BTreeSet::new(),
            killed: BTreeSet::new(),
            spent: BTreeMap::new(),
            told: BTreeSet::new(),
            outlived: BTreeSet::new(),
        }
    }

    fn find(&mut self, breach: Breach, text: String) {
        self.findings.push(Finding { breach, text });
    }

    fn step(&self, name: &str) -> &'a (String, Vec<String>) {
        self.rules.steps.iter().find(|(known, _)| known == name).expect("a step of the plan")
    }

    fn look_at(&mut self, entry: &Entry) {
        match entry.what {
            What::Start => self.look_at_start(entry),
            What::Member | What::Beat => self.look_at_life(entry),
            What::End => self.look_at_end(entry),
            What::Overlap => {
                let text = format!("{}, while pid {} was alive", who(entry), entry.detail);
                self.find(Breach::Overlap, text);
            }
            What::Done => self.look_at_done(entry),
            What::Undone => self.find(Breach::CompletionLost, format!("the done marker of {} is gone", entry.name)),
            What::Ready => self.look_at_ready(),
            What::Unready => self.find(Breach::ReadyLost, "the ready marker is gone".to_owned()),
            What::Failed => (self.has_failed, self.unseen_before) = (true, self.unseen),
            What::Shown => {
                if let Some(text) = self.markers.look_at_marker(entry) {
                    self.find(Breach::TakenWhileBeating, text);
                }
            }
            What::Beaten => self.markers.look_at_beat(entry),
            What::Hidden => self.markers.look_at_removal(entry),
            What::Serve => {
                self.served.insert(entry.life.clone());
                if entry.detail != "ready" {
                    self.find(Breach::ServedEarly, format!("{} serves, pid {}", entry.life, entry.pid));
                }
            }
            What::Exit => self.look_at_exit(entry),
            What::Late => {
                let breach = if entry.name == WARM { Breach::ColdStart } else { Breach::NeverServed };
                self.find(breach, format!("{}: {}", entry.life, entry.detail));
            }
            What::Secret => self.find(Breach::SecretShown, format!("in {}", entry.detail)),
            What::Seized => self.find(Breach::Seized, entry.detail.clone()),
            What::Left => self.find(Breach::LeftBehind, entry.detail.clone()),
            What::Fault => self.look_at_fault(entry),
            What::Heal => self.broken.look_at_heal(entry),
            What::Boot => self.markers.look_at_boot(entry),
        }
    }

    fn look_at_fault(&mut self, entry: &Entry) {
        let kind = Kind::of(&entry.name).expect("a kind of fault");
        self.unseen += usize::from(kind == Kind::KillShim);
        self.broken.look_at(kind, entry);
        self.markers.look_at_fault(kind, entry);
    }

    fn look_at_start(&mut self, entry: &Entry) {
        let (name, after) = self.step(&entry.name);
        if self.done.contains(&**name) {
            self.find(Breach::RanAgain, who(entry));
        }
        for predecessor in after {
            if !self.succeeded.contains_key(&**predecessor) {
                self.find(Breach::OutOfOrder, format!("{}, before {predecessor} has ended well", who(entry)));
            }
        }
        if entry.attempt == 0 || entry.attempt > self.rules.limit {
            self.find(Breach::TooManyAttempts, format!("{}, limit {}", who(entry), self.rules.limit));
        }
        if self.spent.get(&**name).is_some_and(|&spent| entry.attempt <= spent) {
            self.find(Breach::TooManyAttempts, format!("{}, and an earlier one was not counted", who(entry)));
        }
        let leader = self.leaders.entry(entry.epoch).or_insert_with(|| entry.life.clone()).clone();
        if leader != entry.life {
            self.find(Breach::EpochTwice, format!("{}, which is {leader}'s", who(entry)));
        }
        if let Some(newest) = self.newest.clone().filter(|newest| newest.epoch > entry.epoch) {
            self.find(Breach::EpochShrank, format!("{}, after {}", who(entry), who(&newest)));
        }
        for &epoch in self.succeeded.get(&**name).into_iter().flatten().filter(|&&epoch| epoch != entry.epoch) {
            self.again.entry((name, epoch)).or_default().push(entry.clone());
        }
        *self.starts.entry(name).or_default() += 1;
        self.starters.entry(name).or_default().insert(entry.life.clone());
        self.look_whether_it_may_live(entry);
        self.begun.insert(name, entry.clone());
        self.newest = Some(entry.clone());
    }

    /// It is alive at this place in the journal, so it overlaps what began before this place and must not run beside it.
    fn look_at_life(&mut self, entry: &Entry) {
        let (name, _) = self.step(&entry.name);
        if self.killed.contains(&entry.life) {
            self.spent.insert(name, entry.attempt);
        }
        self.look_whether_it_may_live(entry);
        let excludes = |other: &Entry| {
            let is_later_run = other.name == *name && other.run != entry.run;
            let is_successor = self.step(&other.name).1.contains(name);
            other.epoch > entry.epoch || other.epoch == entry.epoch && (is_later_run || is_successor)
        };
        let Some(other) = self.begun.values().find(|other| excludes(other)).cloned() else { return };
        if self.told.insert((entry.pid, who(&other))) {
            let text = format!("{} is alive after {} has begun", who(entry), who(&other));
            self.find(Breach::Overlap, text);
        }
    }

    /// The watcher sees a marker at the earliest when it is there, so whoever writes after that outlived it.
    fn look_whether_it_may_live(&mut self, entry: &Entry) {
        let (name, _) = self.step(&entry.name);
        // A start is told as one that ran again.
        let is_done = self.done.contains(&**name) && entry.what != What::Start;
        let reasons = [
            (is_done, Breach::OutlivedDone),
            (self.has_been_ready, Breach::OutlivedReady),
            (self.stopped.contains(&entry.life), Breach::OutlivedStop),
        ];
        for (is_over, breach) in reasons {
            if is_over && self.outlived.insert((entry.pid, breach)) {
                self.find(breach, who(entry));
            }
        }
    }

    fn look_at_end(&mut self, entry: &Entry) {
        self.look_at_life(entry);
        let (name, _) = self.step(&entry.name);
        match &*entry.detail {
            "0" => drop(self.succeeded.entry(name).or_default().insert(entry.epoch)),
            // Not yet: not counted.
            "75" => {}
            _ => *self.bad_ends.entry(name).or_default() += 1,
        }
    }

    fn look_at_done(&mut self, entry: &Entry) {
        let (name, _) = self.step(&entry.name);
        if !self.succeeded.get(&**name).is_some_and(|epochs| epochs.contains(&entry.epoch)) {
            self.find(Breach::DoneTooEarly, format!("{name}, epoch {}", entry.epoch));
        }
        self.done.insert(name);
        self.committed.insert((name, entry.epoch));
    }

    fn look_at_ready(&mut self) {
        self.has_been_ready = true;
        let missing: Vec<&str> =
            self.rules.steps.iter().map(|(name, _)| &**name).filter(|name| !self.done.contains(name)).collect();
        if !missing.is_empty() {
            self.find(Breach::ReadyTooEarly, format!("not done: {}", missing.join(", ")));
        }
    }

    fn look_at_exit(&mut self, entry: &Entry) {
        let code: i32 = entry.detail.parse().unwrap_or(-1);
        let life = || entry.life.clone();
        self.markers.look_at_exit(entry);
        self.unseen += usize::from(code != 0);
        if code == 137 {
            self.killed.insert(life());
        }
        if matches!(code, 69 | 74) || self.broken.asked.contains(&entry.life) {
            self.stopping.insert(life());
        }
        if code == 143 && !self.broken.without_shims.contains(&entry.life) {
            self.stopped.insert(life());
        }
        let is_explained = match code {
            0 => self.served.contains(&entry.life),
            // Looked at in the end, since the watcher may be late.
            78 => self.rules.may_fail() && self.failed.insert(life()),
            _ => self.broken.explains(code, entry),
        };
        if !is_explained {
            self.find(Breach::WrongExit, format!("{} ended with {code}", entry.life));
        }
    }

    /// What the watcher may have been too slow to see: whoever takes a step over takes its claim, and then nobody else can
    /// have had it done.
    fn look_for_repetitions(&mut self) {
        let again = std::mem::take(&mut self.again);
        let repeated = again.iter().filter(|(run, _)| self.committed.contains(*run));
        let texts: Vec<String> = repeated
            .flat_map(|((_, epoch), starts)| {
                starts.iter().map(move |start| format!("{}, done under {epoch}", who(start)))
            })
            .collect();
        for text in texts {
            self.find(Breach::RanAgain, text);
        }
    }

    fn look_back(&mut self) {
        self.look_for_repetitions();
        for (name, count) in std::mem::take(&mut self.bad_ends) {
            // A run that was being stopped as it ended badly is not counted.
            let given_back = self.starters.get(name).map_or(0, |lives| lives.intersection(&self.stopping).count());
            let most = self.rules.limit as usize + given_back;
            if self.rules.is_trusted && count > most {
                self.find(Breach::TooManyAttempts, format!("{name} has ended badly {count} times, limit {most}"));
            }
        }
        match (self.rules.is_doomed, self.has_been_ready, self.has_failed) {
            (true, _, false) => self.find(Breach::NeverFailed, "there is no failed marker".to_owned()),
            (false, false, has_failed) if !(has_failed && self.rules.is_tight) => {
                self.find(Breach::NeverServed, "there is no ready marker".to_owned());
            }
            _ => {}
        }
        self.look_back_at_failure();
    }

    /// Whoever gives up on a revision has tried one of its steps as often as it may.
    fn look_back_at_failure(&mut self) {
        if !self.has_failed {
            for life in std::mem::take(&mut self.failed) {
                self.find(Breach::WrongExit, format!("{life} ended with 78, and there is no failed marker"));
            }
            return;
        }
        let most = self.starts.values().max().copied().unwrap_or(0);
        if most + self.unseen_before < self.rules.limit as usize {
            let limit = self.rules.limit;
            let text = format!("no step was begun more than {most} times, limit {limit}");
            self.find(Breach::FailedTooEarly, text);
        }
    }
}

fn who(entry: &Entry) -> String {
    let Entry { name, epoch, attempt, run, pid, life, .. } = entry;
    format!("{name} of {life} (epoch {epoch}, attempt {attempt}, run {run}, pid {pid})")
}
