//! All that a round consists of, in namespaces of its own.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::clock::{Clock, RedisClock};
use crate::journal::{Entry, Journal, Reader, What, now};
use crate::mutants;
use crate::network::{self, Network};
use crate::processes;
use crate::redis::{PORT, Redis};
use crate::replica::{Launch, Log, Replica};
use crate::run::run;
use crate::scene::{Leaves, Scene};
use crate::step;
use crate::variables as v;
use crate::volume::Volume;
use crate::watcher;

pub(crate) const REV: &str = "v1";

/// Gives a replica a guard of its own: locks that do not work.
const OWN_GUARD: &str = r#"mount --bind "$1" "$2"; shift 2; exec "$@""#;

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) scene: Scene,
    pub(crate) scratch: PathBuf,
    pub(crate) journal: Journal,
    reader: Reader,
    pub(crate) log: Log,
    pub(crate) volume: Volume,
    pub(crate) network: Option<Network>,
    pub(crate) redis: Option<Redis>,
    pub(crate) clocks: Vec<Clock>,
    pub(crate) redis_clock: RedisClock,
    pub(crate) redis_clock_has_moved: bool,
    pub(crate) redis_was_paused: bool,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) binary: PathBuf,
    pub(crate) secret: String,
    /// The fault that is in the binary, or `-`.
    mutant: String,
}

impl World {
    /// Sets everything up, and starts nobody yet.
    pub(crate) fn new(scene: Scene, scratch: &Path, binary: &Path, preload: &Path, mutant: &str) -> io::Result<World> {
        let secret = format!("hidden-by-seed-{}", scene.seed);
        let journal = Journal::open(&scratch.join("journal"))?;
        // libfaketime leaves something there for each process.
        run("mount", &["-t", "tmpfs", "tmpfs", "/dev/shm"])?;
        let volume = Volume::mount(&scratch.join("volume"))?;
        let count = scene.replicas.len();
        let network = if scene.has_redis { Some(Network::new(count)?) } else { None };
        let redis_clock = RedisClock::new(scratch, preload)?;
        let redis = if scene.has_redis {
            Some(Redis::start(scratch, &secret, redis_clock.clone(), &scratch.join("journal"))?)
        } else {
            None
        };
        let clocks = (0..if scene.has_clocks { count } else { 0 }).map(|nth| Clock::new(scratch, &format!("r{nth}")));
        let mut world = World {
            reader: Reader::open(&scratch.join("journal"))?,
            log: Log::create(&scratch.join("log"))?,
            clocks: clocks.collect::<io::Result<_>>()?,
            scratch: scratch.to_owned(),
            binary: binary.to_owned(),
            replicas: Vec::new(),
            scene,
            journal,
            volume,
            network,
            redis,
            redis_clock,
            redis_clock_has_moved: false,
            redis_was_paused: false,
            secret,
            mutant: mutant.to_owned(),
        };
        world.write_plan()?;
        let steps = world.scene.steps.iter().map(|step| step.name.clone()).collect();
        watcher::watch(world.volume.path(), REV, steps, Journal::open(&world.journal_path())?)?;
        world.replicas = (0..count).map(|nth| world.replica(nth)).collect::<io::Result<_>>()?;
        Ok(world)
    }

    pub(crate) fn journal_path(&self) -> PathBuf {
        self.scratch.join("journal")
    }

