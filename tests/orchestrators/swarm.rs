//! The stack for Swarm: read by docker-compose, which Debian has, and held to what Swarm and Bellwether want.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use crate::manifests::{Stack, list};
use crate::settings::{accepted, is_known};
use crate::timeouts::Times;
use crate::tools::{project, python, run, text};

const DIRECTORY: &str = "examples/swarm";

/// Debian's, by its path.
const COMPOSE: &str = "/usr/bin/docker-compose";

/// Its replicas, and who of them leads.
const REPLICAS: [&str; 6] = ["frontend", "scheduler", "web", "websocket", "worker-long", "worker-short"];

/// With its anchors and merges resolved.
fn stack() -> Value {
    let read = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)";
    python(&["-c", read], &text("examples/swarm/stack.yaml"))
}

fn environment(service: &Value) -> BTreeMap<String, String> {
    // `${NAME:-default}` as its default.
    let value = |text: &str| match text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
        Some(variable) => variable.split_once(":-").unwrap().1.to_owned(),
        None => text.to_owned(),
    };
    let variables = service["environment"].as_object().unwrap();
    variables.iter().map(|(name, text)| (name.clone(), value(text.as_str().unwrap()))).collect()
}

#[test]
fn compose_reads_it() {
    let path = project().join(DIRECTORY).join("stack.yaml");
    let mut compose = Command::new(COMPOSE);
    let said = run(compose.arg("--file").arg(&path).args(["config", "--services"]).env("IMAGE_REV", "v42"), "");
    let mut services: Vec<&str> = said.lines().collect();
    services.sort_unstable();
    let all = [
        "db",
        "frontend",
        "redis-cache",
        "redis-queue",
        "scheduler",
        "web",
        "websocket",
        "worker-long",
        "worker-short",
    ];
    assert_eq!(services, all);
    // Without a revision it is refused.
    let mut compose = Command::new(COMPOSE);
    let output = compose.arg("--file").arg(&path).arg("config").env_remove("IMAGE_REV").output().unwrap();
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("set it to the revision"));
}

#[test]
fn the_revision_is_the_images_tag_and_said_nowhere_else() {
    let stack = stack();
    for name in REPLICAS {
        let service = &stack["services"][name];
        assert_eq!(service["image"], "${IMAGE_NAME:-frappe-prod-image}:${IMAGE_REV:?set it to the revision}", "{name}");
        assert!(service["entrypoint"].is_null() && service["environment"]["IMAGE_REV"].is_null(), "{name}");
        assert_eq!((&service["read_only"], &service["cap_drop"]), (&json!(true), &json!(["ALL"])), "{name}");
        assert_eq!(service["volumes"][0], "sites:/home/frappe/frappe-bench/sites", "{name}");
        // Uploads are on disk until they are complete.
        let kind = if name == "frontend" { "volume" } else { "tmpfs" };
        assert_eq!(service["volumes"][1], json!({"type": kind, "target": "/tmp"}), "{name}");
        assert_eq!(service["volumes"][2], "logs:/home/frappe/frappe-bench/logs", "{name}");
    }
    for (name, service) in stack["services"].as_object().unwrap() {
        // What `docker stack deploy` passes over.
        for key in ["tmpfs", "security_opt", "restart", "depends_on", "container_name", "build"] {
            assert!(service[key].is_null(), "{name}: {key}");
        }
    }
}

