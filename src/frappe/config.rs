//! The step `config`: every server answers, and the files that all sites share say so.
//!
//! Only the leader writes them. `bench set-config` would truncate and rewrite the file under its readers, with a lock that
//! other containers do not see.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Map, Value};

use super::files;
use super::settings::Settings;
use super::stage::Stage;
use super::trouble::Trouble;

const COMMON: &str = "common_site_config.json";
const APPS: &str = "apps.txt";

/// Waits for the servers, then writes both files.
pub(super) fn perform(stage: &Stage) -> Result<(), Trouble> {
    let echo = stage.echo();
    stage.await_servers()?;
    echo.note("database and Redis let us in");
    let sites = stage.bench.sites();
    if merge(sites, &wanted(&stage.settings))? {
        echo.note(&format!("{COMMON} written"));
    }
    if write_apps(stage)? {
        echo.note(&format!("{APPS} written"));
    }
    Ok(())
}

/// The keys that are ours. All others stay.
pub(super) fn wanted(settings: &Settings) -> Map<String, Value> {
    let Settings { database, redises, socketio_port, .. } = settings;
    let pairs = [
        ("db_host", Value::from(database.host.as_str())),
        ("db_port", Value::from(database.port)),
        ("db_type", Value::from(database.kind.word())),
        ("redis_cache", Value::from(redises.cache.as_str())),
        ("redis_queue", Value::from(redises.queue.as_str())),
        ("redis_socketio", Value::from(redises.socketio.as_str())),
        ("socketio_port", Value::from(*socketio_port)),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Makes the site the default one, as `bench use` does, unless another site that exists is. A value that others may change
/// later is theirs.
pub(super) fn choose_default(sites: &Path, site: &str) -> Result<bool, Trouble> {
    let current = read(&sites.join(COMMON))?.get("default_site").and_then(Value::as_str).map(str::to_owned);
    if current.is_some_and(|current| !current.is_empty() && sites.join(&current).is_dir()) {
        return Ok(false);
    }
    let wanted = [("default_site".to_owned(), Value::from(site))];
    merge(sites, &wanted.into_iter().collect())
}

/// `false`: it said so already, and was not touched.
fn merge(sites: &Path, wanted: &Map<String, Value>) -> Result<bool, Trouble> {
    let path = sites.join(COMMON);
    let before = read(&path)?;
    let mut after = before.clone();
    after.extend(wanted.iter().map(|(key, value)| (key.clone(), value.clone())));
    if after == before {
        return Ok(false);
    }
    let mode = mode(&path, &after);
    let mut text = serde_json::to_vec_pretty(&after).map_err(|error| Trouble::Failed(error.to_string()))?;
    text.push(b'\n');
    files::replace(&path, &text, mode).map_err(|error| Trouble::of_file(&path, &error))?;
    Ok(true)
}

fn read(path: &Path) -> Result<Map<String, Value>, Trouble> {
    let text = files::read(path).map_err(|error| Trouble::of_file(path, &error))?.unwrap_or_default();
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str(&text) {
        Ok(Value::Object(map)) => Ok(map),
        // It may hold what nobody else knows.
        Ok(_) | Err(_) => Err(Trouble::ForGood(format!(
            "{} is no JSON object, so nothing is added to it; repair it, or move it away to begin anew",
            path.display()
        ))),
    }
}

/// As it was, but a file that holds a password is its owner's alone.
fn mode(path: &Path, content: &Map<String, Value>) -> u32 {
    let before = fs::metadata(path).map_or(0o644, |found| found.permissions().mode() & 0o777);
    let is_secret = |(key, value): (&String, &Value)| {
        key.ends_with("password") || value.as_str().is_some_and(|text| text.contains("://") && text.contains('@'))
    };
    if content.iter().any(is_secret) { before & 0o600 } else { before }
}

/// bench loads the apps that this file lists: those of the image.
fn write_apps(stage: &Stage) -> Result<bool, Trouble> {
    let bench = &stage.bench;
    let apps = bench.apps().map_err(|error| Trouble::of_file(&bench.root().join("apps"), &error))?;
    let path = bench.sites().join(APPS);
    let text = apps.join("\n") + "\n";
    let before = files::read(&path).map_err(|error| Trouble::of_file(&path, &error))?;
    if before.as_deref() == Some(text.as_str()) {
        return Ok(false);
    }
    files::replace(&path, text.as_bytes(), 0o644).map_err(|error| Trouble::of_file(&path, &error))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other}"),
        }
    }

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_others_wrote_stays_and_nothing_is_written_twice() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(COMMON);
        fs::write(&path, r#"{"developer_mode":1,"db_host":"old"}"#).unwrap();
        assert!(merge(dir.path(), &keys(json!({"db_host": "db", "db_port": 3306}))).unwrap());
        assert_eq!(Value::from(read(&path).unwrap()), json!({"developer_mode":1,"db_host":"db","db_port":3306}));
        assert!(!merge(dir.path(), &keys(json!({"db_port": 3306}))).unwrap());
        assert_eq!(mode_of(&path), 0o644);
        assert!(merge(dir.path(), &keys(json!({"redis_queue": "redis://:p@q:6379"}))).unwrap());
        assert_eq!(mode_of(&path), 0o600);
    }

    #[test]
    fn a_torn_file_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(COMMON), "{\"db_ho").unwrap();
        assert!(matches!(merge(dir.path(), &keys(json!({"a": 1}))), Err(Trouble::ForGood(_))));
        assert_eq!(fs::read_to_string(dir.path().join(COMMON)).unwrap(), "{\"db_ho");
    }

    #[test]
    fn another_default_site_is_left_alone_while_it_exists() {
        let dir = tempfile::tempdir().unwrap();
        assert!(choose_default(dir.path(), "a").unwrap());
        assert!(choose_default(dir.path(), "b").unwrap(), "a is not there");
        fs::create_dir(dir.path().join("b")).unwrap();
        assert!(!choose_default(dir.path(), "a").unwrap());
        assert_eq!(read(&dir.path().join(COMMON)).unwrap()["default_site"], "b");
    }
}