    /// What is in the journal, as of the last look at it.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.reader.entries
    }

    /// Looks at the journal.
    pub(crate) fn look(&mut self) -> io::Result<()> {
        self.reader.refresh()
    }

    fn write_plan(&self) -> io::Result<()> {
        let mut steps = Vec::new();
        for planned in &self.scene.steps {
            let child = match planned.leaves {
                Leaves::Nothing => "none",
                Leaves::Orphan => "orphan",
                Leaves::Daemon => "daemon",
            };
            let arguments = [
                planned.name.clone(),
                planned.takes.as_millis().to_string(),
                planned.failures.to_string(),
                planned.code.to_string(),
                planned.after.join(","),
                child.to_owned(),
            ];
            let run = step::command_line(planned.is_deaf, &arguments)?;
            steps.push(json!({ "name": planned.name, "run": run, "after": planned.after }));
        }
        let plan = json!({ "name": "chaos", "steps": steps });
        fs::write(self.scratch.join("plan.json"), plan.to_string())
    }

    fn replica(&self, nth: usize) -> io::Result<Replica> {
        let cast = &self.scene.replicas[nth];
        let mut prefix = if self.scene.has_redis { Network::prefix(nth) } else { Vec::new() };
        if !self.scene.is_trusted {
            let private = self.volume.path().join(".bellwether");
            fs::create_dir_all(&private)?;
            let (own, all) = (self.scratch.join(format!("guard-r{nth}")), private.join("guard.lock"));
            fs::write(&own, "")?;
            fs::OpenOptions::new().append(true).create(true).open(&all)?;
            let mut words = vec!["unshare", "--mount", "--propagation", "private", "sh", "-c", OWN_GUARD, "sh"];
            let (own, all) = (own.display().to_string(), all.display().to_string());
            words.extend([&*own, &*all]);
            prefix.extend(words.into_iter().map(str::to_owned));
        }
        let this = std::env::current_exe()?.display().to_string();
        let how = if cast.serves_on { "on" } else { "once" };
        let command = vec![this, "serve".to_owned(), how.to_owned()];
        let launch =
            Launch { prefix, binary: self.binary.clone(), supervise: cast.supervise, command, env: self.env(nth) };
        let due = now() + u64::try_from(cast.starts_at.as_nanos()).expect("soon");
        Ok(Replica::new(format!("r{nth}"), launch, due))
    }

    fn env(&self, nth: usize) -> BTreeMap<String, String> {
        let scene = &self.scene;
        let path = |path: PathBuf| path.display().to_string();
        let secs = |span: std::time::Duration| span.as_secs_f64().to_string();
        let url = format!("redis://:{}@{}:{PORT}", self.secret, network::address(nth));
        let mut env: Vec<(&str, String)> = vec![
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
            ("IMAGE_REV", REV.to_owned()),
            ("BELLWETHER_VOLUME", path(self.volume.path().to_owned())),
            ("BELLWETHER_PLAN", path(self.scratch.join("plan.json"))),
            ("BELLWETHER_REDIS_URL", if scene.has_redis { url } else { "none".to_owned() }),
            ("BELLWETHER_REDIS_WAIT_SECS", secs(scene.redis_wait)),
            ("BELLWETHER_BACKOFF_SECS", "0.1".to_owned()),
            ("BELLWETHER_STOP_GRACE_SECS", secs(scene.grace)),
            ("BELLWETHER_LOG", "debug".to_owned()),
            ("STEP_STALE_SECS", secs(scene.stale)),
            ("STEP_MAX_ATTEMPTS", scene.limit.to_string()),
            ("IS_LEADER", if scene.replicas[nth].may_lead { "1" } else { "0" }.to_owned()),
            (v::JOURNAL, path(self.journal_path())),
            (v::READY, path(self.volume.path().join(format!(".ready_{REV}")))),
            (v::SECRET, self.secret.clone()),
        ];
        env.extend(scene.ttl.map(|ttl| ("LOCK_RENEW_TTL_SECS", secs(ttl))));
        env.extend((!scene.is_trusted).then(|| ("BELLWETHER_VOLUME_LOCKS", "untrusted".to_owned())));
        env.extend((self.mutant != mutants::NONE).then(|| (mutants::VARIABLE, self.mutant.clone())));
        let clock = self.clocks.get(nth).map(Clock::variables).unwrap_or_default();
        env.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(clock).collect()
    }

    /// Starts a replica once more.
    pub(crate) fn boot(&mut self, nth: usize) -> io::Result<()> {
        let replica = &mut self.replicas[nth];
        let pid = replica.start(&self.log)?;
        self.journal.write(Entry::new(What::Boot, "-").of(&replica.life(), pid));
        Ok(())
    }

    /// The replica that runs a step at this moment.
    pub(crate) fn leader(&self) -> Option<usize> {
        let of = |what| self.entries().iter().filter(move |entry| entry.what == what);
        let begun = of(What::Start).next_back()?;
        let nth = self.replicas.iter().position(|replica| replica.life() == begun.life && replica.pid.is_some())?;
        let is_open = |start: &Entry| {
            start.life == begun.life && !of(What::End).any(|end| end.run == start.run) && processes::is_alive(start.run)
        };
        let has_served = of(What::Serve).any(|entry| entry.life == begun.life);
        (!has_served && of(What::Start).any(is_open)).then_some(nth)
    }

    /// That one, or else this one if it runs.
    pub(crate) fn leader_or(&self, whom: usize) -> Option<usize> {
        let nth = whom % self.replicas.len();
        self.leader().or_else(|| self.replicas[nth].pid.map(|_| nth))
    }
}
