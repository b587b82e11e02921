//! A stack out of `compose/`: a scratch copy, a project, volumes, networks and a port of its own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

pub(crate) use crate::backing::inspect;
use crate::docker::{PROJECT, Said, command, docker, docker_in, name, tell};
use crate::waiting::wait_for;

pub(crate) const SITE: &str = "erp.localhost";
pub(crate) const PASSWORD: &str = "s3cret-of-the-stack";
/// After this much silence somebody else may take a step over.
pub(crate) const STALE: Duration = Duration::from_secs(3);
/// All that a site needs to be made and looked at.
pub(crate) const SMALL: [&str; 5] = ["db", "redis-cache", "redis-queue", "web", "frontend"];

/// The image of a revision, by the Dockerfile: `v2` has a patch that `v1` has not. Without its tag.
#[track_caller]
pub(crate) fn image(rev: &str) -> String {
    static NAME: OnceLock<String> = OnceLock::new();
    let image = NAME.get_or_init(|| name("stack")).clone();
    let base = format!("{image}-build:{rev}");
    let mut build = command(Path::new(PROJECT));
    build.args(["build", "--tag", &base, "-"]).stdin(std::process::Stdio::piped());
    let build = build.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut build = build.spawn().unwrap();
    let dockerfile = format!("FROM frappe/build:version-15\nENV STANDIN_REV={rev}\n");
    build.stdin.take().unwrap().write_all(dockerfile.as_bytes()).unwrap();
    Said::from(build.wait_with_output().unwrap()).ok();
    let (base, rev_argument) = (format!("FRAPPE_BUILD_IMAGE={base}"), format!("IMAGE_REV={rev}"));
    let tag = format!("{image}:{rev}");
    docker(&["build", "--tag", &tag, "--build-arg", &base, "--build-arg", &rev_argument, "."]).ok();
    image
}

/// What a test has of a stack. Everything is gone when this is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Stack {
    pub(crate) name: String,
    pub(crate) scratch: TempDir,
}

impl Stack {
    /// Nothing of it runs yet. Dots in the overrides' names are those of the files: `compose.bind.yaml` is `bind`.
    #[track_caller]
    pub(crate) fn new(what: &str, overrides: &[&str]) -> Stack {
        let stack = Stack { name: name(what), scratch: TempDir::new().unwrap() };
        for entry in fs::read_dir(Path::new(PROJECT).join("compose")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::copy(&path, stack.path(path.file_name().unwrap().to_str().unwrap())).unwrap();
            }
        }
        fs::copy(Path::new(PROJECT).join("tests/docker/stack.yaml"), stack.path("test.yaml")).unwrap();
        fs::copy(stack.path(".env.example"), stack.path(".env")).unwrap();
        let files: Vec<String> = overrides.iter().map(|name| format!("compose.{name}.yaml")).collect();
        let files = [&["compose.yaml".to_owned()], &files[..], &["test.yaml".to_owned()]].concat();
        stack.set("COMPOSE_FILE", &files.join(":"));
        stack.set("COMPOSE_PROJECT_NAME", &stack.name);
        stack.set("IMAGE_NAME", &image("v1"));
        // A port that is free, on this machine only.
        stack.set("HTTP_PORT", "127.0.0.1:");
        stack.set("ADMIN_PASSWORD", PASSWORD);
        stack.set("DB_ROOT_PASSWORD", PASSWORD);
        stack.set("STEP_STALE_SECS", &STALE.as_secs().to_string());
        for (variable, what) in [("SITES_VOLUME", "sites"), ("LOGS_VOLUME", "logs")] {
            let volume = format!("{}-{what}", stack.name);
            docker(&["volume", "create", &volume]).ok();
            stack.set(variable, &volume);
        }
        stack
    }

    /// One whose replicas can be stopped and made to fail: a volume that belongs to the image's user, with the stand-in's directory.
    #[track_caller]
    pub(crate) fn prepared(what: &str, overrides: &[&str]) -> Stack {
        let stack = Stack::new(what, overrides);
        prepare(&stack.volume());
        stack
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Changes `.env`, as an editor does: a line that is there, also behind a `#`, or a new one.
    pub(crate) fn set(&self, variable: &str, value: &str) {
        let text = fs::read_to_string(self.path(".env")).unwrap();
        let is_it = |line: &&str| line.trim_start_matches('#').split('=').next() == Some(variable);
        let others = text.lines().filter(|line| !is_it(line));
        let lines: Vec<String> = others.map(str::to_owned).chain([format!("{variable}={value}")]).collect();
        fs::write(self.path(".env"), lines.join("\n") + "\n").unwrap();
    }

    /// Builds the next revision's image, and makes it the one in `.env`.
    #[track_caller]
    pub(crate) fn set_revision(&self, rev: &str) {
        assert_eq!(image(rev), image("v1"));
        self.set("IMAGE_REV", rev);
    }

    /// `docker compose …` in the scratch copy.
    pub(crate) fn compose(&self, arguments: &[&str]) -> Said {
        docker_in(self.scratch.path(), &[&["compose"], arguments].concat(), [])
    }

    #[track_caller]
    pub(crate) fn up(&self, arguments: &[&str]) {
        self.compose(&[&["up", "--detach"], arguments].concat()).ok();
    }

    /// The containers of a service, by their numbers.
    pub(crate) fn containers(&self, service: &str) -> Vec<String> {
        let (project, service) = (label("project", &self.name), label("service", service));
        let format = "{{.Label \"com.docker.compose.container-number\"}} {{.ID}}";
        let list = docker(&["ps", "--all", "--filter", &project, "--filter", &service, "--format", format]).ok();
        let mut numbered: Vec<(u32, String)> = list
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(number, id)| Some((number.parse().ok()?, id.to_owned())))
            .collect();
        numbered.sort();
        numbered.into_iter().map(|(_, id)| id).collect()
    }

    /// Where the volume with the sites is on this machine.
    pub(crate) fn volume(&self) -> PathBuf {
        volume(&format!("{}-sites", self.name))
    }

    /// `bellwether …` in a container of its own, as people call it at night.
    pub(crate) fn bellwether(&self, arguments: &[&str]) -> Said {
        self.compose(&[&["run", "--rm", "-T", "web", "bellwether"], arguments].concat())
    }

    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.bellwether(&["status", "--json"]).ok()).unwrap()
    }

    /// `127.0.0.1:PORT` of the only service that has one.
    #[track_caller]
    pub(crate) fn address(&self, port: &str) -> String {
        self.compose(&["port", "frontend", port]).ok().trim().to_owned()
    }

    #[track_caller]
    pub(crate) fn wait_until_ready(&self, rev: &str) {
        let marker = self.volume().join(format!(".ready_{rev}"));
        wait_for(&format!("{}", marker.display()), || marker.exists().then_some(()));
    }

    /// Asks through the frontend until as many replicas as this have answered: their hosts.
    #[track_caller]
    pub(crate) fn wait_until_answered_by(&self, count: usize) -> Vec<String> {
        wait_until_answered_at(&self.address("8080"), count)
    }
}

