//! Where containers under s6 play: a network, a volume, and the servers they need.

use crate::backing::{Backing, SITES, inspect};
use crate::docker::{Container, PROJECT, Said, docker, name};
use crate::waiting::wait_for;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::OnceLock;

pub(crate) const SITE: &str = "erp.example.com";
pub(crate) const REV: &str = "s6-1";

/// Secrets that come as files, and must not be anywhere else.
pub(crate) const ADMIN_PASSWORD: &str = "correct-horse-admin";
const ROOT_PASSWORD: &str = "correct-horse-root";

/// What the README says of containers that are not root on a root file system that is read-only.
pub(crate) const HARDENED: [&str; 7] = [
    "--read-only",
    "--tmpfs",
    "/run:exec,mode=755,uid=1000,gid=1000",
    "--tmpfs",
    "/tmp:uid=1000,gid=1000",
    "--security-opt",
    "no-new-privileges",
];

/// The image with s6-overlay's files: a real one, if it is named, or what Debian's s6 can do of it.
pub(crate) fn overlay() -> String {
    std::env::var("BELLWETHER_S6_OVERLAY_IMAGE").unwrap_or_else(|_| "s6-overlay:debian".to_owned())
}

/// The target `frappe-s6`, built once.
pub(crate) fn frappe_s6() -> &'static str {
    static IMAGE: OnceLock<String> = OnceLock::new();
    IMAGE.get_or_init(|| build_on_overlay("frappe-s6", &["--target", "frappe-s6", "."]))
}

/// Builds an image with the overlay's files.
#[track_caller]
pub(crate) fn build_on_overlay(what: &str, arguments: &[&str]) -> String {
    let argument = format!("S6_OVERLAY_IMAGE={}", overlay());
    build(what, &[&["--build-arg", &argument], arguments].concat())
}

/// The tag is this run's own: another's tests may be running. All tests have the image, so it goes by its label afterwards.
#[track_caller]
pub(crate) fn build(what: &str, arguments: &[&str]) -> String {
    let tag = format!("{}:test", name(what));
    docker(&[&["build", "--tag", &tag], arguments].concat()).ok();
    tag
}

/// What replicas of a stack share.
#[derive(Debug)]
pub(crate) struct Stage {
    backing: Backing,
    secrets: tempfile::TempDir,
}

impl Stage {
    /// A network, a volume that is the image's, secrets, and a Redis.
    #[track_caller]
    pub(crate) fn new() -> Stage {
        let secrets = tempfile::Builder::new().prefix("bellwether-s6-").tempdir().unwrap();
        let mode = |bits| Permissions::from_mode(bits);
        std::fs::set_permissions(secrets.path(), mode(0o755)).unwrap();
        for (name, secret) in [("admin", ADMIN_PASSWORD), ("root", ROOT_PASSWORD)] {
            let path = secrets.path().join(name);
            std::fs::write(&path, secret).unwrap();
            std::fs::set_permissions(&path, mode(0o644)).unwrap();
        }
        let stage = Stage { backing: Backing::new(), secrets };
        stage.in_volume("mkdir -p .stand-in");
        stage
    }

    #[track_caller]
    pub(crate) fn with_database(self) -> Stage {
        Stage { backing: self.backing.with_database(ROOT_PASSWORD), ..self }
    }

    /// The volume as a revision that is ready leaves it, as far as services go by it.
    #[track_caller]
    pub(crate) fn ready(self) -> Stage {
        self.in_volume(&format!(
            r#"mkdir -p {SITE} && echo '{{}}' >{SITE}/site_config.json && touch .ready_{REV} &&
               echo '{{"redis_queue": "redis://redis:6379"}}' >common_site_config.json"#
        ));
        self
    }

    /// A piece of shell in the volume, without a replica.
    #[track_caller]
    pub(crate) fn in_volume(&self, script: &str) -> String {
        let (mount, image) = (self.backing.mount(), frappe_s6());
        let words = ["run", "--rm", "--volume", &mount, "--workdir", SITES, "--entrypoint", "sh", image, "-c", script];
        docker(&words).ok()
    }

