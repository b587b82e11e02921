//! What can be told of settings though some of them are wrong.

use std::path::PathBuf;
use std::time::Duration;

use super::{Check, Settings};
use crate::preset::{Preset, Presets};
use crate::protocol::Revision;
use crate::settings::env::{Env, Overlay};
use crate::settings::mask::Mask;
use crate::settings::parse;
use crate::settings::plan_file::LoadedPlan;
use crate::settings::problem::{Notice, Problem};
use crate::settings::redis::RedisSettings;
use crate::settings::table::names as n;

/// Settings one by one, for whoever goes on looking where some of them are wrong. What is `None` is wrong, or was not
/// said. Made by [`Known::from`].
#[derive(Clone, Debug)]
pub struct Known {
    /// All of them, if nothing is wrong.
    pub settings: Option<Settings>,
    /// Every mistake.
    pub problems: Vec<Problem>,
    /// What is worth a warning; nothing where there are mistakes.
    pub notices: Vec<Notice>,
    /// The revision that is being rolled out.
    pub rev: Option<Revision>,
    /// The shared volume.
    pub volume: Option<PathBuf>,
    /// Where the lease lives.
    pub redis: Option<RedisSettings>,
    /// Silence after which a step counts as abandoned.
    pub stale: Option<Duration>,
    /// Whether this replica may lead; if that is wrong, it may.
    pub may_lead: bool,
    /// What is to be done.
    pub plan: Option<LoadedPlan>,
    /// The preset.
    pub preset: Option<&'static dyn Preset>,
    /// Hides secrets of the settings, the environment and the plan.
    pub mask: Mask,
}

impl Known {
    /// Checks everything, as [`Settings::from`] does, and keeps what is right.
    pub fn from(env: &Env, overlay: &Overlay, presets: Presets) -> Known {
        match Settings::from(env, overlay, presets) {
            Ok((settings, notices)) => Known {
                problems: Vec::new(),
                notices,
                rev: Some(settings.rev.clone()),
                volume: Some(settings.volume.clone()),
                redis: settings.redis.clone(),
                stale: Some(settings.stale),
                may_lead: settings.may_lead,
                plan: Some(settings.plan.clone()),
                preset: settings.preset,
                mask: settings.mask.clone(),
                settings: Some(settings),
            },
            Err(problems) => Known::in_spite_of(problems, env, overlay, presets),
        }
    }

    /// What is wrong has been told, so the mistakes of this second look are not.
    fn in_spite_of(problems: Vec<Problem>, env: &Env, overlay: &Overlay, presets: Presets) -> Known {
        let mut check = Check::new(env, overlay, presets);
        let rev = check.value(n::REV, parse::revision);
        let volume = check.volume();
        let redis = check.redis().ok().flatten();
        let stale = check.stale(None);
        let may_lead = check.may_lead().unwrap_or(true);
        let defaults = check.step_defaults();
        // What only the work needs may be what is missing.
        let plan = check.plan(defaults, volume.as_deref(), false);
        let mask = check.mask(plan.as_ref(), redis.as_ref());
        let preset = check.preset;
        let (settings, notices) = (None, Vec::new());
        Known { settings, problems, notices, rev, volume, redis, stale, may_lead, plan, preset, mask }
    }
}
