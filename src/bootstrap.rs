//! The embedding API: a builder, a replica, an outcome.
//!
//! It installs no signal handler, execs nothing, keeps no global state and writes to neither stdout nor stderr: what
//! there is to say are events of [`tracing`]. Several replicas may live in one process.

mod plan;
mod running;
mod step;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::driver::{self, LeaseSource, Setup, WorkPlan};
use crate::exit::chain;
#[cfg(feature = "redis")]
use crate::lease::Server;
use crate::process::shim;
use crate::protocol::{Config, ConfigError, Election, OnDowngrade, Plan, Policy, Revision, Trust, USUAL_GRACE};
#[cfg(feature = "redis")]
use crate::protocol::{LeaseTimes, LeaseWish};
use crate::settings::{Env, Mask, Problem};
use crate::volume::{Replica as Identity, TrustFinding, TrustKind, Volume, VolumeError};

pub use running::{Outcome, Replica, RunError, Running};
pub use step::Step;

/// How long a plan's needs are waited for, unless it is said.
const NEEDS_WAIT: Duration = Duration::from_secs(300);

/// How long a Redis that cannot be reached is waited for while nobody is at work, unless it is said.
#[cfg(feature = "redis")]
const REDIS_WAIT: Duration = Duration::from_secs(120);

/// Everything that is wrong with a [`Bootstrap`]; nothing was touched.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", Problem::render(problems))]
pub struct BootstrapError {
    problems: Vec<Problem>,
}

impl BootstrapError {
    /// The mistakes, one by one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

/// What one replica is told before it begins: the revision, the volume, the steps.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use bellwether::{Bootstrap, Outcome, Step};
///
/// let replica = Bootstrap::new("v42", "/srv/shared")
///     .step(Step::run("migrate", |context| async move {
///         context.log("migrating");
///         Ok(())
///     }))
///     .step(Step::command("assets", ["npm", "run", "build"]).after("migrate"))
///     .build()?;
/// match replica.run().await? {
///     Outcome::Ready => println!("serving"),
///     other => println!("not serving: {other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Bootstrap {
    revision: String,
    volume: PathBuf,
    steps: Vec<Step>,
    plan_files: Vec<PathBuf>,
    needs: Vec<String>,
    needs_wait: Option<Duration>,
    policy: Policy,
    stop_grace: Option<Duration>,
    trust: Option<Trust>,
    shim: Option<PathBuf>,
    mask: Mask,
    #[cfg(feature = "redis")]
    lease: Lease,
}

/// What was said about the lease.
#[cfg(feature = "redis")]
#[derive(Clone, Default)]
struct Lease {
    url: Option<String>,
    ttl: Option<Duration>,
    heartbeat: Option<Duration>,
    wait: Option<Duration>,
}

impl fmt::Debug for Bootstrap {
    /// Without URLs, which may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bootstrap { revision, volume, steps, .. } = self;
        let mut debug = f.debug_struct("Bootstrap");
        debug.field("revision", revision).field("volume", volume).field("steps", steps).finish_non_exhaustive()
    }
}

impl Bootstrap {
    /// A replica that rolls out `revision` (letters, digits, `.`, `_`, `-`; at most 128) on the directory `volume`, which
    /// all replicas share.
    pub fn new(revision: impl Into<String>, volume: impl Into<PathBuf>) -> Bootstrap {
        Bootstrap {
            revision: revision.into(),
            volume: volume.into(),
            steps: Vec::new(),
            plan_files: Vec::new(),
            needs: Vec::new(),
            needs_wait: Some(NEEDS_WAIT),
            policy: Policy::default(),
            stop_grace: None,
            trust: None,
            shim: None,
            mask: Mask::new(),
            #[cfg(feature = "redis")]
            lease: Lease::default(),
        }
    }

    /// Adds a step. Steps that are not [`after`](Step::after) one another run side by side.
    pub fn step(mut self, step: Step) -> Bootstrap {
        self.steps.push(step);
        self
    }

    /// Adds the steps of a plan file (the JSON of `bellwether run`), beside those of the program, which may come after
    /// them.
    pub fn plan_file(mut self, path: impl Into<PathBuf>) -> Bootstrap {
        self.plan_files.push(path.into());
        self
    }

