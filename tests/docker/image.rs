//! What comes out of the Dockerfile.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::backing::{Volume, inspect};
use crate::docker::{Image, PROJECT, build, docker, name};

fn config_of(image: &str) -> Value {
    serde_json::from_str(&inspect(image, "{{json .Config}}")).unwrap()
}

#[test]
fn an_empty_revision_fails_the_build() {
    let said = docker(&["build", "--build-arg", "IMAGE_REV=", "."]);
    assert_ne!(said.code, Some(0));
    assert!(said.all().contains("IMAGE_REV is empty"), "{}", said.all());
}

#[test]
fn without_a_revision_an_image_says_so_and_starts_nothing() {
    let image = build("frappe", &[]);
    let said = docker(&["run", "--rm", &image]);
    assert_eq!(said.code, Some(64), "{}", said.all());
    assert!(said.stderr.contains("IMAGE_REV: is not set"), "{}", said.all());
    // All else is missing still.
    let said = docker(&["run", "--rm", "-e", "IMAGE_REV=v1", &image]);
    assert_eq!(said.code, Some(64), "{}", said.all());
    assert!(said.stderr.contains("SITE: is not set") && !said.stderr.contains("IMAGE_REV"), "{}", said.all());
    // A command of Bellwether's goes through, with what it needs.
    let volume = Volume::new();
    let mount = format!("{}:/home/frappe/frappe-bench/sites", &*volume);
    let said = docker(&["run", "--rm", "-v", &mount, "-e", "IMAGE_REV=v1", &image, "bellwether", "ready"]);
    assert_eq!((said.code, &*said.all()), (Some(1), ""));
}

#[test]
fn an_image_is_set_up_for_whoever_runs_it() {
    let config = config_of(&build("frappe", &["--build-arg=IMAGE_REV=v7"]));
    assert_eq!(config["User"], "frappe");
    assert_eq!(config["Entrypoint"], json!(["bellwether", "run", "--supervise", "--"]));
    assert_eq!(config["Cmd"], json!(["frappe-service", "web"]));
    assert_eq!(config["WorkingDir"], "/home/frappe/frappe-bench");
    assert_eq!(config["Healthcheck"]["Test"], json!(["CMD", "frappe-health"]));
    assert_eq!(config["Labels"]["org.opencontainers.image.version"], "v7");
    let environment: Vec<&str> = config["Env"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert!(environment.contains(&"IMAGE_REV=v7") && environment.contains(&"BELLWETHER_PRESET=frappe"));
    for word in ["PASS", "TOKEN", "SECRET", "APPS_JSON"] {
        assert!(!environment.iter().any(|setting| setting.contains(word)), "{environment:?}");
    }
}

#[test]
fn an_image_that_has_a_bench_is_used_with_it() {
    let theirs = "frappe/erpnext:v15.75.1";
    let tag = Image::named(format!("{}:test", name("theirs")));
    let from = format!("FRAPPE_IMAGE={theirs}");
    let words = ["build", "--progress=plain", "--build-arg", &from, "--build-arg", "IMAGE_REV=v1", "-t", &tag, "."];
    let said = docker(&words);
    assert_eq!(said.code, Some(0), "{}", said.all());
    assert!(!said.all().contains("[builder ") && !said.all().contains("init-bench"), "{}", said.all());

    let apps = |image: &str| {
        docker(&[
            "run",
            "--rm",
            "--entrypoint=sh",
            image,
            "-c",
            "cd /home/frappe/frappe-bench/apps && find . -type f -exec sha256sum {} + | sort",
        ])
        .ok()
    };
    assert_eq!(apps(&tag), apps(theirs));
    // A new volume belongs to who writes to it, and does not hide this image's bundles behind those of its first image.
    let (sites, logs) = (Volume::new(), Volume::new());
    let sites = format!("{}:/home/frappe/frappe-bench/sites", &*sites);
    let logs = format!("{}:/home/frappe/frappe-bench/logs", &*logs);
    let look = "stat -c %U sites logs assets/assets.json && touch sites/a logs/b && [ ! -e sites/assets ]";
    let said = docker(&["run", "--rm", "-v", &sites, "-v", &logs, "--entrypoint=sh", &tag, "-c", look]);
    assert_eq!(said.ok(), "frappe\nfrappe\nfrappe\n");
}

#[test]
fn the_dockerfile_brings_in_nothing_that_moves_and_no_secret() {
    let text = fs::read_to_string(Path::new(PROJECT).join("Dockerfile")).unwrap();
    let joined = text.replace("\\\n", " ");
    let lines: Vec<&str> = joined.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect();
    let mut images = 0;
    for line in lines {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        assert_ne!(word, "ADD", "{line}");
        assert!(!rest.contains(":latest"), "{line}");
        if let ("ARG", Some((name, value))) = (word, rest.split_once('=')) {
            let is_image = name.ends_with("_IMAGE");
            assert!(!is_image || value.contains(':') || joined.contains(&format!(" AS {value}\n")), "{line}");
            images += usize::from(is_image);
        }
        if word == "ENV" {
            assert!(!["PASS", "TOKEN", "SECRET", "APPS_JSON"].iter().any(|it| rest.contains(it)), "{line}");
        }
        if word == "FROM" {
            assert!(rest.contains("${") || rest.starts_with("scratch") || rest.starts_with("prepared"), "{line}");
        }
    }
    assert!(images >= 4, "{images} images are arguments");
    // Nothing is fetched by a frontend of another's before the first instruction.
    assert!(!text.starts_with("# syntax"));
}
