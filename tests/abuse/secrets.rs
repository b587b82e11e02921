//! A secret of its own in every variable that may hold one, and then a search of all places that others can see.
//!
//! `tests/frappe/secrets.rs` does the same for the preset, at every phase of a boot.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tempfile::TempDir;

use crate::places::everything;
use crate::redis_server::{Monitor, RedisServer};
use crate::replica::copy_for_all;
use crate::wait::require_root;
use crate::waiting::wait_for;

/// Tells everything it knows, and goes on when it may: first all that it can read of others, then its own variables.
const STEP: &str = r#"
for of in /proc/[0-9]*; do tr '\0' '\n' <"$of/environ"; done >"$OUT/environs" 2>/dev/null
env >"$OUT/env"
echo "it is $DB_PASSWORD, $SHOP_TOKEN and $API_KEY at $DB_URL; $BELLWETHER_REDIS_URL; $REDIS_PASS"
printf 'torn: %s' "$DB_PASSWORD" >&2
: >"$OUT/told"
while [ ! -e "$OUT/go" ]; do sleep 0.02; done
exit "$EXIT"
"#;

/// Variables that may hold one; the last is a step's own, by the plan.
const VARIABLES: [&str; 6] =
    ["DB_PASSWORD", "SHOP_TOKEN", "REDIS_PASS", "LOCK_REDIS_PASS", "AWS_SECRET_ACCESS_KEY", "API_KEY"];

/// Steps of other tests run as the same user, who can see what is theirs: no two have the same secrets.
static STAGES: AtomicUsize = AtomicUsize::new(0);

struct Stage {
    dir: TempDir,
    redis: RedisServer,
    monitor: Monitor,
    /// By what holds it.
    secrets: Vec<(String, String)>,
    leader: Option<Child>,
}

impl Stage {
    fn new(exit: &str) -> Stage {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        for (name, mode) in [("volume", 0o755), ("out", 0o777)] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::set_permissions(dir.path().join(name), Permissions::from_mode(mode)).unwrap();
        }
        copy_for_all(&dir.path().join("bellwether"));
        let number = format!("{}-{}.", std::process::id(), STAGES.fetch_add(1, Ordering::Relaxed));
        let holders = VARIABLES.iter().copied().chain(["lease", "url", "need"]);
        let secrets = holders.map(|of| (of.to_owned(), format!("s3cr3t-{}-{number}", of.to_lowercase()))).collect();
        let redis = RedisServer::start();
        require_root();
        let monitor = redis.monitor();
        let stage = Stage { dir, redis, monitor, secrets, leader: None };
        for user in ["lease", "need"] {
            let password = format!(">{}", stage.secret(user));
            let rule = ["ACL", "SETUSER", user, "on", &password, "~*", "&*", "+@all"];
            assert_eq!(stage.redis.cli(&rule), "OK");
        }
        let url = format!("pg://shop:{}@db/shop", stage.secret("url"));
        let env = json!({"API_KEY": stage.secret("API_KEY"), "DB_URL": url, "OUT": stage.path("out"), "EXIT": exit});
        let step =
            json!({"name": "tell", "run": ["/bin/sh", "-c", STEP], "user": "nobody", "env": env, "max_attempts": 1});
        let need = stage.url("need");
        fs::write(stage.path("plan.json"), json!({"needs": [need], "steps": [step]}).to_string()).unwrap();
        fs::set_permissions(stage.path("plan.json"), Permissions::from_mode(0o600)).unwrap();
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn secret(&self, of: &str) -> &str {
        &self.secrets.iter().find(|(name, _)| name == of).unwrap().1
    }

    fn url(&self, user: &str) -> String {
        format!("redis://{user}:{}@127.0.0.1:{}", self.secret(user), self.redis.port())
    }