    /// Waits for this before leading: `tcp://host:port`, `http://host[:port][/path]`, `file:///path`, and with the
    /// feature `redis` `redis://…`.
    pub fn need(mut self, need: impl Into<String>) -> Bootstrap {
        self.needs.push(need.into());
        self
    }

    /// How long the needs are waited for. Default: 300 s.
    pub fn needs_wait(mut self, limit: Duration) -> Bootstrap {
        self.needs_wait = Some(limit);
        self
    }

    /// How long a leader may be silent before another takes over; at least 1 s. It bounds silence, not how long a step
    /// takes. Default: 120 s.
    pub fn stale_after(mut self, silence: Duration) -> Bootstrap {
        self.policy.stale_after = silence;
        self
    }

    /// The wait after a step's first bad end; it doubles up to five minutes. 0.1 to 300 s. Default: 10 s.
    pub fn backoff(mut self, first: Duration) -> Bootstrap {
        self.policy.backoff = first;
        self
    }

    /// How long a step that is stopped may take to end: a command between TERM and KILL, a function between
    /// [`cancelled`](crate::StepContext::cancelled) and its abort. Default: 5 s, less where a short lease asks for it.
    pub fn stop_grace(mut self, grace: Duration) -> Bootstrap {
        self.stop_grace = Some(grace);
        self
    }

    /// This replica only waits.
    pub fn never_lead(mut self) -> Bootstrap {
        self.policy.may_lead = false;
        self
    }

    /// Gives up waiting for others after this time. Default: never.
    pub fn ready_timeout(mut self, limit: Duration) -> Bootstrap {
        self.policy.ready_timeout = Some(limit);
        self
    }

    /// Lets this revision lead though a later one has begun on the volume.
    pub fn allow_rollback(mut self) -> Bootstrap {
        self.policy.allow_rollback = true;
        self
    }

    /// Ends with [`Outcome::Superseded`] if this revision is ready but a later one has begun. Default: a warning.
    pub fn refuse_downgrade(mut self) -> Bootstrap {
        self.policy.on_downgrade = OnDowngrade::Refuse;
        self
    }

    /// Says whether the volume's locks work between all replicas. Default: judged by its file system.
    pub fn trust(mut self, trust: Trust) -> Bootstrap {
        self.trust = Some(trust);
        self
    }

    /// The program that is asked to be a shim for steps that are commands: one that calls
    /// [`shim_if_asked`](crate::shim_if_asked), or `bellwether` itself. Default: this one.
    pub fn shim(mut self, program: impl Into<PathBuf>) -> Bootstrap {
        self.shim = Some(program.into());
        self
    }

    /// Hides a value in everything that steps say. Those of environment variables whose names sound secret are hidden
    /// anyway.
    pub fn secret(mut self, value: &str) -> Bootstrap {
        self.mask.add_secret(value);
        self
    }

    /// Lets a lease in this Redis elect, instead of the guard alone: `redis://[user:password@]host[:port][/db]` or
    /// `unix:///path`. Then volumes whose locks are not trusted will do as well, as long as nothing is paused longer than the
    /// lease lasts; and a stopped leader is followed at once.
    #[cfg(feature = "redis")]
    pub fn redis(mut self, url: impl Into<String>) -> Bootstrap {
        self.lease.url = Some(url.into());
        self
    }

    /// The lease's time to live. Default: three quarters of [`stale_after`](Bootstrap::stale_after), at most 30 s.
    #[cfg(feature = "redis")]
    pub fn lease_ttl(mut self, ttl: Duration) -> Bootstrap {
        self.lease.ttl = Some(ttl);
        self
    }

    /// The time between two renewals of the lease. Default: a sixth of its time to live.
    #[cfg(feature = "redis")]
    pub fn heartbeat(mut self, every: Duration) -> Bootstrap {
        self.lease.heartbeat = Some(every);
        self
    }

    /// How long a Redis that cannot be reached is waited for while nobody is seen at work; then
    /// [`Outcome::RedisUnavailable`]. Default: 120 s.
    #[cfg(feature = "redis")]
    pub fn redis_wait(mut self, limit: Duration) -> Bootstrap {
        self.lease.wait = Some(limit);
        self
    }

