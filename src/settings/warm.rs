//! The few settings that a warm start and a probe need, without the rest.

use std::ffi::OsString;
use std::path::PathBuf;

use super::env::Overlay;
use super::parse::{directory, on_downgrade, revision, yes_or_no};
use super::pick::{Picked, pick};
use super::problem::Problem;
use super::table::{find, names};
use crate::protocol::{OnDowngrade, Revision};

/// Enough to look for the ready marker.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Warm {
    /// The revision that is being rolled out.
    pub rev: Revision,
    /// The shared volume.
    pub volume: PathBuf,
    /// What to do when a newer revision has been rolled out.
    pub on_downgrade: OnDowngrade,
    /// Whether an older revision may lead again.
    pub allow_rollback: bool,
}

impl Warm {
    /// Reads them. `lookup` is the environment, usually `|name| std::env::var_os(name)`. No file is read.
    ///
    /// # Errors
    ///
    /// The first mistake; [`Settings::from`](super::Settings::from) finds all of them.
    pub fn from(overlay: &Overlay, lookup: impl Fn(&str) -> Option<OsString>) -> Result<Warm, Problem> {
        let value = |name: &str| {
            let setting = find(name);
            let picked = pick(setting, overlay, &lookup)?;
            picked.ok_or_else(|| Problem::new(setting.variable, "is not set"))
        };
        Ok(Warm {
            rev: checked(value(names::REV)?, revision)?,
            volume: checked(value(names::VOLUME)?, directory)?,
            on_downgrade: checked(value(names::ON_DOWNGRADE)?, on_downgrade)?,
            allow_rollback: checked(value(names::ROLLBACK)?, yes_or_no)?,
        })
    }
}

/// Parses a value and names the culprit if it is wrong.
pub(super) fn checked<T>(picked: Picked, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, Problem> {
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
        Warm::from(&overlay, |name| env.lookup(name).map(OsStr::to_owned)).map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_probe_needs_revision_and_volume() {
        let expected = Warm {
            rev: Revision::parse("v1").unwrap(),
            volume: "/vol".into(),
            on_downgrade: OnDowngrade::Warn,
            allow_rollback: false,
        };
        assert_eq!(warm(&[("IMAGE_REV", "v1")], &[("SITES_DIR", "/vol"), ("IMAGE_REV", "v0")]), Ok(expected.clone()));
        let expected = Warm { on_downgrade: OnDowngrade::Refuse, allow_rollback: true, ..expected };
        let env = [
            ("IMAGE_REV", "v1"),
            ("BELLWETHER_VOLUME", "/vol"),
            ("BELLWETHER_ON_DOWNGRADE", "refuse"),
            ("BELLWETHER_ALLOW_ROLLBACK", "1"),
        ];
        assert_eq!(warm(&[], &env), Ok(expected));
    }

    #[test]
    fn the_first_mistake_is_told() {
        insta::assert_snapshot!(warm(&[], &[("IMAGE_REV", "../x")]).unwrap_err(), @"IMAGE_REV: holds '.' at position 1; allowed are letters, digits and, after the first, '.', '_' and '-'");
        insta::assert_snapshot!(warm(&[("IMAGE_REV", "v1")], &[("SITES_DIR", "sites")]).unwrap_err(), @r#"SITES_DIR: "sites" is no absolute path; begin it with '/'"#);
    }
}
