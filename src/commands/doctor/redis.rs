//! The Redis of the lease: whether it answers, and whether it would do.

use std::time::Duration;

use super::{block_on, cannot_begin};
use crate::exit::Exit;
use crate::finding::Finding;
use crate::lease::{Eviction, Examination, Failure, examine};
use crate::protocol::{LeaseTimes, LeaseWish, Trust};
use crate::settings::{Known, RedisSettings};
use crate::volume::Replica;

const WHAT: &str = "Redis";
/// Longest time for the login, and once more for the rest; a request never has more.
const LIMIT: Duration = Duration::from_secs(2);
/// What is asked about, where the scope is the volume's id: that is not waited for.
const SCOPE: &str = "doctor";

pub(super) fn look(known: &Known, redis: &RedisSettings, tell: &dyn Fn(Finding)) {
    // Who never leads needs none.
    let tell = |finding: Finding| tell(if known.may_lead { finding } else { finding.as_warning() });
    let scope = redis.scope.as_ref().map_or_else(|| SCOPE.to_owned(), ToString::to_string);
    let unique = Replica::of_this_process().id.simple().to_string();
    match block_on(examine(&redis.server, &scope, &unique, LIMIT)) {
        Err(error) => tell(cannot_begin(WHAT, &error)),
        Ok(Err(failure)) => tell(of_failure(redis, &failure)),
        Ok(Ok(examination)) => findings(known, redis, &examination).into_iter().for_each(tell),
    }
}

fn of_failure(redis: &RedisSettings, failure: &Failure) -> Finding {
    let otherwise = format!("look at {}", redis.server.origin().place);
    Finding::of_message(WHAT, &failure.to_string(), &otherwise, Exit::Unavailable)
}

fn findings(known: &Known, redis: &RedisSettings, examination: &Examination) -> Vec<Finding> {
    let Examination { answered_in, refusal, role, eviction } = examination;
    let place = &redis.server.origin().place;
    let limit = request_limit(known, redis);
    let millis = answered_in.as_millis();
    let mut findings = vec![if *answered_in > limit {
        let seen = format!("{} took {millis} ms to answer; a request has {} ms", redis.server, limit.as_millis());
        Finding::warn(WHAT, seen, "a longer LOCK_RENEW_TTL_SECS or STEP_STALE_SECS allows more")
    } else {
        Finding::ok(WHAT, format!("{} (of {place}) answers PING in {millis} ms", redis.server))
    }];
    match (refusal, role.as_deref()) {
        (Some(failure), _) => findings.push(of_failure(redis, failure)),
        (None, Some("slave")) => {
            let seen = "it is a replica that can be written, and forgets what was written";
            findings.push(Finding::warn(WHAT, seen, format!("name the primary in {place}")));
        }
        (None, role) => {
            let role = if role.is_some() { "it is a primary, and " } else { "" };
            findings.push(Finding::ok(WHAT, format!("{role}its user may do what the lease needs")));
        }
    }
    findings.push(of_eviction(eviction.as_ref()));
    findings
}

/// The lease has an end, so it is among the first to go under the policies that spare what has none.
fn of_eviction(eviction: Option<&Eviction>) -> Finding {
    match eviction {
        None => Finding::ok(WHAT, "maxmemory-policy is not known: its user may not ask for it (INFO)"),
        Some(Eviction { policy, .. }) if policy == "noeviction" => Finding::ok(WHAT, "maxmemory-policy is noeviction"),
        Some(Eviction { policy, has_limit: false }) => {
            Finding::ok(WHAT, format!("maxmemory-policy is {policy}, but there is no maxmemory, so nothing is evicted"))
        }
        Some(Eviction { policy, has_limit: true }) => {
            let seen = format!("maxmemory-policy is {policy}: the lease may be evicted when the memory is full");
            Finding::warn(
                WHAT,
                seen,
                "CONFIG SET maxmemory-policy noeviction there, or give the lease a Redis of its own",
            )
        }
    }
}

/// How long a request of a replica may take.
fn request_limit(known: &Known, redis: &RedisSettings) -> Duration {
    let Some(settings) = &known.settings else { return LIMIT };
    let wish = LeaseWish { ttl: redis.ttl, heartbeat: redis.heartbeat, grace: settings.stop_grace };
    let times = LeaseTimes::derive(wish, settings.stale, redis.wait, Trust::Trusted);
    times.map_or(LIMIT, |times| times.request_limit())
}
