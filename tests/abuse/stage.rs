//! A Redis, a volume and a plan with a secret of its own in every place that may hold one, and a leader at work with them.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tempfile::TempDir;

use crate::isolate::mount;
use crate::redis_server::{Monitor, RedisServer};
use crate::replica::copy_for_all;
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
pub(crate) const VARIABLES: [&str; 6] =
    ["DB_PASSWORD", "SHOP_TOKEN", "REDIS_PASS", "LOCK_REDIS_PASS", "AWS_SECRET_ACCESS_KEY", "API_KEY"];

/// Files of a stage that hold secrets because it is their purpose: nobody but the owner reads the first, the others are
/// what the step has told to us.
pub(crate) const HOLD_SECRETS: [&str; 4] = ["plan.json", "secret", "out/env", "out/environs"];

pub(crate) const TERMINATION_LOG: &str = "/dev/termination-log";

pub(crate) const HISTORY: &str = "volume/.bellwether/history.jsonl";

/// Without a password of its own nobody could tell the default user's from those that count; this one is no secret.
const DEFAULT_PASSWORD: &str = "everybody-knows-it";

/// Steps of other tests run as the same user, who can see what is theirs: no two have the same secrets.
static STAGES: AtomicUsize = AtomicUsize::new(0);

/// Gives this namespace of mounts a `/dev` with an empty termination log, as a kubelet makes one.
pub(crate) fn make_termination_log() {
    let dev = tempfile::tempdir().unwrap().keep();
    let at = |name: &str| dev.join(name).into_os_string().into_string().unwrap();
    mount(&["-t", "tmpfs", "tmpfs", dev.to_str().unwrap()]);
    for name in ["null", "zero", "full", "random", "urandom"] {
        File::create(at(name)).unwrap();
        mount(&["--bind", &format!("/dev/{name}"), &at(name)]);
    }
    symlink("/proc/self/fd", at("fd")).unwrap();
    File::create(at("termination-log")).unwrap();
    mount(&["--move", dev.to_str().unwrap(), "/dev"]);
    fs::remove_dir(dev).unwrap();
}

pub(crate) struct Stage {
    dir: TempDir,
    /// The binary, which is not ours to search.
    tools: TempDir,
    pub(crate) redis: RedisServer,
    monitor: Monitor,
    /// Everything that the server has been asked.
    pub(crate) asked: String,
    /// By what holds it.
    pub(crate) secrets: Vec<(String, String)>,
    pub(crate) leader: Option<Child>,
}

