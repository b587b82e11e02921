//! A site's own `site_config.json`. Of what it says, we write maintenance mode and nothing else.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::files;

/// Stands beside maintenance mode while that is on because of us. Nobody else reads it, and bench keeps what it does not know.
const CLOSED_BY_US: &str = "bellwether_closed";

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

    /// Writes down whether web workers answer 503. In one step, which `bench set-maintenance-mode` does not take: killed
    /// after it has emptied the file, it takes the password of the database along, and the key of all that is encrypted
    /// there. `Ok(false)`: somebody else holds the lock that bench takes for changes of this file.
    ///
    /// In the same step it says that it was us: whoever comes next must not take our "on" for what was before.
    pub(super) fn write_maintenance(site_dir: &Path, is_on: bool) -> io::Result<bool> {
        let Some(_lock) = files::lock(&site_dir.join("locks/site_config.lock"))? else { return Ok(false) };
        // Where it is a link, it stays one.
        let path = fs::canonicalize(SiteConfig::path(site_dir))?;
        let SiteConfig(mut map) = SiteConfig::read_path(&path)?.ok_or(io::ErrorKind::NotFound)?;
        map.insert("maintenance_mode".to_owned(), Value::from(u8::from(is_on)));
        if is_on {
            map.insert(CLOSED_BY_US.to_owned(), Value::from(1));
        } else {
            map.shift_remove(CLOSED_BY_US);
        }
        let mode = fs::metadata(&path)?.permissions().mode() & 0o7777;
        files::replace(&path, &serde_json::to_vec_pretty(&map)?, mode)?;
        Ok(true)
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

    /// Whether it was us who made them.
    pub(super) fn is_closed_by_us(&self) -> bool {
        self.is_in_maintenance() && self.0.contains_key(CLOSED_BY_US)
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
        fs::write(SiteConfig::path(dir.path()), text).unwrap();
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
    fn nothing_but_maintenance_mode_is_changed_and_nobody_sees_half_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (SiteConfig::path(dir.path()), dir.path().join("elsewhere"));
        fs::create_dir(dir.path().join("locks")).unwrap();
        fs::write(&elsewhere, r#"{"db_password":"hunter2","b":[1]}"#).unwrap();
        fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        let mut reader = fs::File::open(&path).unwrap();
        assert!(SiteConfig::write_maintenance(dir.path(), true).unwrap());
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        let written = SiteConfig::read(dir.path()).unwrap().unwrap();
        assert_eq!(
            Value::from(written.0),
            serde_json::json!({"db_password":"hunter2","b":[1],"maintenance_mode":1,"bellwether_closed":1})
        );
        assert!(SiteConfig::read(dir.path()).unwrap().unwrap().is_closed_by_us());
        assert_eq!(io::read_to_string(&mut reader).unwrap(), r#"{"db_password":"hunter2","b":[1]}"#);
        let _held = files::lock(&dir.path().join("locks/site_config.lock")).unwrap().unwrap();
        assert!(!SiteConfig::write_maintenance(dir.path(), false).unwrap());
        fs::write(&elsewhere, "").unwrap();
        assert!(SiteConfig::read(dir.path()).is_err());
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
        fs::write(SiteConfig::path(dir.path()), "{\"db").unwrap();
        assert!(SiteConfig::read(dir.path()).is_err());
    }
}
