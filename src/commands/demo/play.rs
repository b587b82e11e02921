//! What happens: three replicas start, the leader is killed half-way and started again, all three serve.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{interval, timeout};

use super::ask::ask;
use super::redis::Election;
use super::replica::{News, Replica};
use super::serve::{Answer, Greeting};
use super::stage::{REV, STALE_SECS, Stage, VICTIM};
use super::summary::Facts;
use super::timeline::{NAMES, Timeline, span};
use super::victim::Victim;
use super::words::{LogLine, Told, is_half_way};
use crate::commands::print;
use crate::process::boottime;
use crate::protocol::Timestamp;
use crate::volume::UnixMillis;

/// Longer than the play takes on the busiest machine.
const LIMIT: Duration = Duration::from_secs(60);
/// How often processes are looked at.
const TICK: Duration = Duration::from_millis(5);
/// An orchestrator takes a moment to start a container again; by then the killed leader's lease has ended, and one of
/// the others leads.
const RESTART_AFTER: Duration = Duration::from_secs(2);
/// Lines that are shown when something does not happen.
const LAST_LINES: usize = 20;

/// How the play ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// All three serve and have answered.
    Complete,
    /// A person, or whoever else sent this signal, had seen enough.
    Interrupted(i32),
    /// Something did not happen, or something else did.
    Failed(String),
}

/// What is being waited for.
#[derive(Debug)]
enum Act {
    /// A leader half-way through its step.
    HalfWay,
    /// The end of the killed leader and of everything it ran.
    Dying(Victim),
    /// The moment to start it again.
    Restarting(usize, Timestamp),
    /// The commands of all three.
    Serving,
    /// Their answers.
    Answering,
}

/// The play, and what has been seen of it.
#[derive(Debug)]
pub(super) struct Play<'a> {
    stage: &'a Stage,
    timeline: Timeline,
    inbox: UnboundedReceiver<News>,
    news: UnboundedSender<News>,
    election: Option<Election>,
    replicas: Vec<Replica>,
    greetings: [Option<Greeting>; 3],
    act: Act,
    warnings: Vec<String>,
    facts: Facts,
    last_lines: VecDeque<String>,
}

