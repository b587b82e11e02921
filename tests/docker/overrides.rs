//! `compose/` with its overrides: each is brought up, or at least accepted and looked at.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::docker::docker;
use crate::history::Past;
use crate::rollout::{block, type_in};
use crate::stack::{PASSWORD, SITE, SMALL, Stack, ask, get, inspect, prepare, volume, wait_for_log};
use crate::tls::{assert_served_with_our_certificate, make_certificate};
use crate::waiting::wait_for;

#[test]
fn the_readme_is_followed_word_by_word() {
    let stack = Stack::new("readme", &[]);
    let name = &stack.name;
    // What a person edits: apps that are reachable here, names and a port that are free.
    let literal = |words: &str| block("README.md", words).replace("frappe-sites", &format!("{name}-readme-sites"));
    let literal = |words: &str| literal(words).replace("frappe-logs", &format!("{name}-readme-logs"));
    let project = fs::read_to_string(stack.path(".env")).unwrap();
    let image = project.lines().find_map(|line| line.strip_prefix("IMAGE_NAME=")).unwrap().to_owned();
    fs::remove_file(stack.path(".env")).unwrap();
    type_in(&stack, &literal("configure")).ok();
    fs::write(stack.path("apps.json"), "[]").unwrap();
    type_in(&stack, &literal("passwords")).ok();
    let env = fs::read_to_string(stack.path(".env")).unwrap();
    let passwords = env.lines().filter_map(|line| line.split_once("PASSWORD="));
    let made_up = passwords.filter(|(name, value)| !name.starts_with('#') && value.len() == 24);
    assert_eq!(made_up.count(), 2, "{env}");
    stack.set("COMPOSE_PROJECT_NAME", name);
    stack.set("HTTP_PORT", "127.0.0.1:");
    stack.set("IMAGE_NAME", &image);
    stack.set("SITES_VOLUME", &format!("{name}-readme-sites"));
    stack.set("LOGS_VOLUME", &format!("{name}-readme-logs"));
    let tagged = literal("build").replace("frappe-prod-image", &image);
    let project = crate::docker::PROJECT;
    type_in(&stack, &tagged.trim_end().replace(" ..", &format!(" {project}"))).ok();
    type_in(&stack, &literal("volumes")).ok();
    let _volumes = Volumes([format!("{name}-readme-sites"), format!("{name}-readme-logs")]);
    type_in(&stack, &literal("up")).ok();
    let past = Past(volume(&format!("{name}-readme-sites")));
    wait_for(".ready_v1", || past.0.join(".ready_v1").exists().then_some(()));
    assert_eq!(stack.wait_until_answered_by(3).len(), 3);
    past.assert_all_done_once("v1");
    let logs = type_in(&stack, &literal("logs")).ok();
    assert!(logs.contains("LEADER") && logs.contains("FOLLOWER"), "{logs}");
    let status = type_in(&stack, &literal("status")).ok();
    assert!(status.contains("revision v1: ready"), "{status}");
    let address = stack.address("8080");
    let page = get(&address, "/assets/assets.json").unwrap();
    assert!(page.is(200) && page.body().contains("frappe.bundle.js"), "{page:?}");
    assert_knows_who_asks(&address);
    for worker in ["worker-short", "worker-long", "scheduler"] {
        wait_for_log(&stack.containers(worker)[0], "started");
    }
    // The engine has the limits.
    assert_eq!(
        inspect(&stack.containers("web")[0], "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}"),
        "2147483648 1000000000"
    );
    type_in(&stack, &literal("backup").replace("frappe-prod-image", &image)).ok();
    let saved = type_in(&stack, "tar -tzf sites.tar.gz").ok();
    assert!(saved.contains(&format!("./{SITE}/site_config.json\n")), "{saved}");
    type_in(&stack, &literal("scale")).ok();
    stack.wait_until_answered_by(5);
}

