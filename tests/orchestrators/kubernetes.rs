//! What holds for every overlay.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::manifests::{DIRECTORY, STACKS, Stack, Workload, check, list, number};
use crate::tools::text;

#[test]
fn every_document_is_one_of_the_api() {
    // Rendering checks each.
    let names: Vec<&str> = STACKS.iter().map(|stack| stack.overlay.as_str()).collect();
    assert_eq!(names, ["exec-readiness", "file-readiness", "maintenance-is-ready", "production", "test"]);
    for stack in &*STACKS {
        assert!(stack.documents.len() >= 15, "{}: {}", stack.overlay, stack.documents.len());
    }
}

#[test]
fn a_key_that_the_api_does_not_know_is_a_mistake() {
    let disruption = text("examples/kubernetes/base/disruption.yaml");
    assert_eq!(check(&disruption).1, Vec::<String>::new());
    let (_, mistakes) = check(&disruption.replacen("maxUnavailable", "maxUnavailible", 1));
    assert_eq!(mistakes.len(), 2, "one for each version: {mistakes:?}");
}

#[test]
fn the_readme_shows_what_the_api_takes() {
    let readme = text("README.md");
    let (_, block) = readme.split_once("```yaml kubernetes\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let indented = block.lines().map(|line| ["  ", line, "\n"].concat()).collect::<Vec<_>>().concat();
    let pod = format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec:\n{indented}");
    let (documents, mistakes) = check(&pod);
    assert_eq!(mistakes, Vec::<String>::new());
    let container = &documents[0]["spec"]["containers"][0];
    assert_eq!(container["startupProbe"]["exec"]["command"], json!(["bellwether", "ready"]));
    assert!(container["args"].is_array() && container["command"].is_null());
}

#[test]
fn the_image_and_its_revision_are_said_once() {
    for stack in &*STACKS {
        let images: Vec<&str> = stack.replicas().map(Workload::image).collect();
        assert_eq!(images.len(), 6, "{images:?}");
        assert!(images.iter().all(|image| *image == images[0]), "{images:?}");
        let (_, tag) = images[0].rsplit_once(':').unwrap();
        assert!(!stack.settings().to_string().contains("IMAGE_REV"));
        for workload in stack.replicas() {
            assert!(workload.environment().iter().all(|(name, _)| *name != "IMAGE_REV"), "{}", workload.name());
            // The entrypoint is the image's.
            assert!(workload.container()["command"].is_null(), "{}", workload.name());
            assert_eq!(workload.container()["args"][0], "frappe-service", "{}", workload.name());
        }
        // Nothing else in the overlay's directory names it.
        let own = text(&format!("{DIRECTORY}/overlays/production/kustomization.yaml"));
        assert!(stack.overlay == "test" || own.matches(&format!("newTag: {tag}")).count() == 1, "{tag}");
    }
    // The image brings its revision along.
    assert!(text("Dockerfile").contains("ENV IMAGE_REV=$IMAGE_REV BELLWETHER_PRESET=frappe"));
}

#[test]
fn only_web_leads_and_there_is_one_scheduler() {
    for stack in &*STACKS {
        for workload in stack.replicas() {
            let environment = workload.environment();
            let follows = environment.contains(&("IS_LEADER", "0"));
            assert_eq!(follows, workload.name() != "web", "{}", workload.name());
            // Whoever cannot say anything new waits for the repair; web ends, so that Kubernetes shows why.
            assert_eq!(environment.contains(&("BELLWETHER_ON_FAILURE", "hold")), follows, "{}", workload.name());
            assert_eq!(workload.container()["startupProbe"]["exec"]["command"], json!(["bellwether", "ready"]));
        }
        let scheduler = stack.one("Deployment", "scheduler");
        assert_eq!(scheduler["spec"]["replicas"], 1);
        assert_eq!(scheduler["spec"]["strategy"]["type"], "Recreate");
        let web = stack.one("Deployment", "web");
        assert!(number(&web["spec"]["replicas"]) >= 3.0);
        let rolling = &web["spec"]["strategy"]["rollingUpdate"];
        // 0: pods in maintenance, which are not ready, are kept until new ones serve.
        assert_eq!((&rolling["maxUnavailable"], &rolling["maxSurge"]), (&json!(0), &json!(1)));
    }
}

#[test]
fn pods_are_locked_up() {
    for stack in &*STACKS {
        for workload in stack.workloads() {
            let (name, pod, container) = (workload.name(), workload.pod(), workload.container());
            assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
            let security = &pod["securityContext"];
            assert_eq!(security["runAsNonRoot"], true, "{name}");
            assert_eq!(security["fsGroupChangePolicy"], "OnRootMismatch", "{name}");
            assert_eq!(security["seccompProfile"], json!({"type": "RuntimeDefault"}), "{name}");
            assert_eq!(
                container["securityContext"],
                json!({
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                }),
                "{name}"
            );
            let limits = &container["resources"];
            assert!(limits["requests"]["memory"].is_string() && limits["limits"]["memory"].is_string(), "{name}");
            let mounted: Vec<&Value> = list(&container["volumeMounts"]).iter().map(|mount| &mount["name"]).collect();
            for volume in list(&pod["volumes"]) {
                assert!(mounted.contains(&&volume["name"]), "{name}: {volume} is not mounted");
            }
        }
        for workload in stack.replicas() {
            assert_eq!(workload.pod()["securityContext"]["fsGroup"], 1000, "{}", workload.name());
        }
    }
}

#[test]
fn what_refers_to_something_finds_it() {
    for stack in &*STACKS {
        let labels = |workload: &Value| workload["spec"]["template"]["metadata"]["labels"].clone();
        let selected = |selector: &Value| {
            let matches = |own: &Value| selector.as_object().unwrap().iter().all(|(key, value)| own[key] == *value);
            stack.workloads().filter(|workload| matches(&labels(workload.document))).count()
        };
        for service in stack.all("Service") {
            assert_eq!(selected(&service["spec"]["selector"]), 1, "{service}");
        }
        for disruption in stack.all("PodDisruptionBudget") {
            assert_eq!(selected(&disruption["spec"]["selector"]["matchLabels"]), 1, "{disruption}");
            assert_eq!(disruption["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow");
            // 0 would hold up every drain for good, more would take what serves.
            assert_eq!(disruption["spec"]["maxUnavailable"], 1, "{disruption}");
        }
        let ingress = &stack.one("Ingress", "frontend")["spec"];
        let backend = &ingress["rules"][0]["http"]["paths"][0]["backend"]["service"];
        let service = stack.one("Service", backend["name"].as_str().unwrap());
        assert_eq!(service["spec"]["ports"][0]["name"], backend["port"]["name"]);
        // The site has one name.
        let site = &stack.settings()["SITE"];
        assert_eq!(ingress["rules"][0]["host"], *site);
        assert!(list(&ingress["tls"]).iter().all(|tls| tls["hosts"][0] == *site));
        assert_eq!(stack.one("PersistentVolumeClaim", "sites")["spec"]["accessModes"], json!(["ReadWriteMany"]));
    }
}

#[test]
fn a_service_sends_to_the_port_that_its_container_listens_at() {
    // What each program listens at by itself: nothing in the manifests tells it.
    let listens = BTreeMap::from([
        ("db", &[3306][..]),
        ("frontend", &[8080, 8081]),
        ("redis-cache", &[6379][..]),
        ("redis-queue", &[6379][..]),
        ("web", &[8000][..]),
        ("websocket", &[9000][..]),
    ]);
    for stack in &*STACKS {
        let mut seen = Vec::new();
        for service in stack.all("Service") {
            let name = service["metadata"]["name"].as_str().unwrap();
            let workload = stack.workloads().find(|workload| workload.name() == name).unwrap();
            let (ports, own) = (list(&service["spec"]["ports"]), list(&workload.container()["ports"]));
            assert_eq!((ports.len(), own.len()), (listens[name].len(), listens[name].len()), "{service}");
            for ((port, container), listens) in ports.iter().zip(own).zip(listens[name]) {
                assert_eq!((&container["containerPort"], &port["port"]), (&json!(listens), &json!(listens)));
                assert_eq!(port["targetPort"], container["name"], "{}: {name}", stack.overlay);
            }
            seen.push(name);
        }
        let has_data = stack.overlay == "test";
        assert_eq!(seen.len(), if has_data { listens.len() } else { 3 }, "{}: {seen:?}", stack.overlay);
    }
}

#[test]
fn nginx_is_told_to_quit_once_nobody_sends_it_anything_new() {
    for stack in &*STACKS {
        for workload in stack.replicas() {
            let hook = match workload.name() {
                // TERM, which follows, would cut off what nginx is sending.
                "frontend" => json!(["sh", "-c", "sleep 5; kill -QUIT 1; sleep 130"]),
                "web" | "websocket" => json!(["sleep", "5"]),
                _ => Value::Null,
            };
            let own = &workload.container()["lifecycle"]["preStop"]["exec"]["command"];
            assert_eq!(*own, hook, "{}: {}", stack.overlay, workload.name());
        }
    }
}

#[test]
fn addresses_are_whole_names_of_services_that_are_there() {
    for stack in &*STACKS {
        for key in ["BACKEND", "SOCKETIO", "SOCKETIO_CALLBACK", "REDIS_QUEUE", "REDIS_CACHE", "DB_HOST"] {
            let address = stack.settings()[key].as_str().unwrap();
            let (host, port) = address.split_once(':').unwrap_or((address, "3306"));
            let words: Vec<&str> = host.split('.').collect();
            let [service, namespace, "svc", "cluster", "local"] = words[..] else { panic!("{key}: {address}") };
            if namespace == "frappe" {
                let ports = &stack.one("Service", service)["spec"]["ports"];
                let port: u16 = port.parse().unwrap();
                assert!(list(ports).iter().any(|known| known["port"] == port), "{key}: {ports}");
            } else {
                // Somebody else's, in production.
                assert!(stack.overlay != "test" && !stack.has("Service", service), "{key}: {address}");
            }
        }
    }
}

#[test]
fn readiness_is_asked_in_four_ways() {
    let probe = |overlay| {
        let stack = Stack::named(overlay);
        let web = stack.workloads().find(|workload| workload.name() == "web").unwrap();
        (&web.container()["readinessProbe"], stack.settings()["SITE"].as_str().unwrap())
    };
    for overlay in ["test", "production"] {
        let (probe, site) = probe(overlay);
        assert_eq!(probe["httpGet"]["path"], "/api/method/ping");
        assert_eq!(probe["httpGet"]["httpHeaders"], json!([{"name": "Host", "value": site}]));
        assert!(probe["exec"].is_null());
    }
    let command = |overlay| {
        let (probe, _) = probe(overlay);
        assert!(probe["httpGet"].is_null(), "{probe}");
        probe["exec"]["command"].clone()
    };
    assert_eq!(command("exec-readiness"), json!(["bellwether", "ready"]));
    assert_eq!(command("maintenance-is-ready"), json!(["frappe-health"]));
    let file = command("file-readiness");
    assert_eq!((&file[0], &file[1]), (&json!("sh"), &json!("-c")));
    file_probe_latches(file[2].as_str().unwrap());
}

/// Plays the probe: not before the marker is there, then for good, whatever becomes of the volume, and for this revision only.
fn file_probe_latches(script: &str) {
    let scratch = tempfile::TempDir::new().unwrap();
    let path = |name: &str| scratch.path().join(name).display().to_string();
    let script = script.replace("/tmp/", &path("tmp/")).replace("/home/frappe/frappe-bench/sites", &path("sites"));
    std::fs::create_dir_all(path("sites")).unwrap();
    std::fs::create_dir_all(path("tmp")).unwrap();
    let is_ready = |rev: &str| {
        std::process::Command::new("sh").args(["-c", &script]).env("IMAGE_REV", rev).status().unwrap().success()
    };
    std::fs::write(path("sites/.ready_v1"), "").unwrap();
    assert!(!is_ready("v2"));
    std::fs::write(path("sites/.ready_v2"), "").unwrap();
    assert!(is_ready("v2"));
    std::fs::remove_dir_all(path("sites")).unwrap();
    assert!(is_ready("v2"));
    assert!(!is_ready("v1"));
}
