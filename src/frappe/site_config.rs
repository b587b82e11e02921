//! A site's own `site_config.json`: read, never written, by us.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::files;

/// What of it concerns us.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SiteConfig(Map<String, Value>);

impl SiteConfig {
    /// Where it is.
    pub(super) fn path(site_dir: &Path) -> PathBuf {
        site_dir.join("site_config.json")
    }

    /// `Ok(None)`: there is none.
    pub(super) fn read(site_dir: &Path) -> io::Result<Option<SiteConfig>> {
        SiteConfig::read_path(&SiteConfig::path(site_dir))
    }

    pub(super) fn read_path(path: &Path) -> io::Result<Option<SiteConfig>> {
        let Some(text) = files::read(path)? else { return Ok(None) };
        match serde_json::from_str(&text) {
            Ok(Value::Object(map)) => Ok(Some(SiteConfig(map))),
            Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "is no JSON object")),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str().filter(|text| !text.is_empty())
    }

    /// Numbers are written as such or as text.
    pub(super) fn number(&self, key: &str) -> Option<u64> {
        let value = self.0.get(key)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    }

    /// Whether web workers answer 503.
    pub(super) fn is_in_maintenance(&self) -> bool {
        self.0.get("maintenance_mode").is_some_and(|value| match value {
            Value::Bool(is_on) => *is_on,
            Value::String(text) => !matches!(text.as_str(), "" | "0"),
            value => value.as_u64().is_some_and(|number| number != 0),
        })
    }

    /// Every value whose key sounds secret.
    pub(super) fn secrets(&self) -> Vec<String> {
        let words = ["password", "secret", "key", "token"];
        let is_secret = |key: &str| words.iter().any(|word| key.to_ascii_lowercase().ends_with(word));
        let values = self.0.iter().filter(|(key, _)| is_secret(key)).filter_map(|(_, value)| value.as_str());
        values.filter(|value| value.len() >= 4).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> SiteConfig {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(SiteConfig::path(dir.path()), text).unwrap();
        SiteConfig::read(dir.path()).unwrap().unwrap()
    }

    #[test]
    fn maintenance_is_on_in_every_way_of_writing_it() {
        for text in ["1", "true", "\"1\""] {
            assert!(config(&format!("{{\"maintenance_mode\":{text}}}")).is_in_maintenance(), "{text}");
        }
        for text in ["{}", "{\"maintenance_mode\":0}", "{\"maintenance_mode\":\"0\"}", "{\"maintenance_mode\":null}"] {
            assert!(!config(text).is_in_maintenance(), "{text}");
        }
    }

    #[test]
    fn secrets_are_known_by_their_keys() {
        let found = config(r#"{"db_name":"_abc","db_password":"hunter2","encryption_key":"k3y=","db_port":"3307"}"#);
        assert_eq!(found.secrets(), ["hunter2", "k3y="]);
        assert_eq!((found.text("db_name"), found.number("db_port")), (Some("_abc"), Some(3307)));
    }

    #[test]
    fn what_is_torn_is_no_absence() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(SiteConfig::read(dir.path()).unwrap(), None);
        std::fs::write(SiteConfig::path(dir.path()), "{\"db").unwrap();
        assert!(SiteConfig::read(dir.path()).is_err());
    }
}
