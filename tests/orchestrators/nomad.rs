//! The Nomad jobs: read by a parser of HCL, and held to what Nomad and Bellwether want.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::manifests::{Stack, list};
use crate::settings::{accepted, is_known};
use crate::timeouts::Times;
use crate::tools::{python, text};

const JOBS: [&str; 2] = ["examples/nomad/frappe.nomad.hcl", "examples/nomad/frappe-host-volumes.nomad.hcl"];

/// As JSON, without the quotes and the additions of the parser.
const READ: &str = "
import hcl2, json, sys
def plain(value):
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items() if key not in ('__is_block__', '__comments__')}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '\"':
        return value[1:-1]
    return value
json.dump(plain(hcl2.load(sys.stdin)), sys.stdout)
";

/// A block with a label, or all of them: the parser makes a list of `{label: body}`.
fn labelled(blocks: &Value) -> Vec<(&str, &Value)> {
    list(blocks)
        .iter()
        .flat_map(|block| block.as_object().unwrap())
        .map(|(label, body)| (label.as_str(), body))
        .collect()
}

/// The only block of that name.
#[track_caller]
fn only<'a>(body: &'a Value, name: &str) -> &'a Value {
    let blocks = list(&body[name]);
    assert_eq!(blocks.len(), 1, "{name} in {body}");
    &blocks[0]
}

/// `14m`, `10s` in seconds.
#[track_caller]
fn seconds(value: &Value) -> f64 {
    let text = value.as_str().unwrap();
    let (number, unit) = text.split_at(text.len() - 1);
    number.parse::<f64>().unwrap()
        * match unit {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            other => panic!("{other}"),
        }
}

fn job(file: &str) -> (Value, Value) {
    let document = python(&["-c", READ], &text(file));
    let (name, job) = labelled(&document["job"])[0];
    assert_eq!(name, "frappe", "{file}");
    (job.clone(), document)
}

/// Every task with the group it is in.
fn tasks(job: &Value) -> Vec<(&str, &Value, &Value)> {
    labelled(&job["group"])
        .into_iter()
        .flat_map(|(_, group)| labelled(&group["task"]).into_iter().map(move |(name, task)| (name, task, group)))
        .collect()
}

#[test]
fn the_jobs_have_all_groups_and_one_scheduler() {
    for file in JOBS {
        let (job, document) = job(file);
        let counts: BTreeMap<&str, i64> =
            labelled(&job["group"]).into_iter().map(|(name, group)| (name, group["count"].as_i64().unwrap())).collect();
        assert_eq!(counts, BTreeMap::from([("frontend", 2), ("scheduler", 1), ("web", 3), ("workers", 2)]), "{file}");
        // A revision without a default: whoever runs the job has to say it.
        let (_, rev) = labelled(&document["variable"]).into_iter().find(|(name, _)| *name == "rev").unwrap();
        assert!(rev["default"].is_null());
        let scheduler = labelled(&job["group"]).into_iter().find(|(name, _)| *name == "scheduler").unwrap().1;
        assert_eq!(only(scheduler, "update")["canary"], 0);
    }
}

#[test]
fn every_task_keeps_the_entrypoint_and_is_locked_up() {
    for file in JOBS {
        let (job, _) = job(file);
        let mut services = Vec::new();
        for (name, task, _) in tasks(&job) {
            let config = only(task, "config");
            assert_eq!(config["image"], "${var.image}:${var.rev}", "{file}: {name}");
            assert!(config["command"].is_null() && config["entrypoint"].is_null(), "{file}: {name}");
            assert_eq!(config["args"][0], "frappe-service", "{file}: {name}");
            services.push(config["args"][1].as_str().unwrap().to_owned());
            assert_eq!((&config["readonly_rootfs"], &task["user"]), (&json!(true), &json!("1000")), "{file}: {name}");
            assert_eq!(
                (&config["cap_drop"][0], &config["security_opt"][0]),
                (&json!("all"), &json!("no-new-privileges"))
            );
            let least = match name {
                "web" => 45.0,
                "worker-short" => 360.0,
                "worker-long" => 1560.0,
                "nginx" => 120.0,
                _ => 10.0,
            };
            assert!(seconds(&task["kill_timeout"]) > least, "{file}: {name}");
            // TERM, which is the default, would cut off what nginx is sending.
            let signal = (name == "nginx").then_some("SIGQUIT");
            assert_eq!(task["kill_signal"].as_str(), signal, "{file}: {name}");
        }
        services.sort();
        assert_eq!(services, ["nginx", "scheduler", "web", "websocket", "worker-long", "worker-short"], "{file}");
    }
}