impl Stage {
    /// The step ends with `exit`, when it may.
    pub(crate) fn new(exit: &str) -> Stage {
        let (dir, tools) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (dir, name, mode) in [
            (&dir, "", 0o755),
            (&tools, "", 0o755),
            (&dir, "volume", 0o755),
            (&dir, "out", 0o777),
            (&dir, "cwd", 0o755),
            (&dir, "home", 0o755),
            (&dir, "tmp", 0o1777),
        ] {
            let path = dir.path().join(name);
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        copy_for_all(&tools.path().join("bellwether"));
        let number = format!("{}-{}.", std::process::id(), STAGES.fetch_add(1, Ordering::Relaxed));
        let holders = VARIABLES.iter().copied().chain(["lease", "url", "need"]);
        let secrets = holders.map(|of| (of.to_owned(), format!("s3cr3t-{}-{number}", of.to_lowercase()))).collect();
        let redis = RedisServer::start_with(&["--requirepass", DEFAULT_PASSWORD]);
        let monitor = redis.monitor();
        let stage = Stage { dir, tools, redis, monitor, asked: String::new(), secrets, leader: None };
        for (user, secret) in
            [("lease", "lease"), ("need", "need"), ("default", "REDIS_PASS"), ("default", "LOCK_REDIS_PASS")]
        {
            let password = format!(">{}", stage.secret(secret));
            let rule = ["ACL", "SETUSER", user, "on", &password, "~*", "&*", "+@all"];
            assert_eq!(stage.redis.cli(&rule), "OK");
        }
        stage.write_plan(exit);
        stage
    }

    fn write_plan(&self, exit: &str) {
        let url = format!("pg://shop:{}@db/shop", self.secret("url"));
        let env = json!({"API_KEY": self.secret("API_KEY"), "DB_URL": url, "OUT": self.path("out"), "EXIT": exit});
        let step =
            json!({"name": "tell", "run": ["/bin/sh", "-c", STEP], "user": "nobody", "env": env, "max_attempts": 1});
        let plan = json!({"needs": [self.url("need")], "steps": [step]});
        self.write_secretly("plan.json", &plan.to_string());
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file for its owner alone, of those in [`HOLD_SECRETS`].
    pub(crate) fn write_secretly(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    pub(crate) fn secret(&self, of: &str) -> &str {
        &self.secrets.iter().find(|(name, _)| name == of).unwrap().1
    }

    pub(crate) fn url(&self, user: &str) -> String {
        format!("redis://{user}:{}@127.0.0.1:{}", self.secret(user), self.redis.port())
    }

    /// The binary with all that it needs, and with what `others` say.
    pub(crate) fn bellwether(&self, words: &[&str], others: &[(&str, String)]) -> Command {
        let mut command = Command::new(self.tools.path().join("bellwether"));
        command.args(words).env_clear().stdin(Stdio::null()).current_dir(self.path("cwd"));
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", self.path("home")).env("TMPDIR", self.path("tmp"));
        command.env("IMAGE_REV", "v1").env("BELLWETHER_STOP_GRACE_SECS", "0.3").env("BELLWETHER_LOG", "trace");
        command.env("BELLWETHER_VOLUME", self.path("volume")).env("BELLWETHER_PLAN", self.path("plan.json"));
        command.envs(others.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts a leader, and waits until its step has told everything, and the leader has passed it on.
    pub(crate) fn start(&mut self, others: &[(&str, String)]) {
        let log = File::create(self.path("log")).unwrap();
        let mut command = self.bellwether(&["run", "--", "/bin/true"], others);
        let output = log.try_clone().unwrap();
        self.leader = Some(command.stdout(output).stderr(log).spawn().unwrap());
        wait_for("all told", || {
            let ended = self.leader.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", fs::read_to_string(self.path("log")).unwrap());
            self.path("out/told").exists().then_some(())
        });
        let told = [("log", "it is "), ("volume/.bellwether/log/tell.log", "it is "), (HISTORY, "\"started\"")];
        for (place, told) in told {
            let look = || fs::read_to_string(self.path(place)).is_ok_and(|text| text.contains(told)).then_some(());
            wait_for(&format!("{told} in {place}"), look);
        }
    }

    pub(crate) fn end(&mut self) -> Option<i32> {
        fs::write(self.path("out/go"), "").unwrap();
        self.leader.take().unwrap().wait().unwrap().code()
    }

    /// Which secrets stand in this text.
    pub(crate) fn found_in(&self, text: &str) -> BTreeSet<&str> {
        self.secrets.iter().filter(|(_, secret)| text.contains(secret.as_str())).map(|(of, _)| of.as_str()).collect()
    }

    /// What the server has been asked until now.
    pub(crate) fn read_asked(&mut self) {
        let lines = self.monitor.lines(&self.redis);
        self.asked += &(lines.join("\n") + "\n");
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

/// A process of another user that is not the step's doing, with a variable by which it is known.
pub(crate) struct Bystander(Child);

impl Bystander {
    pub(crate) fn start(variable: &str) -> Bystander {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "cat"]).env("BYSTANDER", variable);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let comm = format!("/proc/{}/comm", child.id());
        wait_for("a bystander", || (fs::read_to_string(&comm).unwrap() == "cat\n").then_some(()));
        Bystander(child)
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// All files below a directory; no link is followed.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    crate::places::everything(directory).into_iter().filter(|path| path.is_file() && !path.is_symlink()).collect()
}