/// The websocket server knows whose session it is: it has asked the application, through nginx.
#[track_caller]
pub(crate) fn assert_knows_who_asks(address: &str) {
    let request = format!(
        "GET /socket.io/?EIO=4 HTTP/1.1\r\nHost: {SITE}:8080\r\nOrigin: http://{SITE}:8080\r\nCookie: sid=abc\r\nConnection: close\r\n\r\n"
    );
    let answer = wait_for("the websocket server", || ask(address, &request).filter(|answer| answer.is(200)));
    let body: Value = serde_json::from_str(answer.body()).unwrap();
    assert_eq!(body["user"], format!("owner of session abc of {SITE}"), "{answer:?}");
    assert_eq!(body["site"], SITE, "{answer:?}");
    assert!(!answer.0.contains("Access-Control-Allow-Origin"), "{answer:?}");
}

/// Volumes whose names are the page's, so to speak.
struct Volumes([String; 2]);

impl Drop for Volumes {
    fn drop(&mut self) {
        docker(&["ps", "--all", "--quiet", "--filter", &format!("volume={}", self.0[0])])
            .stdout
            .lines()
            .for_each(|id| drop(docker(&["rm", "--force", "--volumes", id])));
        self.0.iter().for_each(|name| drop(docker(&["volume", "rm", name])));
    }
}

#[test]
fn a_volume_of_root_is_told_with_the_command_that_repairs_it() {
    let stack = Stack::prepared("owner", &[]);
    for path in [stack.volume(), stack.volume().join(".stand-in")] {
        chown(path, Some(0), Some(0)).unwrap();
    }
    stack.up(&[&["--scale", "web=2"], &SMALL[..]].concat());
    let replica = &stack.containers("web")[0];
    wait_for_log(replica, "chown -R 1000:1000");
    wait_for("exit 77", || (inspect(replica, "{{.State.ExitCode}}") == "77").then_some(()));
    let logs = docker(&["logs", replica]).all();
    let repair = logs.lines().find_map(|line| line.find("docker run --rm").map(|at| &line[at..])).unwrap();
    let (repair, _) = repair.split_once(": ").unwrap();
    let volume = format!("{}-sites", stack.name);
    type_in(&stack, &repair.replace("VOLUME", &volume)).ok();
    // The engine starts them again by itself.
    stack.wait_until_ready("v1");
    stack.wait_until_answered_by(2);
    Past(stack.volume()).assert_all_done_once("v1");
}

#[test]
fn directories_secrets_https_and_read_only_roots_go_together() {
    let stack = Stack::new("together", &["bind", "secrets", "https", "readonly"]);
    let directory = |name: &str| stack.path(name).display().to_string();
    fs::set_permissions(stack.scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["sites", "logs", "secrets", "certs"] {
        fs::create_dir(directory(name)).unwrap();
        chown(directory(name), Some(1000), Some(1000)).unwrap();
    }
    prepare(&stack.path("sites"));
    for (name, path) in [("SITES_DIR", "sites"), ("LOGS_DIR", "logs"), ("SECRETS_DIR", "secrets"), ("TLS_DIR", "certs")]
    {
        stack.set(name, &directory(path));
    }
    for name in ["admin-password", "db-root-password"] {
        write_for_user(&stack.path("secrets").join(name), PASSWORD);
    }
    stack.set("ADMIN_PASSWORD", "");
    stack.set("DB_ROOT_PASSWORD", "");
    stack.set("HTTPS_PORT", "127.0.0.1:");
    make_certificate(&stack.path("certs"));
    stack.up(&[&["--scale", "web=2"], &SMALL[..], &["websocket"]].concat());
    let past = Past(stack.path("sites"));
    wait_for(".ready_v1", || past.0.join(".ready_v1").exists().then_some(()));
    past.assert_all_done_once("v1");
    assert!(!stack.volume().join(".bellwether").exists(), "the volume is not used");
    assert_served_with_our_certificate(&stack, "frontend", "compose.https.yaml");
    for container in [&stack.containers("web")[0], &stack.containers("frontend")[0]] {
        assert_hardened(container);
        let environment = inspect(container, "{{.Config.Env}}");
        assert!(!environment.contains(PASSWORD), "{environment}");
    }
}

/// Neither root nor a way to become it, and nothing to write to but what is meant for it.
#[track_caller]
fn assert_hardened(container: &str) {
    let exec = |script: &str| docker(&["exec", container, "sh", "-c", script]);
    let status = exec("cat /proc/1/status").ok();
    for line in ["Uid:\t1000\t1000", "NoNewPrivs:\t1", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    let said = exec("touch /home/frappe/frappe-bench/x");
    assert!(said.all().contains("Read-only file system"), "{}", said.all());
    exec("touch /tmp/x").ok();
    assert!(!exec("df --output=fstype /tmp").ok().contains("tmpfs"), "what is uploaded is in memory");
}

fn write_for_user(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o400)).unwrap();
    chown(path, Some(1000), Some(1000)).unwrap();
}

