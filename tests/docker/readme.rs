//! The README's two Compose files, brought up as they stand there.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::docker::{Container, Image, PROJECT, build, docker, docker_in, name};
use crate::waiting::wait_for;

/// The revision of both.
const REV: &str = "v1";

/// A scratch directory with a block of the README as its first Compose file; taken down when this is dropped.
struct Project {
    name: String,
    scratch: TempDir,
}

impl Project {
    /// With an image of the tests' own in the place of the one it names, and with a second file of ours.
    fn new(info: &str, image: (&str, &str), ours: &str) -> Project {
        let project = Project { name: name("readme"), scratch: TempDir::new().unwrap() };
        let readme = fs::read_to_string(Path::new(PROJECT).join("README.md")).unwrap();
        let block = readme.split_once(&format!("```{info}\n")).unwrap().1.split_once("```").unwrap().0;
        let named = format!("image: {}:${{IMAGE_REV:?set it}}", image.0);
        assert_eq!(block.matches(&named).count(), 2, "{block}");
        project.write("compose.yaml", &block.replace(&named, &format!("image: {}", image.1)));
        project.write("ours.yaml", ours);
        project.write(
            ".env",
            &format!("IMAGE_REV={REV}\nCOMPOSE_FILE=compose.yaml:ours.yaml\nCOMPOSE_PROJECT_NAME={}\n", project.name),
        );
        project
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.scratch.path().join(name), text).unwrap();
    }

    #[track_caller]
    fn compose(&self, words: &[&str]) -> String {
        docker_in(self.scratch.path(), &[&["compose"], words].concat(), []).ok()
    }

    fn containers(&self, service: &str) -> Vec<Container> {
        self.compose(&["ps", "--quiet", service]).lines().map(|id| Container { name: id.to_owned() }).collect()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        docker_in(self.scratch.path(), &["compose", "down", "--volumes", "--timeout", "1"], []);
    }
}

/// The only site of a server on `erp`'s or the shop's port, asked from inside.
fn ask(replica: &Container, host: &str) -> Option<Value> {
    let header = format!("Host: {host}");
    let said = replica.exec(&["curl", "--silent", "--header", &header, "http://127.0.0.1:8000/api/method/ping"]);
    serde_json::from_str(&said.stdout).ok()
}

const PLAN: &str = r#"{"name": "shop", "steps": [{"name": "migrate", "run": ["sh", "-c", "echo $HOSTNAME >> $BELLWETHER_VOLUME/migrated"]}]}"#;

/// Its directory has the application; celery is a program of its own.
const SHOP: &str = r#"
FROM frappe/base:version-15
USER root
COPY bellwether /usr/local/bin/
COPY plan.json wsgi.py /srv/shop/
RUN printf '#!/bin/sh\necho "celery $*"\nexec sleep 3600\n' > /usr/local/bin/celery && chmod 755 /usr/local/bin/celery \
    && mkdir /srv/shop/shop && mv /srv/shop/wsgi.py /srv/shop/shop/ && install -d -o frappe /srv/shop/shared
USER frappe
WORKDIR /srv/shop
"#;

const WSGI: &str = r#"
def application(environ, respond):
    respond("200 OK", [("Content-Type", "application/json")])
    return [b'{"message": "pong"}']
"#;

#[test]
fn its_compose_file_makes_a_shop_ready_once() {
    let context = TempDir::new().unwrap();
    let binary = build("binary", &[]);
    let copy = Container { name: name("copy") };
    docker(&["create", "--name", &copy.name, &binary, "none"]).ok();
    let to = context.path().join("bellwether");
    docker(&["cp", &format!("{}:/bellwether", copy.name), to.to_str().unwrap()]).ok();

    for (name, text) in [("Dockerfile", SHOP), ("plan.json", PLAN), ("wsgi.py", WSGI)] {
        fs::write(context.path().join(name), text).unwrap();
    }
    let image = Image::named(format!("{}:{REV}", name("shop")));
    docker(&["build", "--tag", &image, context.path().to_str().unwrap()]).ok();

    let project = Project::new("yaml compose", ("shop", &image), "version: '2.4'\n");
    project.compose(&["up", "--detach"]);
    let replicas = project.containers("web");
    assert_eq!(replicas.len(), 3);
    for replica in &replicas {
        wait_for("pong", || ask(replica, "shop").filter(|answer| answer["message"] == "pong").map(|_| ()));
    }
    let worker = &project.containers("worker")[0];
    wait_for("the worker", || worker.logs().contains("celery --app=shop worker").then_some(()));
    let migrated = replicas[0].exec(&["cat", "shared/migrated"]).ok();
    let leaders: Vec<&Container> = replicas.iter().filter(|replica| replica.logs().contains("LEADER")).collect();
    assert_eq!((migrated.lines().count(), leaders.len()), (1, 1), "{migrated}");
    assert!(leaders[0].name.starts_with(migrated.trim()), "{migrated}");
    assert!(project.compose(&["run", "--rm", "-T", "web", "bellwether", "status"]).contains("revision v1: ready"));
}

/// What the README's stack leaves out: servers, here with small waits.
const SERVERS: &str = r"
services:
  db:
    image: mariadb:10.11
    environment: {MARIADB_ROOT_PASSWORD: the-root-of-it}
  redis-cache:
    image: redis:7-bookworm
  redis-queue:
    image: redis:7-bookworm
";

#[test]
fn its_frappe_file_makes_a_site_ready_with_passwords_out_of_files() {
    let stack = crate::stack::image("v1");
    let project = Project::new("yaml frappe", ("erp", &format!("{stack}:v1")), SERVERS);
    for (name, password) in [("admin-password", "the-admin-of-it"), ("db-root-password", "the-root-of-it")] {
        project.write(name, password);
    }
    project.compose(&["up", "--detach"]);
    let replicas = project.containers("web");
    assert_eq!(replicas.len(), 3);
    for replica in &replicas {
        wait_for("pong", || ask(replica, "erp.example.com").filter(|answer| answer["message"] == "pong").map(|_| ()));
    }
    let worker = &project.containers("worker")[0];
    wait_for("the worker", || worker.logs().contains("started").then_some(()));
    let leaders = replicas.iter().filter(|replica| replica.logs().contains("LEADER")).count();
    assert_eq!(leaders, 1);
    for replica in replicas.iter().chain([worker]) {
        assert!(!replica.logs().contains("-of-it"), "{}", replica.logs());
    }
}
