//! A Frappe stack: a stand-in for bench and its database server, two real Redis servers, and a volume.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::redis_server::RedisServer;
use crate::replica::{Launch, Replica};
use crate::trace::Trace;
use crate::wait::kill_bearing;

pub(crate) const ROOT_PASSWORD: &str = "r00t-of-the-database";
pub(crate) const ADMIN_PASSWORD: &str = "adm1n-of-the-site";
/// A person waits longer for Redis than a replica, which asks again: `LOCK_RENEW_TTL_SECS`.
pub(crate) const PATIENT: &str = "30";
pub(crate) const SITE: &str = "a.localhost";

/// The system's: a version manager's may be closed to the users that steps run as.
pub(crate) const PYTHON: &str = "/usr/bin/python3";

/// The stand-in's tools, whose Python benches run as well.
fn tool(name: &str) -> Command {
    let mut command = Command::new(PYTHON);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench").join(name));
    command
}

/// Runs a tool, which has to succeed, and returns what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What an image is made with.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) apps: &'static str,
    /// `beta:alpha`: which app requires which.
    pub(crate) requires: &'static str,
    pub(crate) has_baked_assets: bool,
}

impl Default for Image {
    fn default() -> Image {
        Image { apps: "frappe,alpha,beta", requires: "beta:alpha", has_baked_assets: false }
    }
}

/// Replicas' common world. Dropping it kills whatever is left of them.
#[must_use]
pub(crate) struct Stack {
    scratch: TempDir,
    pub(crate) cache: RedisServer,
    pub(crate) queue: RedisServer,
    env: BTreeMap<String, String>,
    mark: String,
    image: Image,
}

impl Stack {
    /// One site, three apps, and the usual kind of database.
    pub(crate) fn new() -> Stack {
        Stack::of(&Image::default(), &[])
    }

    /// `server`: arguments for `make-server`.
    pub(crate) fn of(image: &Image, server: &[&str]) -> Stack {
        Stack::with_redis(image, server, &[])
    }

