//! The embedding API: a builder, a replica, an outcome.
//!
//! It installs no signal handler, execs nothing and writes to neither stdout nor stderr: what there is to say are events
//! of [`tracing`]. Several replicas may live in one process, and know nothing of each other. Two things they share: a
//! flag that [`shim_if_asked`](crate::shim_if_asked) was called, and a list of the children we have started, so that
//! nobody reaps what another waits for.

mod check;
mod plan;
mod running;
mod step;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::driver;
use crate::exit::chain;
use crate::protocol::{OnDowngrade, Plan, Policy, Revision, Trust};
use crate::settings::{Mask, Problem};
use crate::volume::{Replica as Identity, Volume, VolumeError};

pub(crate) use plan::checked_commands;
pub use running::{Outcome, Replica, RunError, Running};
pub use step::Step;

/// How long a plan's needs are waited for, unless it is said.
const NEEDS_WAIT: Duration = Duration::from_secs(300);

/// Everything that is wrong with a [`Bootstrap`]; nothing was touched.
///
/// `Debug` is the same text as `Display`, a line for each mistake: it is what a `main` that returns the error prints.
#[derive(Clone, Eq, PartialEq, thiserror::Error)]
pub struct BootstrapError {
    problems: Vec<Problem>,
}

impl fmt::Display for BootstrapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this replica cannot be built; nothing was touched")?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl fmt::Debug for BootstrapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
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
}

fn of_volume(error: &VolumeError) -> Problem {
    Problem::new("volume", chain(error))
}