    /// The plan alone, for a rehearsal of it: reads plan files, and no volume.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the steps.
    pub fn plan(&self) -> Result<Plan, BootstrapError> {
        let mut problems = Vec::new();
        let work = self.work(&mut problems);
        match work {
            Some(work) if problems.is_empty() => Ok(Plan::clone(&work.plan)),
            _ => Err(BootstrapError { problems }),
        }
    }

    /// Checks everything. Reads the plan files and looks at the volume, which may block if that hangs; writes nothing.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once.
    pub fn build(self) -> Result<Replica, BootstrapError> {
        let mut problems = Vec::new();
        let rev = Revision::parse(&self.revision)
            .map_err(|error| problems.push(Problem::new("revision", format!("{:?} {error}", self.revision))));
        self.check_times(&mut problems);
        let work = self.work(&mut problems);
        self.check_shim(work.as_ref(), &mut problems);
        let source = self.source(&mut problems);
        let root = std::path::absolute(&self.volume).unwrap_or_else(|_| self.volume.clone());
        let (Ok(rev), Some(work)) = (rev, work) else {
            if !root.is_dir() {
                problems.push(Problem::new("volume", format!("{} is no directory", root.display())));
            }
            return Err(BootstrapError { problems });
        };
        let volume = Volume::new(root, rev, Arc::clone(&work.plan), Identity::of_this_process());
        let finding = volume.check_root().and_then(|()| volume.trust(self.trust));
        let config = match &finding {
            Ok(finding) => self.config(&work, volume.replica(), finding, &mut problems),
            Err(error) => {
                problems.push(of_volume(error));
                None
            }
        };
        match (finding, config) {
            (Ok(finding), Some(config)) if problems.is_empty() => {
                driver::warn_of_forgotten_volume(&finding, volume.root());
                Ok(Replica { setup: self.setup(volume, work, &finding, config, source) })
            }
            _ => Err(BootstrapError { problems }),
        }
    }

    fn work(&self, problems: &mut Vec<Problem>) -> Option<WorkPlan> {
        let mut loaded = None;
        for path in &self.plan_files {
            if loaded.is_some() {
                problems.push(Problem::new(path.display().to_string(), "is a second plan file; there may be one"));
                continue;
            }
            match plan::load(path) {
                Ok(plan) => loaded = Some(plan),
                Err(found) => problems.extend(found),
            }
        }
        plan::assemble(loaded, self.steps.clone(), &self.needs, problems)
    }

    fn check_times(&self, problems: &mut Vec<Problem>) {
        let mut complain = |what: &str, text: &str| problems.push(Problem::new(what, text));
        if self.policy.stale_after < Duration::from_secs(1) {
            complain("stale_after", "is too short; at least 1 s is needed");
        }
        if !(Duration::from_millis(100)..=Duration::from_secs(300)).contains(&self.policy.backoff) {
            complain("backoff", "is out of range; 0.1 to 300 s are allowed");
        }
        if self.policy.ready_timeout.is_some_and(|limit| limit.is_zero()) {
            complain("ready_timeout", "is 0; leave it out to wait for ever");
        }
    }

    fn check_shim(&self, work: Option<&WorkPlan>, problems: &mut Vec<Problem>) {
        let is_command = |work: &driver::Work| matches!(work, driver::Work::Command(_));
        let loaded = work.is_some_and(|work| work.works.iter().any(is_command));
        let needs_one = loaded || self.steps.iter().any(Step::is_command);
        match &self.shim {
            None if needs_one && !shim::is_answered() => problems.push(Problem::new(
                "shim",
                "steps that are commands need a program to run under; call bellwether::shim_if_asked() before anything \
                 else in main, or name another program that does with .shim(path)",
            )),
            Some(path) if !path.is_file() => {
                problems.push(Problem::new("shim", format!("there is no program {}", path.display())));
            }
            _ => {}
        }
    }