    /// `redis`: arguments for both of the Redis servers.
    pub(crate) fn with_redis(image: &Image, server: &[&str], redis: &[&str]) -> Stack {
        let scratch = tempfile::Builder::new().prefix("bellwether-frappe-").tempdir().unwrap();
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // What waits for the server before anybody leads knows ports only; whoever connects is let go at once.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || listener.incoming().for_each(drop));
        let (cache, queue) = (RedisServer::start_with(redis), RedisServer::start_with(redis));
        let path = |name: &str| scratch.path().join(name).display().to_string();
        run(tool("make-server").arg(path("db")).args(["--password", ROOT_PASSWORD]).args(server));
        let mark = format!("FRAPPE_STACK={}", path(""));
        let variables = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
            ("FRAPPE_STACK", path("")),
            ("IMAGE_REV", "v1".to_owned()),
            ("BELLWETHER_PRESET", "frappe".to_owned()),
            ("SITES_DIR", path("bench/sites")),
            ("BELLWETHER_BACKOFF_SECS", "0.1".to_owned()),
            ("BELLWETHER_STOP_GRACE_SECS", "0.3".to_owned()),
            ("STEP_STALE_SECS", "2".to_owned()),
            ("SITE", SITE.to_owned()),
            ("ADMIN_PASSWORD", ADMIN_PASSWORD.to_owned()),
            ("DB_HOST", "127.0.0.1".to_owned()),
            ("DB_PORT", port.to_string()),
            ("DB_PASSWORD", ROOT_PASSWORD.to_owned()),
            ("REDIS_CACHE", format!("127.0.0.1:{}", cache.port())),
            ("REDIS_QUEUE", format!("127.0.0.1:{}", queue.port())),
            ("STANDIN_DB", path("db")),
            ("STANDIN_ALLOW_ROOT", "1".to_owned()),
            ("STANDIN_TRACE", path("trace")),
        ];
        let env = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let stack = Stack { scratch, cache, queue, env, mark, image: image.clone() };
        stack.make_image("v1", image);
        stack
    }

    /// Makes the bench that of this revision's image: what the replicas that are started from now on find around the volume.
    pub(crate) fn make_image(&self, rev: &str, Image { apps, requires, has_baked_assets }: &Image) {
        let mut make = tool("make-bench");
        make.arg(self.bench()).args(["--apps", apps, "--rev", rev]);
        if !requires.is_empty() {
            make.args(["--requires", requires]);
        }
        if *has_baked_assets {
            make.arg("--baked-assets");
        }
        run(&mut make);
    }

    /// An image of a newer revision, with the apps that it has.
    pub(crate) fn make_newer(&self, rev: &str) {
        self.make_image(rev, &self.image);
    }

    /// A variable that every replica sees.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Stack {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A variable that replicas do not see after all.
    pub(crate) fn without(mut self, name: &str) -> Stack {
        self.env.remove(name);
        self
    }

    /// As quick as it gets: phases take a tenth of their time, and a dead leader is noticed after a second.
    pub(crate) fn quick(self) -> Stack {
        self.env("STANDIN_SPEED", "10").env("STEP_STALE_SECS", "1")
    }

    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        self.env.clone()
    }

    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    pub(crate) fn bench(&self) -> PathBuf {
        self.scratch().join("bench")
    }

    /// A file of the volume.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.bench().join("sites").join(name)
    }

    /// A file of the stand-in's database server: `down`, `starting`, `queued-a.localhost` …
    pub(crate) fn server(&self, name: &str) -> PathBuf {
        self.scratch().join("db").join(name)
    }

    /// The stack as it is, but with another server, that knows nothing of it, behind a name that is as good.
    pub(crate) fn misled(self) -> Stack {
        let other = self.scratch().join("other-db");
        run(tool("make-server").arg(&other).args(["--password", ROOT_PASSWORD]));
        self.env("DB_HOST", "localhost").env("STANDIN_DB", &other.display().to_string())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        fs::symlink_metadata(self.path(name)).is_ok()
    }

    /// The names in the root of the volume, a line each.
    pub(crate) fn markers(&self) -> String {
        let names = fs::read_dir(self.path("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// A file of the volume as JSON.
    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    /// What the stand-in has been asked to do.
    pub(crate) fn trace(&self) -> Trace {
        Trace::read(&self.scratch().join("trace"))
    }

    /// Everything that has come of it, of this site: the checker looks into the database.
    pub(crate) fn check(&self, site: &str) -> Value {
        let whole = self.check_all(&["--site", site]);
        whole["sites"][site].clone()
    }

    /// The checker's whole word.
    pub(crate) fn check_all(&self, arguments: &[&str]) -> Value {
        let checker = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/check");
        let mut python = Command::new(self.bench().join("env/bin/python"));
        python.arg(checker).arg(self.bench()).args(arguments).envs(self.environment());
        serde_json::from_str(&run(&mut python)).unwrap()
    }

    /// Puts a row into the site's database that has to survive everything.
    pub(crate) fn plant(&self, site: &str, text: &str) {
        self.check_all(&["--site", site, "--plant", text]);
    }

    /// Runs bench itself, as a person would.
    pub(crate) fn bench_call(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = Command::new(self.bench().join("bench"));
        command.args(arguments).current_dir(self.path("")).envs(self.environment()).env_remove("STANDIN_TRACE");
        command.output().unwrap()
    }

    /// A replica whose command says `serves` and ends.
    pub(crate) fn launch(&self) -> Launch<'_> {
        Launch::new(self).command(&["/bin/echo", "serves"])
    }

    pub(crate) fn start(&self) -> Replica {
        self.launch().start()
    }

    /// One replica from its start to its end: its exit code and everything it has said.
    pub(crate) fn boot(&self) -> (i32, String) {
        let mut replica = self.start();
        (replica.wait(), replica.log())
    }

    /// One replica, which has to serve.
    pub(crate) fn boot_well(&self) -> String {
        let mut replica = self.start();
        assert_eq!(replica.wait(), 0, "{}", replica.log());
        assert_eq!(replica.output(), "serves\n");
        replica.log()
    }

    /// `bellwether WORDS…` in the stack's environment: exit code, stdout and stderr.
    pub(crate) fn bellwether(&self, words: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bellwether"));
        let output = command
            .args(words)
            .env_clear()
            .envs(self.environment())
            .env("LOCK_RENEW_TTL_SECS", PATIENT)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").field("scratch", &self.scratch).finish_non_exhaustive()
    }
}

impl Drop for Stack {
    /// Before the directory goes. Replicas that a failed test holds are dropped later than this.
    fn drop(&mut self) {
        kill_bearing(&self.mark);
    }
}
