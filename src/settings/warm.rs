//! The few settings that a warm start and a probe need, without the rest.

use std::ffi::OsString;
use std::path::PathBuf;

use super::env::Overlay;
use super::parse::{directory, on_downgrade, revision, yes_or_no};
use super::pick::{Given, pick};
use super::problem::Problem;
use super::preset::{chosen, volume_setting};
use super::table::{Setting, find, names};
use crate::preset::{Preset, Presets};
use crate::protocol::{OnDowngrade, Revision};

/// Enough to look for the ready marker.
#[derive(Clone, Debug)]
pub struct Warm {
    /// The revision that is being rolled out.
    pub rev: Revision,
    /// The shared volume.
    pub volume: PathBuf,
    /// What to do when a newer revision has been rolled out.
    pub on_downgrade: OnDowngrade,
    /// Whether an older revision may lead again.
    pub allow_rollback: bool,
    /// The preset, which has a word in every hand-off.
    pub preset: Option<&'static dyn Preset>,
}

impl Warm {
    /// Reads them. `lookup` is the environment, usually `|name| std::env::var_os(name)`. No file is read.
    ///
    /// # Errors
    ///
    /// The first mistake; [`Settings::from`](super::Settings::from) finds all of them.
    pub fn from(
        overlay: &Overlay,
        lookup: impl Fn(&str) -> Option<OsString>,
        presets: Presets,
    ) -> Result<Warm, Problem> {
        let value_of = |setting: &Setting| {
            let picked = pick(setting, overlay, &lookup)?;
            picked.ok_or_else(|| Problem::new(setting.variable, "is not set"))
        };
        let value = |name: &str| value_of(find(name));
        let preset = chosen(pick(find(names::PRESET), overlay, &lookup)?, presets)?;
        Ok(Warm {
            rev: checked(value(names::REV)?, revision)?,
            volume: checked(value_of(&volume_setting(preset))?, directory)?,
            on_downgrade: checked(value(names::ON_DOWNGRADE)?, on_downgrade)?,
            allow_rollback: checked(value(names::ROLLBACK)?, yes_or_no)?,
            preset,
        })
    }
}

/// Parses a value and names the culprit if it is wrong.
pub(super) fn checked<T>(picked: Given, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, Problem> {
    parse(&picked.text).map_err(|text| Problem::new(picked.culprit, text))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;
    use crate::settings::env::Env;

    fn warm(flags: &[(&'static str, &str)], env: &[(&str, &str)]) -> Result<Warm, String> {
        let env: Env = env.iter().copied().collect();
        let overlay = flags.iter().map(|&(name, value)| (name, value.into())).collect();
        let presets = Presets::default();
        Warm::from(&overlay, |name| env.lookup(name).map(OsStr::to_owned), presets).map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_probe_needs_revision_and_volume() {
        let shown = |warm: Result<Warm, String>| {
            let Warm { rev, volume, on_downgrade, allow_rollback, preset } = warm.unwrap();
            assert!(preset.is_none());
            (rev.to_string(), volume.display().to_string(), on_downgrade, allow_rollback)
        };
        let seen = shown(warm(&[("IMAGE_REV", "v1")], &[("SITES_DIR", "/vol"), ("IMAGE_REV", "v0")]));
        assert_eq!(seen, ("v1".to_owned(), "/vol".to_owned(), OnDowngrade::Warn, false));
        let env = [
            ("IMAGE_REV", "v1"),
            ("BELLWETHER_VOLUME", "/vol"),
            ("BELLWETHER_ON_DOWNGRADE", "refuse"),
            ("BELLWETHER_ALLOW_ROLLBACK", "1"),
        ];
        assert_eq!(shown(warm(&[], &env)), ("v1".to_owned(), "/vol".to_owned(), OnDowngrade::Refuse, true));
    }

    #[test]
    fn the_first_mistake_is_told() {
        insta::assert_snapshot!(warm(&[], &[("IMAGE_REV", "../x")]).unwrap_err(), @"IMAGE_REV: holds '.' at position 1; allowed are letters, digits and, after the first, '.', '_' and '-'");
        insta::assert_snapshot!(warm(&[("IMAGE_REV", "v1")], &[("SITES_DIR", "sites")]).unwrap_err(), @r#"SITES_DIR: "sites" is no absolute path; begin it with '/'"#);
    }
}