    fn config(
        &self,
        work: &WorkPlan,
        replica: &Identity,
        finding: &TrustFinding,
        problems: &mut Vec<Problem>,
    ) -> Option<Config> {
        let election = self.election(replica, finding.trust).map_err(|problem| problems.push(problem)).ok()?;
        let plan = Arc::clone(&work.plan);
        let config = Config::new(plan, election, finding.trust, self.policy.clone());
        config.map_err(|error| problems.push(explain(&error, finding))).ok()
    }

    /// Who elects: the guard alone, unless a Redis is named.
    #[cfg(feature = "redis")]
    fn election(&self, replica: &Identity, trust: Trust) -> Result<Election, Problem> {
        let Lease { url, ttl, heartbeat, wait } = &self.lease;
        if url.is_none() {
            return Ok(Election::Guard);
        }
        let asked = LeaseWish { ttl: *ttl, heartbeat: *heartbeat, grace: self.stop_grace };
        // Whoever never leads has no lease to keep.
        let wish = if self.policy.may_lead { asked } else { LeaseWish::default() };
        let times = LeaseTimes::derive(wish, self.policy.stale_after, wait.unwrap_or(REDIS_WAIT), trust);
        let times = times.map_err(|error| Problem::new("lease_ttl", error.to_string()))?;
        let (seed, _) = replica.id.as_u64_pair();
        Ok(Election::Lease(times.with_jitter(seed)))
    }

    #[cfg(not(feature = "redis"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "with Redis it may fail")]
    fn election(&self, _replica: &Identity, _trust: Trust) -> Result<Election, Problem> {
        Ok(Election::Guard)
    }

    /// Where the lease lives, if there is one.
    #[cfg(feature = "redis")]
    fn source(&self, problems: &mut Vec<Problem>) -> Option<LeaseSource> {
        let Some(url) = &self.lease.url else {
            if self.lease.ttl.or(self.lease.heartbeat).or(self.lease.wait).is_some() {
                problems
                    .push(Problem::new("lease_ttl", "there is no lease without a Redis; name one with .redis(url)"));
            }
            return None;
        };
        match Server::parse(url) {
            Ok(server) => Some(LeaseSource { server, scope: None }),
            Err(error) => {
                problems.push(Problem::new("redis", format!("the URL {error}")));
                None
            }
        }
    }

    #[cfg(not(feature = "redis"))]
    #[expect(clippy::unused_self, reason = "with Redis there is something to look at")]
    fn source(&self, _problems: &mut Vec<Problem>) -> Option<LeaseSource> {
        None
    }

    fn setup(
        self,
        volume: Volume,
        plan: WorkPlan,
        finding: &TrustFinding,
        config: Config,
        lease: Option<LeaseSource>,
    ) -> Setup {
        let mut mask = self.mask;
        mask.add_env(&std::env::vars_os().collect::<Env>());
        for work in &plan.works {
            let driver::Work::Command(command) = work else { continue };
            command.env.iter().for_each(|(name, value)| mask.add_variable(name, value));
        }
        for password in plan.needs.iter().filter_map(|need| need.password()) {
            mask.add_variable("PASSWORD", password);
        }
        let stop_grace = match config.election() {
            Election::Lease(times) if self.policy.may_lead => times.grace(),
            Election::Lease(_) | Election::Guard => self.stop_grace.unwrap_or(USUAL_GRACE),
        };
        #[cfg(feature = "redis")]
        self.lease.url.iter().for_each(|url| mask.add_variable("url", url));
        Setup {
            candidate: volume.replica().id,
            config,
            volume,
            prove_guard: finding.kind == TrustKind::Shared,
            plan,
            shim: self.shim.map_or_else(|| "/proc/self/exe".into(), |path| std::path::absolute(&path).unwrap_or(path)),
            needs_wait: self.needs_wait,
            stop_grace,
            mask,
            lease,
        }
    }
}

fn of_volume(error: &VolumeError) -> Problem {
    Problem::new("volume", chain(error))
}

fn explain(error: &ConfigError, finding: &TrustFinding) -> Problem {
    let reason = &finding.reason;
    Problem::new(
        "volume",
        format!("{error} ({reason}); if you know that they work, say so with .trust(Trust::Trusted)"),
    )
}