#[track_caller]
pub(crate) fn wait_until_answered_at(address: &str, count: usize) -> Vec<String> {
    let mut hosts = Vec::new();
    wait_for(&format!("answers of {count} replicas"), || {
        let answer = get(address, "/api/method/ping")?;
        let answer: Value = serde_json::from_str(answer.body()).ok().filter(|_| answer.is(200))?;
        hosts.push(answer["host"].as_str().unwrap().to_owned());
        hosts.sort();
        hosts.dedup();
        (hosts.len() == count).then_some(())
    });
    hosts
}

/// A directory as the image's user has it, and in it the stand-in's.
#[track_caller]
pub(crate) fn prepare(volume: &Path) {
    fs::create_dir_all(volume.join(".stand-in")).unwrap();
    for path in [volume.to_owned(), volume.join(".stand-in")] {
        std::os::unix::fs::chown(&path, Some(1000), Some(1000)).unwrap_or_else(|error| {
            panic!("{}: {error}: the tests of stacks want root, on the engine's machine", path.display())
        });
    }
}

fn label(what: &str, value: &str) -> String {
    format!("label=com.docker.compose.{what}={value}")
}

#[track_caller]
pub(crate) fn volume(name: &str) -> PathBuf {
    docker(&["volume", "inspect", "--format", "{{.Mountpoint}}", name]).ok().trim().into()
}

/// What a container has written, without a call for each look.
#[track_caller]
pub(crate) fn wait_for_log(container: &str, words: &str) {
    let path = inspect(container, "{{.LogPath}}");
    wait_for(words, || fs::read_to_string(&path).is_ok_and(|log| log.contains(words)).then_some(()));
}

/// An answer over HTTP, as it came.
#[derive(Debug)]
pub(crate) struct Answer(pub(crate) String);

impl Answer {
    pub(crate) fn is(&self, status: u16) -> bool {
        self.0.split(' ').nth(1) == Some(&status.to_string())
    }

    pub(crate) fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }
}

/// Asks for a page of the site.
pub(crate) fn get(address: &str, path: &str) -> Option<Answer> {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {SITE}\r\nConnection: close\r\n\r\n"))
}

/// Says this, and reads to the end.
pub(crate) fn ask(address: &str, words: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    stream.write_all(words.as_bytes()).ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    Some(Answer(String::from_utf8_lossy(&bytes).into_owned())).filter(|answer| answer.0.starts_with("HTTP/"))
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tell(&format!("--- {}\n{}", self.name, self.compose(&["ps"]).all()));
            tell(&self.compose(&["logs", "--no-color", "--tail=60"]).all());
        }
        // What is frozen cannot be stopped; what this project does not know any more is no part of `down`.
        let list = docker(&["ps", "--all", "--quiet", "--filter", &label("project", &self.name)]).stdout;
        let containers: Vec<&str> = list.lines().collect();
        docker(&[&["rm", "--force", "--volumes"], &containers[..]].concat());
        self.compose(&["down", "--volumes", "--remove-orphans"]);
        for volume in ["sites", "logs"] {
            docker(&["volume", "rm", &format!("{}-{volume}", self.name)]);
        }
    }
}