#[test]
fn a_failing_update_pauses_and_nothing_is_killed_while_it_waits() {
    let stack = stack();
    let kubernetes = Stack::named("production");
    let web = kubernetes.replicas().find(|workload| workload.name() == "web").unwrap();
    let own = Times::of(kubernetes, web).own;
    for name in REPLICAS {
        let service = &stack["services"][name];
        let deploy = &service["deploy"];
        assert_eq!(deploy["update_config"]["failure_action"], "pause", "{name}");
        let order = if name == "scheduler" { "stop-first" } else { "start-first" };
        assert_eq!(deploy["update_config"]["order"], order, "{name}");
        assert_eq!(deploy["restart_policy"]["condition"], "any", "{name}");
        let health = &service["healthcheck"];
        if health["disable"] == true {
            assert!(["scheduler", "worker-long", "worker-short"].contains(&name), "{name}");
        } else {
            let start = seconds(health["start_period"].as_str().unwrap());
            assert!(start > own, "{name}: {start} s, and Bellwether's own deadlines take {own} s");
        }
        let least = match name {
            "web" => 45.0,
            "worker-short" => 360.0,
            "worker-long" => 1560.0,
            "frontend" => 120.0,
            _ => 10.0,
        };
        assert!(seconds(service["stop_grace_period"].as_str().unwrap()) > least, "{name}");
    }
    for (name, service) in stack["services"].as_object().unwrap() {
        // TERM, which is the default, would cut off what nginx is sending.
        let signal = (name == "frontend").then_some("SIGQUIT");
        assert_eq!(service["stop_signal"].as_str(), signal, "{name}");
        // Behind one address nginx would not see whom it has asked; what is published needs one.
        let mode = (name != "frontend").then_some("dnsrr");
        assert_eq!(service["deploy"]["endpoint_mode"].as_str(), mode, "{name}");
        assert_eq!(service["ports"].is_null(), name != "frontend", "{name}");
    }
    assert_eq!(stack["services"]["web"]["deploy"]["replicas"], 3);
    assert_eq!(stack["services"]["scheduler"]["deploy"]["replicas"], 1);
}

/// `13h30m`, `60s` in seconds.
#[track_caller]
fn seconds(text: &str) -> f64 {
    let mut sum = 0.0;
    let mut number = String::new();
    for letter in text.chars() {
        let unit = match letter {
            'h' => 3600.0,
            'm' => 60.0,
            's' => 1.0,
            digit => {
                number.push(digit);
                continue;
            }
        };
        sum += number.parse::<f64>().unwrap() * unit;
        number.clear();
    }
    assert!(number.is_empty(), "{text}");
    sum
}

#[test]
fn the_queues_redis_never_throws_a_key_away_and_the_caches_does() {
    let stack = stack();
    for (name, policy) in [("redis-queue", "noeviction"), ("redis-cache", "allkeys-lru")] {
        assert_eq!(policy_of(&stack["services"][name]["command"]), policy, "{name}");
    }
    let kubernetes = Stack::named("test");
    for (name, policy) in [("redis-queue", "noeviction"), ("redis-cache", "allkeys-lru")] {
        let workload = kubernetes.workloads().find(|workload| workload.name() == name).unwrap();
        assert_eq!(policy_of(&workload.container()["args"]), policy, "{name}");
    }
}

/// What a Redis does when its memory is full, by its command line.
#[track_caller]
fn policy_of(command: &Value) -> &str {
    let mut words = list(command).iter().filter_map(Value::as_str).skip_while(|word| *word != "--maxmemory-policy");
    words.nth(1).unwrap_or_else(|| panic!("{command}"))
}

#[test]
fn its_settings_exist_and_are_accepted_and_only_web_leads() {
    let stack = stack();
    for name in REPLICAS {
        let variables = environment(&stack["services"][name]);
        let unknown: Vec<&String> = variables.keys().filter(|name| !is_known(name)).collect();
        assert_eq!(unknown, Vec::<&String>::new(), "{name}");
        assert_eq!(accepted(&variables).may_lead, name == "web", "{name}");
        assert_eq!(
            variables.get("BELLWETHER_ON_FAILURE").map(String::as_str),
            (name != "web").then_some("hold"),
            "{name}"
        );
    }
}

#[test]
fn secrets_are_files_for_their_user_alone() {
    let stack = stack();
    let web = &stack["services"]["web"];
    for secret in list(&web["secrets"]) {
        let source = secret["source"].as_str().unwrap();
        assert_eq!(stack["secrets"][source], json!({"external": true}));
        assert_eq!((&secret["uid"], &secret["mode"]), (&json!("1000"), &json!(0o400)));
        let path = format!("/run/secrets/{source}");
        let named =
            environment(web).into_iter().filter(|(name, value)| name.ends_with("_FILE") && *value == path).count();
        assert_eq!(named, 1, "{source}");
    }
    for (name, service) in stack["services"].as_object().unwrap() {
        let variables = service["environment"].as_object();
        let plain = variables
            .into_iter()
            .flat_map(|all| all.keys())
            .filter(|key| key.contains("PASS") && !key.ends_with("_FILE"));
        assert_eq!(plain.count(), 0, "{name}: a secret in the environment");
    }
}
