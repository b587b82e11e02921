//! From checked settings to a driver: the volume, the trust in its locks, the machine's configuration.

use super::log_writer;
use crate::driver::{self, LeaseSource, Setup};
use crate::exit::Exit;
use crate::preset::Presets;
use crate::protocol::{Config, ConfigError, Election, LeaseWish, Policy, Trust};
use crate::settings::{Env, Glance, LogFormat, LogLevel, Notice, Overlay, Problem, Settings, VolumeLocks};
use crate::volume::{Replica, TrustFinding, TrustKind, Volume, VolumeError};

/// Why a command ends before it has begun.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) exit: Exit,
    pub(super) reason: String,
}

impl Refusal {
    pub(super) fn of_problems(problems: &[Problem]) -> Refusal {
        Refusal { exit: Exit::Usage, reason: Problem::render(problems) }
    }

    /// Of what could not be begun, as in "cannot begin to ask Redis".
    pub(super) fn of_beginning(what: &str, error: &std::io::Error) -> Refusal {
        let reason =
            format!("cannot begin{what}: {error}; look at this container's limits of processes, open files and memory");
        Refusal { exit: Exit::of_beginning(error), reason }
    }

    pub(super) fn of_volume(error: &VolumeError) -> Refusal {
        Refusal { exit: Exit::of_fault(error.fault()), reason: crate::exit::chain(error) }
    }
}

/// The settings of this process: its environment under the flags of its command line.
pub(super) fn settings(overlay: &Overlay, presets: Presets) -> Result<(Settings, Vec<Notice>), Vec<Problem>> {
    let env: Env = std::env::vars_os().collect();
    Settings::from(&env, overlay, presets)
}

/// Those of them that a look at the volume needs.
pub(super) fn glance(overlay: &Overlay, presets: Presets) -> Result<Glance, Vec<Problem>> {
    let env: Env = std::env::vars_os().collect();
    Glance::from(&env, overlay, presets)
}

/// The volume as the settings name it.
pub(super) fn volume(settings: &Settings) -> Volume {
    let plan = std::sync::Arc::clone(&settings.plan.plan);
    Volume::new(settings.volume.clone(), settings.rev.clone(), plan, Replica::of_this_process())
}

/// Whether the volume's locks are trusted, after the settings.
pub(super) fn trust(settings: &Settings, volume: &Volume) -> Result<TrustFinding, Refusal> {
    volume.check_root().map_err(|error| Refusal::of_volume(&error))?;
    volume.trust(asked_trust(settings)).map_err(|error| Refusal::of_volume(&error))
}

/// What the settings say of the volume's locks.
pub(super) fn asked_trust(settings: &Settings) -> Option<Trust> {
    match settings.locks {
        VolumeLocks::Auto => None,
        VolumeLocks::Trusted => Some(Trust::Trusted),
        VolumeLocks::Untrusted => Some(Trust::NotTrusted),
    }
}

/// Everything a driver needs. Reads the volume, writes nothing.
pub(super) fn setup(settings: &Settings) -> Result<Setup, Refusal> {
    let volume = volume(settings);
    let finding = trust(settings, &volume)?;
    driver::warn_of_forgotten_volume(&finding, &settings.volume);
    let explained = |error| Refusal { exit: Exit::Usage, reason: explain(&error, settings, &finding) };
    let config = config(settings, &volume, finding.trust).map_err(explained)?;
    let stop_grace = config.election().stop_grace(settings.stop_grace);
    let candidate = volume.replica().id;
    Ok(Setup {
        config,
        volume,
        prove_guard: finding.kind == TrustKind::Shared,
        plan: settings.plan.clone().into(),
        shim: "/proc/self/exe".into(),
        needs_wait: settings.needs_wait,
        stop_grace,
        mask: settings.mask.clone(),
        candidate,
        lease: settings.redis.as_ref().map(|redis| LeaseSource {
            server: redis.server.clone(),
            scope: redis.scope.as_ref().map(ToString::to_string),
        }),
    })
}

/// What the machine is told. Who elects is looked at first: a lease that does not fit is the more telling mistake.
pub(super) fn config(settings: &Settings, volume: &Volume, trust: Trust) -> Result<Config, ConfigError> {
    let policy = policy(settings);
    let election = match &settings.redis {
        Some(redis) => {
            let wish = LeaseWish { ttl: redis.ttl, heartbeat: redis.heartbeat, grace: settings.stop_grace };
            Election::by_lease(wish, redis.wait, &policy, trust, volume.replica().seed())?
        }
        None => Election::Guard,
    };
    Config::new(std::sync::Arc::clone(&settings.plan.plan), election, trust, policy)
}

fn policy(settings: &Settings) -> Policy {
    Policy {
        may_lead: settings.may_lead,
        stale_after: settings.stale,
        backoff: settings.backoff,
        ready_timeout: settings.ready_timeout,
        on_failure: settings.on_failure,
        on_downgrade: settings.on_downgrade,
        allow_rollback: settings.allow_rollback,
    }
}

/// What is wrong with a configuration, and what to change.
pub(super) fn explain(error: &ConfigError, settings: &Settings, finding: &TrustFinding) -> String {
    let volume = format!("{}: {}", settings.volume.display(), finding.reason);
    match error {
        ConfigError::GuardNotTrusted => format!(
            "{error} ({volume}); set BELLWETHER_REDIS_URL, use a volume whose locks work, or, if you know that they do, \
             set BELLWETHER_VOLUME_LOCKS=trusted"
        ),
        ConfigError::LeaseTooShort { .. } if finding.trust == Trust::Trusted => {
            format!("LOCK_RENEW_TTL_SECS: {error}; raise it, or lower LOCK_HEARTBEAT_SECS")
        }
        ConfigError::LeaseTooShort { .. } => format!(
            "LOCK_RENEW_TTL_SECS: {error}, since a step must be stopped before its lease ends where locks are not \
             trusted ({volume}); raise it, or lower BELLWETHER_STOP_GRACE_SECS or LOCK_HEARTBEAT_SECS"
        ),
        ConfigError::NoLease { .. } => {
            format!("BELLWETHER_STOP_GRACE_SECS, LOCK_HEARTBEAT_SECS: {error}; lower them")
        }
        ConfigError::StaleTooShort { .. } => format!("STEP_STALE_SECS: {error} ({volume}); raise it"),
    }
}

/// Begins to log to stderr, through a thread.
pub(super) fn start_logging(settings: &Settings) {
    let level = match settings.log {
        LogLevel::Off => tracing::level_filters::LevelFilter::OFF,
        LogLevel::Error => tracing::level_filters::LevelFilter::ERROR,
        LogLevel::Warn => tracing::level_filters::LevelFilter::WARN,
        LogLevel::Info => tracing::level_filters::LevelFilter::INFO,
        LogLevel::Debug => tracing::level_filters::LevelFilter::DEBUG,
        LogLevel::Trace => tracing::level_filters::LevelFilter::TRACE,
    };
    let writer = log_writer::begin(settings.log_format);
    let builder = tracing_subscriber::fmt().with_writer(writer).with_target(false).with_max_level(level);
    // Else a line that cannot be formatted is complained about on stderr by the thread that logs, and it must not wait.
    let builder = builder.log_internal_errors(false);
    // A subscriber that is there already is a test's.
    match settings.log_format {
        LogFormat::Text => drop(tracing::subscriber::set_global_default(builder.with_ansi(false).finish())),
        LogFormat::Json => drop(tracing::subscriber::set_global_default(builder.json().flatten_event(true).finish())),
    }
}