    /// The binary with everything that it may be told, and with what `others` say.
    fn bellwether(&self, words: &[&str], others: &[(&str, String)]) -> Command {
        let mut command = Command::new(self.path("bellwether"));
        command.args(words).env_clear().stdin(Stdio::null()).current_dir(self.dir.path());
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("IMAGE_REV", "v1").env("BELLWETHER_STOP_GRACE_SECS", "0.3");
        command.env("BELLWETHER_VOLUME", self.path("volume")).env("BELLWETHER_PLAN", self.path("plan.json"));
        command.envs(others.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts a leader, and waits until its step has told everything.
    fn start(&mut self, others: &[(&str, String)]) {
        let log = File::create(self.path("log")).unwrap();
        let mut command = self.bellwether(&["run", "--", "/bin/true"], others);
        let output = log.try_clone().unwrap();
        self.leader = Some(command.stdout(output).stderr(log).spawn().unwrap());
        wait_for("all told", || self.path("out/told").exists().then_some(()));
    }

    fn end(&mut self) -> Option<i32> {
        fs::write(self.path("out/go"), "").unwrap();
        self.leader.take().unwrap().wait().unwrap().code()
    }

    /// Which secrets stand in this text.
    fn found_in(&self, text: &str) -> Vec<&str> {
        self.secrets.iter().filter(|(_, secret)| text.contains(secret.as_str())).map(|(of, _)| of.as_str()).collect()
    }

    /// Every place that others can see, as a name and what is there.
    fn places(&mut self) -> Vec<(String, String)> {
        let read =
            |path: &Path| (path.display().to_string(), String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned());
        let mut places = vec![read(&self.path("log"))];
        let files = everything(&self.path("volume"));
        assert!(files.len() > 8, "a volume at work: {files:?}");
        places.extend(files.iter().filter(|path| path.is_file()).map(|path| read(path)));
        places.push(("the command lines".to_owned(), command_lines()));
        places.push(("the commands in Redis".to_owned(), self.monitor.lines(&self.redis).join("\n")));
        let keys = self.redis.cli(&["KEYS", "*"]);
        places.extend(keys.lines().map(|key| (key.to_owned(), self.redis.cli(&["GET", key]))));
        places
    }

    #[track_caller]
    fn nobody_sees_any(&mut self) {
        for (place, text) in self.places() {
            let found = self.found_in(&text);
            assert!(found.is_empty(), "{found:?} in {place}:\n{text}");
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // The step ends by itself when it may.
        let _ = fs::write(self.path("out/go"), "");
        if let Some(mut leader) = self.leader.take() {
            let _ = leader.kill();
            let _ = leader.wait();
        }
    }
}

fn command_lines() -> String {
    let lines = fs::read_dir("/proc").unwrap().flatten().map(|entry| fs::read(entry.path().join("cmdline")));
    lines.flatten().map(|line| String::from_utf8_lossy(&line).into_owned() + "\n").collect()
}

/// Everything in variables, at the most talkative level. `format` of the log.
fn in_variables(stage: &Stage, format: &str) -> Vec<(&'static str, String)> {
    let variables = VARIABLES.iter().filter(|name| **name != "API_KEY");
    let mut given: Vec<(&str, String)> = variables.map(|name| (*name, stage.secret(name).to_owned())).collect();
    given.push(("BELLWETHER_REDIS_URL", stage.url("lease")));
    given.push(("BELLWETHER_LOG", "trace".to_owned()));
    given.push(("BELLWETHER_LOG_FORMAT", format.to_owned()));
    given
}

fn a_boot_that_fails(format: &str) {
    let mut stage = Stage::new("1");
    let given = in_variables(&stage, format);
    stage.start(&given);
    stage.nobody_sees_any();
    // A step has its replica's variables, so it has told all of them: the search would have found them.
    let told = fs::read_to_string(stage.path("out/env")).unwrap();
    let known = stage.found_in(&told).len();
    assert_eq!(known, stage.secrets.len() - 1, "all but the password of the need: {told}");
    assert_eq!(stage.end(), Some(78));
    stage.nobody_sees_any();
    let log = fs::read_to_string(stage.path("log")).unwrap();
    assert!(log.contains("it is ***, *** and *** at pg://shop:***@db/shop"), "{log}");
    assert!(fs::read_to_string(stage.path("volume/.failed_v1")).unwrap().contains("it is ***"));
    for words in
        [&["status"][..], &["status", "--json"], &["status", "--history"], &["plan"], &["plan", "--json"], &["doctor"]]
    {
        let output = stage.bellwether(words, &given).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(stage.found_in(&said), [""; 0], "{words:?}: {said}");
    }
    // Planted, it is found.
    fs::write(stage.path("volume/planted"), stage.secret("lease")).unwrap();
    let seen = stage.places().into_iter().find(|(_, text)| !stage.found_in(text).is_empty());
    assert!(seen.is_some_and(|(place, _)| place.ends_with("/planted")));
}

#[test]
fn no_secret_in_a_variable_is_seen_by_others() {
    a_boot_that_fails("text");
}

#[test]
fn nor_in_a_log_for_collectors() {
    a_boot_that_fails("json");
}

/// Settings that come from files are in nobody's variables: a step under another user has no way to them.
#[test]
fn a_secret_in_a_file_is_out_of_reach_of_a_step_under_another_user() {
    require_root();
    let mut stage = Stage::new("0");
    let file = stage.path("url");
    fs::write(&file, stage.url("lease") + "\n").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let given = [
        ("BELLWETHER_REDIS_URL_FILE", file.display().to_string()),
        ("BELLWETHER_LOG", "trace".to_owned()),
        ("DB_PASSWORD", stage.secret("DB_PASSWORD").to_owned()),
    ];
    stage.start(&given);
    stage.nobody_sees_any();
    let environs = fs::read_to_string(stage.path("out/environs")).unwrap();
    let own = fs::read_to_string(stage.path("out/env")).unwrap();
    assert_eq!(stage.found_in(&own), ["DB_PASSWORD", "API_KEY", "url"], "its replica's variables and its own: {own}");
    let found = stage.found_in(&environs);
    assert!(!found.contains(&"lease") && !found.contains(&"need"), "{found:?}");
    let leader = stage.leader.as_ref().unwrap().id();
    let environ = fs::metadata(format!("/proc/{leader}/environ")).unwrap();
    assert_eq!(environ.permissions().mode() & 0o077, 0, "nobody else may read a replica's variables");
    assert_eq!(stage.end(), Some(0));
    stage.nobody_sees_any();
}
