//! Where a setting's value comes from: flag, variable, alias, file, default.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;

use super::env::{Env, Overlay};
use super::file::read_text;
use super::problem::Problem;
use super::table::{Fallback, Setting};

/// A value, and what to name when it is wrong.
#[derive(Clone, Eq, PartialEq)]
pub struct Given {
    /// The variable or flag that says it, or the variable that names the file.
    pub culprit: String,
    /// What it says.
    pub text: String,
}

impl fmt::Debug for Given {
    /// Without the value, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Given").field(&self.culprit).finish()
    }
}

impl Setting {
    /// What the environment says of this setting: its variable, an alias, a file, its default, in this order; `None` if
    /// nothing does.
    ///
    /// # Errors
    ///
    /// Aliases that disagree, a file that cannot be read, no text, or nothing where something is required.
    pub fn given_in(&self, env: &Env) -> Result<Option<Given>, Problem> {
        pick(self, &Overlay::new(), |name| env.lookup(name).map(OsStr::to_owned))
    }
}

/// The value of `setting`. `lookup` is the environment.
pub(super) fn pick(
    setting: &Setting,
    overlay: &Overlay,
    lookup: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<Given>, Problem> {
    if let (Some(flag), Some(value)) = (setting.flag, overlay.get(setting.variable)) {
        return picked(format!("--{flag}"), value).map(Some);
    }
    let lookup = |name: &str| lookup(name).filter(|value| !value.is_empty());
    let names = std::iter::once(setting.variable).chain(setting.aliases.iter().copied());
    let mut given = names.filter_map(|name| Some((name, lookup(name)?)));
    let first = given.next();
    if let Some((name, value)) = &first
        && let Some((other, _)) = given.find(|(_, other)| other != value)
    {
        return Err(Problem::new(*name, format!("disagrees with {other}, which means the same; unset one of them")));
    }
    let direct = first.map(|(name, value)| picked(name.to_owned(), &value)).transpose()?;
    let from_file = if setting.file { from_files(setting, lookup)? } else { None };
    match (direct, from_file) {
        (Some(direct), Some(file)) if direct.text != file.text => {
            let text = format!("disagrees with what {} holds; unset one of them", file.culprit);
            Err(Problem::new(direct.culprit, text))
        }
        (Some(value), _) | (None, Some(value)) => Ok(Some(value)),
        (None, None) => match setting.default {
            Fallback::Value(value) => picked(setting.variable.to_owned(), OsStr::new(value)).map(Some),
            Fallback::Unset => Ok(None),
            Fallback::Required => {
                let flag = setting.flag.map_or_else(String::new, |flag| format!(" or give --{flag}"));
                Err(Problem::new(setting.variable, format!("is not set; set it to {}{flag}", setting.help)))
            }
        },
    }
}

fn picked(culprit: String, value: &OsStr) -> Result<Given, Problem> {
    match value.to_str() {
        Some(text) => Ok(Given { culprit, text: text.to_owned() }),
        None => Err(Problem::new(culprit, "is no text in UTF-8; write it without bytes of other encodings")),
    }
}

/// What the files hold that the variables of `setting` name, which must agree.
fn from_files(setting: &Setting, lookup: impl Fn(&str) -> Option<OsString>) -> Result<Option<Given>, Problem> {
    let mut first: Option<Given> = None;
    for name in std::iter::once(setting.variable).chain(setting.aliases.iter().copied()) {
        let Some(given) = from_file(name, &lookup)? else { continue };
        match &first {
            Some(first) if first.text != given.text => {
                let text =
                    format!("holds something else than {}, which means the same; unset one of them", first.culprit);
                return Err(Problem::new(given.culprit, text));
            }
            Some(_) => {}
            None => first = Some(given),
        }
    }
    Ok(first)
}

/// The content of the file that `<variable>_FILE` names, without the newline at its end.
fn from_file(variable: &str, lookup: impl Fn(&str) -> Option<OsString>) -> Result<Option<Given>, Problem> {
    let culprit = format!("{variable}_FILE");
    let Some(path) = lookup(&culprit) else { return Ok(None) };
    match read_text(Path::new(&path)) {
        Ok(text) => Ok(Some(Given { culprit, text: text.trim_end_matches(['\r', '\n']).to_owned() })),
        Err(error) => Err(Problem::new(culprit, format!("cannot read {}: {error}", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::env::Env;

    const VOLUME: Setting = Setting {
        variable: "BELLWETHER_VOLUME",
        flag: Some("volume"),
        aliases: &["SITES_DIR"],
        default: Fallback::Required,
        value_name: "DIR",
        secret: false,
        file: false,
        help: "the directory",
    };
    const PASSWORD: Setting = Setting {
        variable: "LOCK_REDIS_PASS",
        flag: None,
        aliases: &[],
        default: Fallback::Unset,
        value_name: "",
        secret: true,
        file: true,
        help: "the password",
    };

    fn said(setting: &Setting, flag: Option<&str>, env: &[(&str, &str)]) -> String {
        let env: Env = env.iter().copied().collect();
        let overlay = flag.map(|value| (setting.variable, value.into())).into_iter().collect();
        match pick(setting, &overlay, |name| env.lookup(name).map(OsStr::to_owned)) {
            Ok(Some(picked)) => format!("{} = {}", picked.culprit, picked.text),
            Ok(None) => "nothing".to_owned(),
            Err(problem) => problem.to_string(),
        }
    }

    #[test]
    fn a_flag_wins_and_aliases_must_agree() {
        let both = [("BELLWETHER_VOLUME", "/a"), ("SITES_DIR", "/b")];
        assert_eq!(said(&VOLUME, Some("/c"), &both), "--volume = /c");
        assert_eq!(said(&VOLUME, None, &both[..1]), "BELLWETHER_VOLUME = /a");
        assert_eq!(said(&VOLUME, None, &both[1..]), "SITES_DIR = /b");
        assert_eq!(said(&VOLUME, None, &[("BELLWETHER_VOLUME", ""), ("SITES_DIR", "/b")]), "SITES_DIR = /b");
        assert_eq!(said(&VOLUME, None, &[("BELLWETHER_VOLUME", "/b"), ("SITES_DIR", "/b")]), "BELLWETHER_VOLUME = /b");
        insta::assert_snapshot!(said(&VOLUME, None, &both), @"BELLWETHER_VOLUME: disagrees with SITES_DIR, which means the same; unset one of them");
        insta::assert_snapshot!(said(&VOLUME, None, &[]), @"BELLWETHER_VOLUME: is not set; set it to the directory or give --volume");
    }

    #[test]
    fn secrets_come_from_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pass");
        std::fs::write(&path, "hunter2\r\n").unwrap();
        let file = ("LOCK_REDIS_PASS_FILE", path.to_str().unwrap());
        assert_eq!(said(&PASSWORD, None, &[]), "nothing");
        assert_eq!(said(&PASSWORD, None, &[file]), "LOCK_REDIS_PASS_FILE = hunter2");
        assert_eq!(said(&PASSWORD, None, &[file, ("LOCK_REDIS_PASS", "hunter2")]), "LOCK_REDIS_PASS = hunter2");
        assert_eq!(
            said(&PASSWORD, None, &[file, ("LOCK_REDIS_PASS", "other")]),
            "LOCK_REDIS_PASS: disagrees with what LOCK_REDIS_PASS_FILE holds; unset one of them"
        );
        let missing = said(&PASSWORD, None, &[("LOCK_REDIS_PASS_FILE", "/nowhere/pass")]);
        insta::assert_snapshot!(missing, @"LOCK_REDIS_PASS_FILE: cannot read /nowhere/pass: No such file or directory (os error 2)");
        let endless = said(&PASSWORD, None, &[("LOCK_REDIS_PASS_FILE", "/dev/zero")]);
        insta::assert_snapshot!(endless, @"LOCK_REDIS_PASS_FILE: cannot read /dev/zero: is longer than 1 MiB");
    }
}
