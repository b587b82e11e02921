//! The environment as an argument: a map, so that tests need no process of their own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

/// Environment variables. `Debug` shows their names only, because values may be secret.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Env(BTreeMap<OsString, OsString>);

/// Values given as flags, by the *variable* they stand for.
pub type Overlay = BTreeMap<&'static str, OsString>;

impl Env {
    /// The value of a variable. An empty one counts as not set, as Compose files pass variables on that way.
    pub fn lookup(&self, variable: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(variable)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// All variables whose name is text, with their values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &OsStr)> {
        self.0.iter().filter_map(|(name, value)| Some((name.to_str()?, value.as_os_str())))
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Env {
        Env(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_is_not_set_and_values_are_not_shown() {
        let env: Env = [("IMAGE_REV", ""), ("DB_PASSWORD", "hunter2")].into_iter().collect();
        assert_eq!(env.lookup("IMAGE_REV"), None);
        assert_eq!(env.lookup("DB_PASSWORD"), Some(OsStr::new("hunter2")));
        assert_eq!(format!("{env:?}"), r#"{"DB_PASSWORD", "IMAGE_REV"}"#);
    }
}