    /// A replica of the image as it is, hardened, with the usual settings and more.
    #[track_caller]
    pub(crate) fn replica(&self, more: &[&str]) -> Container {
        self.replica_of(frappe_s6(), more)
    }

    #[track_caller]
    pub(crate) fn replica_of(&self, image: &str, more: &[&str]) -> Container {
        let volume = self.backing.mount();
        let secrets = format!("{}:/run/secrets:ro", self.secrets.path().display());
        let mut words = HARDENED.to_vec();
        words.extend(["--network", &self.backing.network, "--volume", &volume, "--volume", &secrets]);
        let settings = [
            format!("IMAGE_REV={REV}"),
            format!("SITE={SITE}"),
            "DB_HOST=db".to_owned(),
            "ADMIN_PASSWORD_FILE=/run/secrets/admin".to_owned(),
            "DB_ROOT_PASSWORD_FILE=/run/secrets/root".to_owned(),
            "REDIS_CACHE=redis:6379".to_owned(),
            "REDIS_QUEUE=redis:6379".to_owned(),
        ];
        words.extend(settings.iter().flat_map(|setting| ["--env", setting.as_str()]));
        words.extend(more);
        words.push(image);
        Container::start("s6", &words)
    }
}

/// What one can ask of a container under s6.
pub(crate) trait UnderS6 {
    /// A piece of shell in it.
    fn sh(&self, script: &str) -> Said;

    /// `docker stop` with this grace; its exit code. 137 is one that had to be killed.
    fn stop(&self, grace: &str) -> i32;

    /// The services that are up, in order of their names.
    fn up(&self) -> Vec<String>;

    /// A pid of what s6 supervises by this name, once it is up.
    fn pid(&self, service: &str) -> String;

    fn is_running(&self) -> bool;

    /// Waits until it says that it is well.
    fn wait_healthy(&self);

    fn wait_for_log(&self, text: &str);
}

impl UnderS6 for Container {
    fn sh(&self, script: &str) -> Said {
        self.exec(&["sh", "-c", script])
    }

    #[track_caller]
    fn stop(&self, grace: &str) -> i32 {
        docker(&["stop", "--time", grace, &self.name]).ok();
        self.wait()
    }

    #[track_caller]
    fn up(&self) -> Vec<String> {
        let each = r#"for path in /run/service/*/; do
            [ "$(s6-svstat -o up "$path")" = false ] || basename "$path"
        done"#;
        // Of s6 itself, and loggers, which are no services of their own in every tree.
        let own = |name: &&str| !name.starts_with("s6") && !name.ends_with("-log");
        self.sh(each).ok().lines().filter(own).map(str::to_owned).collect()
    }

    #[track_caller]
    fn pid(&self, service: &str) -> String {
        wait_for(&format!("{service} is up in {}", self.name), || {
            let said = self.exec(&["s6-svstat", "-o", "up,pid", &format!("/run/service/{service}")]);
            said.stdout.trim().strip_prefix("true ").map(str::to_owned)
        })
    }

    fn is_running(&self) -> bool {
        inspect(&self.name, "{{.State.Running}}") == "true"
    }

    #[track_caller]
    fn wait_healthy(&self) {
        wait_for(&format!("{} is well", self.name), || {
            assert!(self.is_running(), "{} has ended", self.name);
            (self.exec(&["frappe-s6-health"]).code == Some(0)).then_some(())
        });
    }

    #[track_caller]
    fn wait_for_log(&self, text: &str) {
        wait_for(&format!("{text} in the log of {}", self.name), || {
            let is_running = self.is_running();
            let seen = self.logs().contains(text);
            assert!(seen || is_running, "{} has ended", self.name);
            seen.then_some(())
        });
    }
}

/// Copies of the examples' directories are built from where they are.
pub(crate) fn examples() -> std::path::PathBuf {
    Path::new(PROJECT).join("examples/s6")
}