impl<'a> Play<'a> {
    pub(super) fn new(stage: &'a Stage, timeline: Timeline) -> Play<'a> {
        let (news, inbox) = unbounded_channel();
        Play {
            stage,
            timeline,
            inbox,
            news,
            election: None,
            replicas: Vec::new(),
            greetings: [None, None, None],
            act: Act::HalfWay,
            warnings: Vec::new(),
            facts: Facts::default(),
            last_lines: VecDeque::new(),
        }
    }

    /// What has been seen so far.
    pub(super) fn facts(&self) -> Facts {
        let mut facts = self.facts.clone();
        facts.greetings = self.greetings.iter().flatten().cloned().collect();
        facts.last_lines = self.last_lines.iter().cloned().collect();
        facts
    }

    /// Plays to the end.
    pub(super) async fn run(&mut self, is_redis_wanted: bool) -> Ending {
        match timeout(LIMIT, self.try_run(is_redis_wanted)).await {
            Ok(Ok(())) => Ending::Complete,
            Ok(Err(reason)) => Ending::Failed(reason),
            Err(_) => Ending::Failed(format!("waited {} s in vain for {}", LIMIT.as_secs(), self.wanted())),
        }
    }

    async fn try_run(&mut self, is_redis_wanted: bool) -> Result<(), String> {
        print(&format!(
            "Three replicas of revision {REV}, one volume, STEP_STALE_SECS={STALE_SECS}. \
             The leader will be killed half-way through {VICTIM}."
        ));
        print("");
        let election = Election::begin(self.stage, is_redis_wanted).await;
        self.timeline.observe("election", &election.words());
        self.election = Some(election);
        for who in 0..NAMES.len() {
            self.start(who)?;
        }
        let mut tick = interval(TICK);
        while self.facts.answers.len() < NAMES.len() {
            tokio::select! {
                biased;
                news = self.inbox.recv() => self.handle_news(news.ok_or("nobody tells anything any more")?)?,
                _ = tick.tick() => self.handle_tick()?,
            }
        }
        Ok(())
    }

    fn wanted(&self) -> String {
        match &self.act {
            Act::HalfWay => format!("a leader half-way through {VICTIM}"),
            Act::Dying(victim) => format!("the end of the killed leader's processes ({victim})"),
            Act::Restarting(who, _) => format!("the moment to start {} again", NAMES[*who]),
            Act::Serving => "the commands of all three replicas".to_owned(),
            Act::Answering => "the answers of all three commands".to_owned(),
        }
    }

    fn start(&mut self, who: usize) -> Result<(), String> {
        let redis_url = self.election.as_ref().and_then(Election::redis_url);
        let replica = Replica::start(who, self.stage, redis_url.as_deref(), &self.news);
        let replica = replica.map_err(|error| format!("cannot start a replica: {error}"))?;
        if let Some(place) = self.replicas.get_mut(who) {
            self.timeline.intervene(
                &format!("start {}", NAMES[who]),
                &format!("as an orchestrator would: pid {}", replica.pid()),
            );
            *place = replica;
        } else {
            self.replicas.push(replica);
        }
        Ok(())
    }

    fn handle_news(&mut self, news: News) -> Result<(), String> {
        // Who has died is told before whoever could go on because of that.
        self.handle_tick()?;
        match news {
            News::Log(who, line) => self.handle_log(who, &line),
            News::Stray(who, line) => self.remember(who, &line),
            News::Serves(who, greeting) => self.handle_serves(who, greeting),
            News::Answered(who, answer) => {
                let answer = answer.map_err(|error| format!("{} does not answer over HTTP: {error}", NAMES[who]))?;
                self.handle_answer(who, &answer);
            }
        }
        Ok(())
    }

    fn handle_answer(&mut self, who: usize, answer: &Answer) {
        let pid = self.replicas[who].pid();
        let kept = if answer.pid == pid { "still the replica's pid" } else { "not the replica's pid" };
        let told = format!("“I am {}, revision {}, pid {}”: {kept}", answer.replica, answer.rev, answer.pid);
        self.timeline.replica(who, "HTTP 200", &told);
        let is_right = answer.pid == pid && answer.replica == NAMES[who] && answer.rev == REV;
        self.facts.answers.push((who, is_right));
    }

    fn remember(&mut self, who: usize, line: &str) {
        if self.last_lines.len() == LAST_LINES {
            self.last_lines.pop_front();
        }
        self.last_lines.push_back(format!("{}: {line}", NAMES[who]));
    }

    fn handle_log(&mut self, who: usize, line: &LogLine) {
        self.remember(who, &format!("{} {}", line.level, line.message));
        let timeline = self.timeline.clone();
        let say = |what: &str, details: &str| timeline.replica(who, what, details);
        match line.told() {
            Told::Follower => say("FOLLOWER", &format!("waits until {REV} is ready")),
            Told::Leader(epoch) => {
                self.facts.leaders.push((who, epoch));
                say("LEADER", &format!("epoch {epoch}"));
            }
            Told::TakesOver { step, from } => {
                let silence = self.facts.last_beats.iter().find(|(name, _)| name == step);
                let silence = silence.map(|(_, beat)| beat.until(UnixMillis::wall_clock()));
                let silence =
                    silence.map_or_else(String::new, |silence| format!(" after {} of silence", span(silence)));
                self.facts.takeovers += 1;
                say(step, &format!("taken over from epoch {from}{silence}"));
            }
            Told::Started { step, pid } => {
                let attempt = self.attempt(step).map_or_else(String::new, |attempt| format!("attempt {attempt}, "));
                say(step, &format!("started: {attempt}pid {pid}"));
            }
            Told::Output { step, text } => {
                say(step, text);
                self.handle_output(who, step, text);
            }
            Told::Ended { step, how } => say(step, &format!("ended: {how}")),
            Told::DoneAlready { step } => say(step, "done already, not repeated"),
            Told::HandsOff => say("ready", &format!("{REV} is ready: hands off to its command")),
            Told::Warning(text) => self.handle_warning(who, text),
            Told::Aside => {}
        }
    }

    /// All three would say the same.
    fn handle_warning(&mut self, who: usize, text: &str) {
        if self.warnings.iter().any(|known| known == text) {
            return;
        }
        self.warnings.push(text.to_owned());
        if text.starts_with("THE VOLUME IS NOT MOUNTED") {
            self.timeline.replica(
                who,
                "warning",
                "the volume lies in a container's own layer: good enough for a demo only",
            );
        } else if !text.starts_with("no Redis is configured") {
            // Who elects has been told.
            self.timeline.replica(who, "warning", text);
        }
    }

    /// The attempt that the step's marker tells.
    fn attempt(&self, step: &str) -> Option<u32> {
        let markers = self.stage.volume().markers().ok()?;
        let mut of_step = markers.into_iter().filter(|marker| marker.step.as_deref() == Some(step));
        of_step.find_map(|marker| marker.content?.attempt)
    }

    fn handle_output(&mut self, who: usize, step: &str, text: &str) {
        if !matches!(self.act, Act::HalfWay) || step != VICTIM || !is_half_way(text) {
            return;
        }
        let replica = &self.replicas[who];
        let led = self.facts.leaders.iter().rfind(|leader| leader.0 == who);
        let epoch = led.map_or(0, |&(_, epoch)| epoch);
        let victim = Victim::look(who, epoch, replica.pid());
        replica.kill();
        self.timeline.intervene(
            &format!("kill -9 {}", NAMES[who]),
            &format!("the leader, pid {}, half-way through {VICTIM} ({victim})", replica.pid()),
        );
        self.facts.kills += 1;
        self.act = Act::Dying(victim);
    }

    fn handle_tick(&mut self) -> Result<(), String> {
        let now = boottime::now();
        let victim = match &self.act {
            Act::Dying(victim) => Some(victim.who),
            Act::Restarting(who, _) => Some(*who),
            _ => None,
        };
        if let Some(Election::Lease(redis)) = &mut self.election {
            let ended = redis.try_wait().map_err(|error| error.to_string())?;
            ended.map_or(Ok(()), |status| Err(format!("the redis-server has ended: {status}")))?;
        }
        let mut is_dead = false;
        for (who, replica) in self.replicas.iter_mut().enumerate() {
            match replica.try_wait().map_err(|error| error.to_string())? {
                Some(_) if Some(who) == victim => is_dead = true,
                Some(status) => return Err(format!("replica {} has ended: {status}", NAMES[who])),
                None => {}
            }
        }
        if is_dead {
            self.handle_dead(now);
        }
        match self.act {
            Act::Restarting(who, at) if now >= at => {
                self.act = Act::Serving;
                self.start(who)
            }
            _ => Ok(()),
        }
    }

    /// The killed leader is dead; what it ran must go as well.
    fn handle_dead(&mut self, now: Timestamp) {
        let Act::Dying(victim) = &mut self.act else { return };
        if self.facts.last_beats.is_empty() {
            // Nobody beats for it any more: this is the last beat, until somebody takes over.
            self.facts.last_beats = victim.last_beats(self.stage.volume());
        }
        for tree in victim.take_gone() {
            let after = span(now.since(victim.killed_at));
            let details = format!("whole tree gone ({} processes), seen {after} after the kill", tree.processes.len());
            self.timeline.observe(&tree.step, &details);
            self.facts.gone.push(tree.gone(victim.epoch, now));
        }
        if victim.is_gone() {
            self.act = Act::Restarting(victim.who, victim.killed_at + RESTART_AFTER);
        }
    }

    fn handle_serves(&mut self, who: usize, greeting: Greeting) {
        self.timeline.replica(who, "serves", &format!("on {}", greeting.address));
        self.greetings[who] = Some(greeting);
        if self.greetings.iter().all(Option::is_some) {
            self.act = Act::Answering;
            for (who, greeting) in self.greetings.iter().flatten().cloned().enumerate() {
                let news = self.news.clone();
                tokio::spawn(async move { drop(news.send(News::Answered(who, ask(&greeting.address).await))) });
            }
        }
    }
}