#[test]
fn postgres_takes_the_place_of_mariadb() {
    let stack = Stack::prepared("postgres", &["postgres"]);
    stack.up(&[&["--scale", "web=2"], &SMALL[..]].concat());
    stack.wait_until_ready("v1");
    stack.wait_until_answered_by(2);
    Past(stack.volume()).assert_all_done_once("v1");
    let config = fs::read_to_string(stack.volume().join(SITE).join("site_config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["db_type"], "postgres");
    let database = config["db_name"].as_str().unwrap();
    let environment = format!("PGPASSWORD={PASSWORD}");
    let psql = ["psql", "-h127.0.0.1", "-Upostgres", "-tc", "SELECT count(*) FROM \"__Auth\"", database];
    let rows = stack.compose(&[&["exec", "-T", "-e", &environment, "db"], &psql[..]].concat()).ok();
    assert_eq!(rows.trim(), "1", "Administrator is there");
}

/// What Compose makes of the files, as JSON, with this in `.env`.
fn config(overrides: &[&str], settings: &[(&str, &str)]) -> Value {
    let stack = Stack::new("config", overrides);
    for (variable, value) in settings {
        stack.set(variable, value);
    }
    let yaml = stack.compose(&["config"]).ok();
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))"]);
    python.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut python = python.spawn().unwrap();
    std::io::Write::write_all(&mut python.stdin.take().unwrap(), yaml.as_bytes()).unwrap();
    serde_json::from_slice(&python.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn every_service_has_limits_a_grace_period_and_a_policy() {
    let all = config(&[], &[]);
    let services = all["services"].as_object().unwrap();
    // Memory, how long a stop may take, and for how long failures of the healthcheck do not count.
    let table = [
        ("web", "2G", "60s", "6h"),
        ("worker-short", "1G", "360s", ""),
        ("worker-long", "1G", "1560s", ""),
        ("scheduler", "512M", "30s", ""),
        ("websocket", "512M", "15s", "6h"),
        ("frontend", "256M", "130s", "6h"),
        ("db", "2G", "120s", "2m"),
        ("redis-queue", "512M", "30s", ""),
        ("redis-cache", "512M", "10s", ""),
    ];
    assert_eq!(services.len(), table.len());
    for (name, memory, grace, start) in table {
        let service = &services[name];
        let said = |path: &str| service.pointer(path).and_then(Value::as_str).unwrap_or_default();
        assert_eq!(said("/deploy/resources/limits/memory"), memory, "{name}");
        assert_eq!(seconds(said("/stop_grace_period")), seconds(grace), "{name}");
        assert_eq!(seconds(said("/healthcheck/start_period")), seconds(start), "{name}");
        assert_eq!(said("/restart"), "unless-stopped", "{name}");
        let is_watched = said("/healthcheck/test/0").starts_with("CMD");
        assert_eq!(is_watched, !name.starts_with("worker") && name != "scheduler", "{name}");
        assert_eq!(service.get("ports").is_some(), name == "frontend", "{name}");
        assert!(service.get("depends_on").is_none(), "{name}");
        let is_ours = service["image"].as_str().unwrap().contains("stack");
        let leads = service["environment"]["IS_LEADER"] != "0";
        assert!(!is_ours || leads == (name == "web"), "{name}: {service}");
        // The plugin of today refuses a limit that is said in two ways.
        let old = ["pids_limit", "mem_limit", "cpus", "mem_reservation", "cpu_count"];
        assert!(old.iter().all(|key| service[*key].is_null()), "{name}: {service}");
        assert!(!is_ours || service["environment"]["BELLWETHER_ON_FAILURE"] == "hold", "{name}: {service}");
    }
    // nginx answers what is under way only if it is told by this.
    assert_eq!(services["frontend"]["stop_signal"], "SIGQUIT");
    // The lease and the jobs are nothing to make room with.
    for (name, policy, is_kept) in [("redis-queue", "noeviction", "yes"), ("redis-cache", "allkeys-lru", "no")] {
        let words: Vec<&str> = services[name]["command"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        for pair in [["--maxmemory-policy", policy], ["--appendonly", is_kept]] {
            assert!(words.windows(2).any(|words| words == pair), "{name}: {words:?}");
        }
    }
}

/// `6h` as Compose writes it, which is `6h0m0s` with some versions.
fn seconds(duration: &str) -> u32 {
    let seconds = |part: &str| {
        let (number, unit) = part.split_at(part.len() - 1);
        number.parse::<u32>().unwrap() * [("s", 1), ("m", 60), ("h", 3600)].iter().find(|it| it.0 == unit).unwrap().1
    };
    duration.split_inclusive(char::is_alphabetic).map(seconds).sum()
}

#[test]
fn no_password_is_there_unless_somebody_sets_it() {
    let stack = Stack::new("unset", &[]);
    stack.compose(&["config"]).ok();
    let all = fs::read_to_string(stack.path(".env")).unwrap();
    for password in ["ADMIN_PASSWORD", "DB_ROOT_PASSWORD"] {
        let others: Vec<&str> = all.lines().filter(|line| !line.starts_with(password)).collect();
        fs::write(stack.path(".env"), others.join("\n")).unwrap();
        let said = stack.compose(&["config"]);
        assert_ne!(said.code, Some(0), "{password} is made up");
        let words = said.all();
        assert!(words.contains(&format!("{password} is not set in .env")), "{password}: {words}");
    }
    fs::copy(stack.path(".env.example"), stack.path(".env")).unwrap();
    assert_ne!(stack.compose(&["config"]).code, Some(0), "the example sets none");
}

#[test]
fn the_ten_apps_have_a_list_an_order_and_limits() {
    let all = config(&["apps"], &[]);
    let web = &all["services"]["web"];
    let limits = |all: &Value, name: &str| {
        let limits = &all["services"][name]["deploy"]["resources"]["limits"];
        // Some versions write 2.0, some "2".
        ["cpus", "memory"].map(|what| limits[what].to_string().trim_matches('"').trim_end_matches(".0").to_owned())
    };
    assert_eq!([limits(&all, "web"), limits(&all, "db")], [["2", "4G"], ["1", "2G"]]);
    let own = [("WEB_CPUS", "1.5"), ("WEB_MEMORY", "3G"), ("DB_CPUS", "0.7"), ("DB_MEMORY", "5G")];
    let own = config(&["apps"], &own);
    assert_eq!([limits(&own, "web"), limits(&own, "db")], [["1.5", "3G"], ["0.7", "5G"]]);
    let list = Path::new(crate::docker::PROJECT).join("compose/apps.all.json.example");
    let list: Value = serde_json::from_str(&fs::read_to_string(list).unwrap()).unwrap();
    let names: Vec<&str> =
        list.as_array().unwrap().iter().map(|app| app["url"].as_str().unwrap().rsplit('/').next().unwrap()).collect();
    // With frappe, which is always there.
    assert_eq!(names.len() + 1, 10);
    assert_eq!(web["environment"]["APPS"], names.join(" "));
    assert!(list.as_array().unwrap().iter().all(|app| !app["branch"].as_str().unwrap().is_empty()));
}

#[test]
fn compose_builds_the_image_by_itself() {
    let stack = Stack::new("build", &[]);
    let image = format!("{}-built", stack.name);
    stack.set("IMAGE_NAME", &image);
    let directory = Path::new(crate::docker::PROJECT).join("compose");
    let env = stack.path(".env").display().to_string();
    crate::docker::docker_in(&directory, &["compose", "--env-file", &env, "-f", "compose.yaml", "build", "web"], [])
        .ok();
    let tag = format!("{image}:v1");
    let said = docker(&["run", "--rm", "--entrypoint", "env", &tag]).ok();
    docker(&["rmi", &tag]).ok();
    assert!(said.contains("IMAGE_REV=v1\n") && said.contains("BELLWETHER_PRESET=frappe\n"), "{said}");
}
