//! What builds begin with: a checkout, and a server of apps' repositories on this machine.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::docker::PROJECT;

/// Where the tests' own programs for this are.
pub(crate) fn program(name: &str) -> PathBuf {
    Path::new(PROJECT).join("tests/docker/apps").join(name)
}

/// Ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Apps {
    server: Child,
    pub(crate) port: u16,
    _directory: TempDir,
}

impl Apps {
    /// `repositories`: a path of two words, and the login it wants. `moved`: what an older path has become.
    pub(crate) fn serve(repositories: &[(&str, Option<&str>)], moved: &[(&str, &str)]) -> Apps {
        let directory = tempfile::tempdir().unwrap();
        for (path, _) in repositories {
            repository(&directory.path().join(path.trim_start_matches('/')));
        }
        let logins: Vec<_> = repositories.iter().filter_map(|&(path, login)| Some((path, login?))).collect();
        fs::write(directory.path().join("logins.json"), object(&logins)).unwrap();
        fs::write(directory.path().join("moved.json"), object(moved)).unwrap();
        let mut command = Command::new("/usr/bin/python3");
        command.arg(program("serve")).arg(directory.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Apps { server, port: line.trim().parse().unwrap(), _directory: directory }
    }

    /// The URL of a path, with a login as people write it.
    pub(crate) fn url(&self, login: &str, path: &str) -> String {
        let at = if login.is_empty() { "" } else { "@" };
        format!("http://{login}{at}127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Apps {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

fn object(pairs: &[(&str, &str)]) -> String {
    let map: serde_json::Map<_, _> = pairs.iter().map(|&(key, value)| (key.to_owned(), value.into())).collect();
    serde_json::Value::from(map).to_string()
}

/// A bare one with the branches `main` and `version-15` and a file, made as its authors would.
fn repository(path: &Path) {
    let work = tempfile::tempdir().unwrap();
    fs::write(work.path().join("README.md"), "Nothing but the README of an app.\n").unwrap();
    let git = |words: &[&str]| {
        let who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"];
        let done = Command::new("git").current_dir(work.path()).args(who).args(words).output().unwrap();
        assert!(done.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message=An app"]);
    git(&["branch", "version-15"]);
    git(&["clone", "--quiet", "--bare", ".", path.to_str().unwrap()]);
}

/// What a user has after `git clone`: the files that the images are built from.
pub(crate) fn checkout() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let list = ["Dockerfile", ".dockerignore", "Cargo.toml", "Cargo.lock", ".cargo", "src", "bin", "compose"];
    let copied = Command::new("cp").current_dir(PROJECT).arg("-a").args(list).arg(directory.path()).status().unwrap();
    assert!(copied.success());
    directory
}