#[test]
fn each_kind_of_volume_is_mounted_in_every_task() {
    const SITES: &str = "/home/frappe/frappe-bench/sites";
    for (file, is_host) in JOBS.into_iter().zip([false, true]) {
        let (job, _) = job(file);
        for (name, task, group) in tasks(&job) {
            let of_docker = list(&only(task, "config")["mount"]).iter().filter(|mount| mount["target"] == SITES);
            assert_eq!(
                of_docker.filter(|mount| mount["type"] == "volume").count(),
                usize::from(!is_host),
                "{file}: {name}"
            );
            assert_eq!(list(&group["volume"]).len(), usize::from(is_host), "{file}: {name}");
            if is_host {
                let (label, volume) = labelled(&group["volume"])[0];
                let mount = only(task, "volume_mount");
                assert_eq!((&mount["volume"], &mount["destination"]), (&json!(label), &json!(SITES)), "{file}: {name}");
                assert_eq!(volume["type"], "host");
            }
        }
    }
}

#[test]
fn the_two_jobs_differ_in_their_volumes_only() {
    let [docker, host] = JOBS.map(|file| {
        let (mut job, mut document) = job(file);
        for group in job["group"].as_array_mut().unwrap() {
            let group = group.as_object_mut().unwrap().values_mut().next().unwrap().as_object_mut().unwrap();
            group.remove("volume");
            for task in group["task"].as_array_mut().unwrap() {
                let task = task.as_object_mut().unwrap().values_mut().next().unwrap().as_object_mut().unwrap();
                task.remove("volume_mount");
                let mounts = task["config"][0]["mount"].as_array_mut().unwrap();
                mounts.retain(|mount| mount["source"] != "frappe-sites");
            }
        }
        document["job"] = job;
        document
    });
    assert_eq!(docker, host);
}

#[test]
fn its_settings_exist_and_are_accepted_and_only_web_leads() {
    for file in JOBS {
        let (job, document) = job(file);
        for (name, task, _) in tasks(&job) {
            let environment = only(task, "env").as_object().unwrap();
            let unknown: Vec<&String> = environment.keys().filter(|name| !is_known(name)).collect();
            assert_eq!(unknown, Vec::<&String>::new(), "{file}: {name}");
            let settings = accepted(&resolved(environment, &document));
            assert_eq!(settings.may_lead, name == "web", "{file}: {name}");
            assert!(settings.redis.is_some());
        }
        let (_, web, _) = tasks(&job).into_iter().find(|(name, ..)| *name == "web").unwrap();
        assert_secrets_are_files(web);
    }
}

/// With the values of `locals`.
fn resolved(environment: &Map<String, Value>, document: &Value) -> BTreeMap<String, String> {
    let value = |text: &str| match text.trim_start_matches("${").trim_end_matches('}').strip_prefix("local.") {
        Some(name) => only(document, "locals")[name].as_str().unwrap_or_else(|| panic!("no local {name}")).to_owned(),
        None => text.to_owned(),
    };
    environment.iter().map(|(name, text)| (name.clone(), value(text.as_str().unwrap()))).collect()
}

fn assert_secrets_are_files(web: &Value) {
    let templates = list(&web["template"]);
    for (variable, file) in [("ADMIN_PASSWORD_FILE", "admin-password"), ("DB_ROOT_PASSWORD_FILE", "db-root-password")] {
        assert_eq!(only(web, "env")[variable], format!("${{NOMAD_SECRETS_DIR}}/{file}"));
        let template = templates.iter().find(|template| template["destination"] == format!("secrets/{file}")).unwrap();
        assert_eq!((&template["perms"], &template["uid"]), (&json!("0400"), &json!(1000)));
        assert!(template["env"].is_null() || template["env"] == false, "{template}");
    }
}

#[test]
fn its_deadlines_are_in_order() {
    for file in JOBS {
        let (job, _) = job(file);
        let update = only(&job, "update");
        let [healthy, progress] = ["healthy_deadline", "progress_deadline"].map(|name| seconds(&update[name]));
        // The same settings as the manifests for Kubernetes, so the same worst case.
        let stack = Stack::named("production");
        let kubernetes = stack.settings();
        let (_, web, _) = tasks(&job).into_iter().find(|(name, ..)| *name == "web").unwrap();
        let environment = only(web, "env");
        for name in ["BELLWETHER_NEEDS_WAIT_SECS", "STEP_TIMEOUT_SECS", "STEP_MAX_ATTEMPTS", "STEP_STALE_SECS"] {
            assert_eq!(environment[name], kubernetes[name], "{file}");
        }
        let times = Times::of(stack, stack.replicas().find(|workload| workload.name() == "web").unwrap());
        assert!(times.own < healthy && healthy < progress, "{file}: {times:?}");
        assert_eq!(update["auto_revert"], false);
    }
}
