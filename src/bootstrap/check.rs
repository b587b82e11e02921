//! From what a program has said to a driver's setup, or to everything that is wrong with it.

use std::sync::Arc;
use std::time::Duration;

use super::{Bootstrap, Step, plan};
use crate::driver::{LeaseSource, Setup, Work, WorkPlan};
#[cfg(feature = "redis")]
use crate::lease::{Origin, Server};
use crate::process::shim;
#[cfg(feature = "redis")]
use crate::protocol::LeaseWish;
use crate::protocol::{Config, ConfigError, Election, Trust};
use crate::settings::{Env, Problem};
use crate::volume::{Replica as Identity, TrustFinding, TrustKind, Volume};

/// How long a Redis that cannot be reached is waited for while nobody is at work, unless it is said.
#[cfg(feature = "redis")]
const REDIS_WAIT: Duration = Duration::from_secs(120);

/// What a failure of Redis tells a programmer to look at.
#[cfg(feature = "redis")]
const ORIGIN: &str = "the URL given to .redis(url)";

impl Bootstrap {
    pub(super) fn work(&self, problems: &mut Vec<Problem>) -> Option<WorkPlan> {
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

    pub(super) fn check_times(&self, problems: &mut Vec<Problem>) {
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

    pub(super) fn check_shim(&self, work: Option<&WorkPlan>, problems: &mut Vec<Problem>) {
        let is_command = |work: &Work| matches!(work, Work::Command(_));
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

    pub(super) fn config(
        &self,
        work: &WorkPlan,
        replica: &Identity,
        finding: &TrustFinding,
        problems: &mut Vec<Problem>,
    ) -> Option<Config> {
        let election = self.election(replica, finding.trust);
        let election = election.map_err(|error| problems.push(explain(&error, finding))).ok()?;
        let plan = Arc::clone(&work.plan);
        let config = Config::new(plan, election, finding.trust, self.policy.clone());
        config.map_err(|error| problems.push(explain(&error, finding))).ok()
    }

    /// Who elects: the guard alone, unless a Redis is named.
    #[cfg(feature = "redis")]
    fn election(&self, replica: &Identity, trust: Trust) -> Result<Election, ConfigError> {
        let super::Lease { url, ttl, heartbeat, wait } = &self.lease;
        if url.is_none() {
            return Ok(Election::Guard);
        }
        let wish = LeaseWish { ttl: *ttl, heartbeat: *heartbeat, grace: self.stop_grace };
        Election::by_lease(wish, wait.unwrap_or(REDIS_WAIT), &self.policy, trust, replica.seed())
    }

    #[cfg(not(feature = "redis"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "with Redis it may fail")]
    fn election(&self, _replica: &Identity, _trust: Trust) -> Result<Election, ConfigError> {
        Ok(Election::Guard)
    }

    /// Where the lease lives, if there is one.
    #[cfg(feature = "redis")]
    pub(super) fn source(&self, problems: &mut Vec<Problem>) -> Option<LeaseSource> {
        let Some(url) = &self.lease.url else {
            let super::Lease { ttl, heartbeat, wait, .. } = self.lease;
            for (what, span) in [("lease_ttl", ttl), ("heartbeat", heartbeat), ("redis_wait", wait)] {
                if span.is_some() {
                    problems.push(Problem::new(what, "there is no lease without a Redis; name one with .redis(url)"));
                }
            }
            return None;
        };
        match Server::parse(url) {
            Ok(server) => Some(LeaseSource { server: server.with_origin(Origin::of(ORIGIN)), scope: None }),
            Err(error) => {
                problems.push(Problem::new("redis", format!("the URL {error}")));
                None
            }
        }
    }

    #[cfg(not(feature = "redis"))]
    #[expect(clippy::unused_self, reason = "with Redis there is something to look at")]
    pub(super) fn source(&self, _problems: &mut Vec<Problem>) -> Option<LeaseSource> {
        None
    }

    pub(super) fn setup(
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
            let Work::Command(command) = work else { continue };
            command.env.iter().for_each(|(name, value)| mask.add_variable(name, value));
        }
        for password in plan.needs.iter().filter_map(|need| need.password()) {
            mask.add_variable("PASSWORD", password);
        }
        let stop_grace = config.election().stop_grace(self.stop_grace);
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

fn explain(error: &ConfigError, finding: &TrustFinding) -> Problem {
    let reason = &finding.reason;
    match error {
        ConfigError::LeaseTooShort { .. } | ConfigError::NoLease { .. } => Problem::new("lease_ttl", error.to_string()),
        ConfigError::GuardNotTrusted | ConfigError::StaleTooShort { .. } => Problem::new(
            "volume",
            format!("{error} ({reason}); if you know that they work, say so with .trust(Trust::Trusted)"),
        ),
    }
}

#[cfg(test)]
mod tests;
