//! All settings as a whole: every mistake at once, before anything is touched.

use std::path::PathBuf;
use std::time::Duration;

use super::env::{Env, Overlay};
use super::mask::Mask;
use super::number::{seconds, seconds_between};
use super::parse::{self, LogFormat, LogLevel, VolumeLocks};
use super::pick::{Given, pick};
use super::plan_file::LoadedPlan;
use super::preset::{chosen, volume_setting};
use super::problem::{Notice, Problem};
use super::redis::RedisSettings;
use super::table::{RETIRED, SETTINGS, Setting, find, names as n};
use super::unknown;
use super::warm::checked;
use crate::preset::{Preset, Presets};
use crate::protocol::{OnDowngrade, OnFailure, Revision};

mod known;
mod plan;
mod redis;

pub use known::Known;

/// Everything a replica was told, checked. Made by [`Settings::from`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// The revision that is being rolled out.
    pub rev: Revision,
    /// The shared volume; an absolute path.
    pub volume: PathBuf,
    /// Where the lease lives. `None`: the guard on the volume elects alone.
    pub redis: Option<RedisSettings>,
    /// What is to be done.
    pub plan: LoadedPlan,
    /// Silence after which a step counts as abandoned; at least 1 s.
    pub stale: Duration,
    /// The first back-off after an attempt that ended badly; 0.1 s to 5 min.
    pub backoff: Duration,
    /// Time between TERM and KILL. `None`: 5 s, or as much of it as the lease allows.
    pub stop_grace: Option<Duration>,
    /// When a follower gives up; `None`: never.
    pub ready_timeout: Option<Duration>,
    /// Longest wait for the plan's needs; `None`: for ever.
    pub needs_wait: Option<Duration>,
    /// Whether this replica may lead.
    pub may_lead: bool,
    /// What is said about the volume's locks.
    pub locks: VolumeLocks,
    /// What to do when a step has failed for good.
    pub on_failure: OnFailure,
    /// What to do when a newer revision has been rolled out.
    pub on_downgrade: OnDowngrade,
    /// Whether an older revision may lead again.
    pub allow_rollback: bool,
    /// How much is logged.
    pub log: LogLevel,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Hides secrets of the settings, the environment and the plan.
    pub mask: Mask,
    /// The preset, which has a word in every hand-off.
    pub preset: Option<&'static dyn Preset>,
}

impl Settings {
    /// Checks everything. Reads the plan file and the files that `…_FILE` variables name, and what the preset looks at.
    ///
    /// # Errors
    ///
    /// Every mistake in settings and plan file, in the order of the table.
    pub fn from(env: &Env, overlay: &Overlay, presets: Presets) -> Result<(Settings, Vec<Notice>), Vec<Problem>> {
        let mut check = Check::new(env, overlay, presets);
        match check.all() {
            Some(settings) if check.problems.is_empty() => {
                check.retired();
                check.notices.extend(unknown::notices(env, check.preset_settings()));
                let mask = check.known_mask();
                Ok((settings, check.notices.into_iter().map(|notice| notice.masked(&mask)).collect()))
            }
            _ => Err(check.into_problems()),
        }
    }
}

/// Enough to look: at a volume, and at a Redis and with a plan if there is one. Made by [`Glance::from`].
#[derive(Clone, Debug)]
pub struct Glance {
    /// The revision that is being rolled out.
    pub rev: Revision,
    /// The shared volume; an absolute path.
    pub volume: PathBuf,
    /// Where the lease lives, if it lives in a Redis.
    pub redis: Option<RedisSettings>,
    /// Silence after which a step counts as abandoned.
    pub stale: Duration,
    /// What is to be done, if we are told.
    pub plan: Option<LoadedPlan>,
    /// Hides secrets in what the steps tell of themselves.
    pub mask: Mask,
}

