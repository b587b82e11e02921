//! What the manifests set: names that exist, values that are accepted, and no secret where others can read it.

use std::collections::BTreeMap;
use std::path::Path;

use bellwether::frappe::{FRAPPE_SETTINGS, Frappe};
use bellwether::settings::{Overlay, SETTINGS, Settings};
use bellwether::{Env, Presets, Problem};
use tempfile::TempDir;

use crate::manifests::{STACKS, Stack, Workload, list};

/// What `frappe-service nginx` reads.
const OF_NGINX: [&str; 5] =
    ["BACKEND", "SOCKETIO", "SOCKETIO_CALLBACK", "UPSTREAM_REAL_IP_ADDRESS", "UPSTREAM_REAL_IP_HEADER"];

/// Whether Bellwether or what it starts knows this variable.
pub(crate) fn is_known(name: &str) -> bool {
    let ours = SETTINGS.iter().chain(FRAPPE_SETTINGS).any(|setting| {
        let mut names = std::iter::once(setting.variable).chain(setting.aliases.iter().copied());
        names.any(|known| known == name || setting.file && name.strip_suffix("_FILE") == Some(known))
    });
    ours || OF_NGINX.contains(&name)
}

/// A replica's settings as Bellwether reads them: its variables on top of those that its image brings.
#[track_caller]
pub(crate) fn accepted(variables: &BTreeMap<String, String>) -> Settings {
    let scratch = TempDir::new().unwrap();
    let path = |name: &str| scratch.path().join(name).display().to_string();
    std::fs::create_dir_all(path("bench/env/bin")).unwrap();
    for name in ["bench/env/bin/python", "secret"] {
        std::fs::write(path(name), "s3cret-of-a-test").unwrap();
    }
    let real = |(name, value): (&String, &String)| {
        let value = if name.ends_with("_FILE") { path("secret") } else { value.clone() };
        (name.clone(), value)
    };
    let image = [
        ("IMAGE_REV", "v1".to_owned()),
        ("BELLWETHER_PRESET", "frappe".to_owned()),
        ("SITES_DIR", path("bench/sites")),
    ];
    let env: Env =
        image.map(|(name, value)| (name.to_owned(), value)).into_iter().chain(variables.iter().map(real)).collect();
    let checked = Settings::from(&env, &Overlay::new(), Presets(&[&Frappe]));
    let (settings, notices) = checked.map_err(|problems| Problem::render(&problems)).unwrap();
    assert_eq!(notices.iter().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
    settings
}

/// All variables of a replica, with those of its `ConfigMap`.
pub(crate) fn variables(stack: &Stack, workload: Workload<'_>) -> BTreeMap<String, String> {
    let map = stack.settings().as_object().unwrap();
    let from = &workload.container()["envFrom"][0]["configMapRef"]["name"];
    assert!(stack.has("ConfigMap", from.as_str().unwrap()), "{from}");
    let shared = map.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
    let own = workload.environment().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    shared.chain(own).collect()
}

#[test]
fn every_setting_exists() {
    for stack in &*STACKS {
        for workload in stack.replicas() {
            let unknown: Vec<String> = variables(stack, workload).into_keys().filter(|name| !is_known(name)).collect();
            assert_eq!(unknown, Vec::<String>::new(), "{}: {}", stack.overlay, workload.name());
        }
    }
}

#[test]
fn every_replica_accepts_what_it_is_told() {
    for stack in &*STACKS {
        for workload in stack.replicas() {
            let settings = accepted(&variables(stack, workload));
            assert_eq!(settings.may_lead, workload.name() == "web", "{}", workload.name());
            assert!(settings.redis.is_some(), "{}", workload.name());
            assert_eq!(settings.plan.plan.len(), 5);
        }
    }
}

#[test]
fn secrets_are_files_for_their_user_alone() {
    for stack in &*STACKS {
        for workload in stack.workloads() {
            let name = workload.name();
            let text = workload.document.to_string();
            assert!(
                !text.contains("secretKeyRef") && !text.contains("secretRef"),
                "{name}: a secret in the environment"
            );
            for (variable, value) in workload.environment() {
                let sounds_secret = ["PASS", "SECRET", "TOKEN", "KEY"].iter().any(|word| variable.contains(word));
                assert_eq!(sounds_secret, variable.ends_with("_FILE"), "{name}: {variable}");
                if variable.ends_with("_FILE") {
                    assert_file_is_of_a_secret(workload, Path::new(value));
                }
            }
            for volume in list(&workload.pod()["volumes"]).iter().filter(|volume| !volume["secret"].is_null()) {
                let secret = &volume["secret"];
                assert_eq!(secret["defaultMode"], 0o440, "{name}");
                // The test overlay makes its own, production has it made by hand.
                let is_made = stack.has("Secret", secret["secretName"].as_str().unwrap());
                assert_eq!(is_made, stack.overlay == "test", "{name}");
            }
        }
    }
}

#[track_caller]
fn assert_file_is_of_a_secret(workload: Workload<'_>, file: &Path) {
    let mounts = list(&workload.container()["volumeMounts"]);
    let mount =
        mounts.iter().find(|mount| Some(mount["mountPath"].as_str().unwrap()) == file.parent().unwrap().to_str());
    let mount = mount.unwrap_or_else(|| panic!("{}: nothing is mounted for {}", workload.name(), file.display()));
    assert_eq!(mount["readOnly"], true);
    let volumes = list(&workload.pod()["volumes"]);
    let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
    let items = list(&volume["secret"]["items"]);
    assert!(
        items.iter().any(|item| item["path"].as_str() == file.file_name().unwrap().to_str()),
        "{}: {volume}",
        file.display()
    );
}