impl Glance {
    /// Reads them, and nothing that only a replica needs.
    ///
    /// # Errors
    ///
    /// Every mistake in these settings and in the plan file.
    pub fn from(env: &Env, overlay: &Overlay, presets: Presets) -> Result<Glance, Vec<Problem>> {
        let mut check = Check::new(env, overlay, presets);
        let rev = check.value(n::REV, parse::revision);
        let volume = check.volume();
        let redis = check.redis();
        let stale = check.stale(None);
        let is_planned = check.preset.is_some() || check.is_set(n::PLAN);
        // Whoever looks need not know what only the work needs.
        let plan = is_planned
            .then(|| check.step_defaults())
            .and_then(|defaults| check.plan(defaults, volume.as_deref(), false));
        match (rev, volume, redis, stale) {
            (Some(rev), Some(volume), Ok(redis), Some(stale)) if check.problems.is_empty() => {
                let mask = check.mask(plan.as_ref(), redis.as_ref());
                Ok(Glance { rev, volume, redis, stale, plan, mask })
            }
            _ => Err(check.into_problems()),
        }
    }
}

/// One check in progress.
struct Check<'a> {
    env: &'a Env,
    overlay: &'a Overlay,
    preset: Option<&'static dyn Preset>,
    /// Values that the preset wants hidden.
    secrets: Vec<String>,
    problems: Vec<Problem>,
    notices: Vec<Notice>,
}

impl<'a> Check<'a> {
    fn new(env: &'a Env, overlay: &'a Overlay, presets: Presets) -> Check<'a> {
        let (problems, notices, secrets) = (Vec::new(), Vec::new(), Vec::new());
        let mut check = Check { env, overlay, preset: None, secrets, problems, notices };
        let given = check.pick(n::PRESET);
        match chosen(given, presets) {
            Ok(preset) => check.preset = preset,
            Err(problem) => check.problems.push(problem),
        }
        check
    }

    fn preset_settings(&self) -> &'static [Setting] {
        self.preset.map_or(&[], Preset::settings)
    }

    fn is_set(&self, name: &str) -> bool {
        self.overlay.contains_key(name) || self.env.lookup(name).is_some()
    }

    fn volume(&mut self) -> Option<PathBuf> {
        let given = self.pick_setting(&volume_setting(self.preset))?;
        checked(given, parse::directory).map_err(|problem| self.problems.push(problem)).ok()
    }

    fn retired(&mut self) {
        let set = RETIRED.iter().filter(|retired| self.env.lookup(retired.variable).is_some());
        self.notices.extend(set.map(|retired| Notice::new(retired.variable, retired.text)));
    }

    /// Looks at every setting, whatever is wrong with others.
    fn all(&mut self) -> Option<Settings> {
        let rev = self.value(n::REV, parse::revision);
        let volume = self.volume();
        let redis = self.redis();
        let may_lead = self.may_lead();
        // Not if what is said of Redis is wrong: that has been told, and may be what was meant to elect.
        let is_elected = !matches!(redis, Ok(None)) || may_lead == Some(false);
        let locks = self.locks(is_elected);
        let stale = self.stale(locks);
        let defaults = self.step_defaults();
        let plan = self.plan(defaults, volume.as_deref(), may_lead == Some(true));
        let backoff = self.value(n::BACKOFF, backoff);
        let stop_grace = self.optional(n::GRACE, seconds);
        let ready_timeout = self.value(n::READY_TIMEOUT, limit);
        let needs_wait = self.value(n::NEEDS_WAIT, limit);
        let on_failure = self.value(n::ON_FAILURE, parse::on_failure);
        let on_downgrade = self.value(n::ON_DOWNGRADE, parse::on_downgrade);
        let allow_rollback = self.value(n::ROLLBACK, parse::yes_or_no);
        let log = self.value(n::LOG, parse::log_level);
        let log_format = self.value(n::LOG_FORMAT, parse::log_format);
        let plan = plan?;
        let mask = self.mask(Some(&plan), redis.as_ref().ok().and_then(Option::as_ref));
        Some(Settings {
            rev: rev?,
            volume: volume?,
            redis: redis.ok()?,
            plan,
            stale: stale?,
            backoff: backoff?,
            stop_grace,
            ready_timeout: ready_timeout?,
            needs_wait: needs_wait?,
            may_lead: may_lead?,
            locks: locks?,
            on_failure: on_failure?,
            on_downgrade: on_downgrade?,
            allow_rollback: allow_rollback?,
            log: log?,
            log_format: log_format?,
            mask,
            preset: self.preset,
        })
    }

    fn pick(&mut self, name: &str) -> Option<Given> {
        self.pick_setting(find(name))
    }

    fn pick_setting(&mut self, setting: &Setting) -> Option<Given> {
        match pick(setting, self.overlay, |name| self.lookup(name)) {
            Ok(picked) => picked,
            Err(problem) => {
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
                None
            }
        }
    }

    fn optional<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        checked(self.pick(name)?, parse).map_err(|problem| self.problems.push(problem)).ok()
    }

    /// [`Check::optional`] for settings that have a default or are required: `None` has been told.
    fn value<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        self.optional(name, parse)
    }

    /// `is_elected`: whether anything but the locks elects, or nothing has to.
    fn locks(&mut self, is_elected: bool) -> Option<VolumeLocks> {
        let locks = self.value(n::LOCKS, parse::locks);
        if locks == Some(VolumeLocks::Untrusted) && !is_elected {
            let text = "untrusted locks cannot elect a leader, and without Redis nothing else does; \
                        set BELLWETHER_REDIS_URL, or use a volume whose locks hold between the replicas";
            self.problems.push(Problem::new(n::LOCKS, text));
        }
        locks
    }

    fn stale(&mut self, locks: Option<VolumeLocks>) -> Option<Duration> {
        let least = if locks == Some(VolumeLocks::Untrusted) { 6 } else { 1 };
        let stale = self.value(n::STALE, |text| {
            let stale = seconds(text)?;
            if stale < Duration::from_secs(least) {
                return Err(format!("{text} s is too short; at least {least} s are needed"));
            }
            Ok(stale)
        })?;
        if stale > Duration::from_secs(600) {
            let text = format!(
                "a leader that dies goes unnoticed for {} s; it need not be as long as a step takes",
                stale.as_secs_f64()
            );
            self.notices.push(Notice::new(n::STALE, text));
        }
        Some(stale)
    }

    fn may_lead(&mut self) -> Option<bool> {
        let text = self.pick(n::IS_LEADER)?.text;
        if text != "0" && text != "1" {
            self.notices.push(Notice::new(n::IS_LEADER, format!("{text:?} is not 1: this replica never leads")));
        }
        Some(text == "1")
    }

    fn mask(&self, plan: Option<&LoadedPlan>, redis: Option<&RedisSettings>) -> Mask {
        let mut mask = self.known_mask();
        if let Some(password) = redis.and_then(|redis| redis.server.password()) {
            mask.add_secret(password);
        }
        for (name, value) in plan.iter().flat_map(|plan| &plan.commands).flat_map(|command| &command.env) {
            mask.add_variable(name, value);
        }
        for password in plan.iter().flat_map(|plan| &plan.needs).filter_map(|need| need.password()) {
            mask.add_variable("PASSWORD", password);
        }
        mask
    }

    /// Hides what the environment holds, and the files that it names. Some of those may not be ours and may not be
    /// used, so it is no mistake here if they cannot be read.
    fn known_mask(&self) -> Mask {
        let mut mask = Mask::new();
        mask.add_env(self.env);
        self.secrets.iter().for_each(|secret| mask.add_secret(secret));
        for setting in SETTINGS.iter().chain(self.preset_settings()).filter(|setting| setting.file) {
            if let Ok(Some(picked)) = pick(setting, self.overlay, |name| self.lookup(name)) {
                mask.add_variable(setting.variable, &picked.text);
            }
        }
        mask
    }

    /// What is wrong. A secret that ended up in the wrong variable would be shown as that variable's value.
    fn into_problems(self) -> Vec<Problem> {
        let mask = self.known_mask();
        let misspelt = unknown::problems(self.env, self.preset_settings());
        self.problems.into_iter().chain(misspelt).map(|problem| problem.masked(&mask)).collect()
    }
}

/// A span of which 0 means "no limit".
fn limit(text: &str) -> Result<Option<Duration>, String> {
    Ok(Some(seconds(text)?).filter(|span| !span.is_zero()))
}

/// Without any pause, a step that asks to be tried again later would be tried without end.
fn backoff(text: &str) -> Result<Duration, String> {
    seconds_between(text, Duration::from_millis(100), Duration::from_secs(300))
}

#[cfg(test)]
mod tests;
