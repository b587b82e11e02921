//! Replicas of the image `frappe`: as they boot and serve with no more rights than they need, what Docker thinks of their health,
//! and the codes they end with.

use serde_json::Value;

use crate::backing::{Backing, SITE, SITES, Volume, inspect};
use crate::docker::{Container, Said, build, docker};
use crate::waiting::wait_for;

/// A replica of `image`: its options beside the settings, and its command.
fn replica(backing: &Backing, options: &[&str], image: &str, command: &[&str]) -> Container {
    let settings = backing.settings();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    Container::start("replica", &[&settings, options, &[image], command].concat())
}

fn run(options: &[&str], image: &str, command: &[&str]) -> Said {
    docker(&[&["run", "--rm"], options, &[image], command].concat())
}

fn state(container: &Container) -> Value {
    serde_json::from_str(&inspect(&container.name, "{{json .State}}")).unwrap()
}

fn wait_until_healthy(container: &Container) {
    wait_for("a healthy replica", || {
        let state = state(container);
        assert_eq!(state["Running"], true, "{}", container.logs());
        (state["Health"]["Status"] == "healthy").then_some(())
    });
}

/// Short times, so that a test sees soon what a day shows.
const OFTEN: [&str; 2] = ["--health-interval=1s", "--health-retries=2"];

#[test]
fn it_boots_and_serves_with_nothing_but_the_volume_to_write_to() {
    let image = build("frappe", &["--build-arg=IMAGE_REV=v1"]);
    let backing = Backing::start();
    let strict = ["--read-only", "--tmpfs=/tmp", "--security-opt=no-new-privileges", "--cap-drop=ALL"];
    let web = replica(&backing, &[&strict[..], &OFTEN].concat(), &image, &[]);
    wait_until_healthy(&web);
    let ping = ["curl", "--silent", "--header", &format!("Host: {SITE}"), "http://127.0.0.1:8000/api/method/ping"];
    let answer = web.exec(&ping).ok();
    assert!(answer.contains("pong") && answer.contains(r#""rev": "v1""#), "{answer}");

    let of_main = web.exec(&["cat", "/proc/1/status"]).ok();
    for line in ["Uid:\t1000\t1000\t1000\t1000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"] {
        assert!(of_main.contains(line), "{line:?} in {of_main}");
    }
    let written = web.exec(&["find", "/home/frappe/frappe-bench/sites", "!", "-user", "frappe"]).ok();
    assert_eq!(written, "");
    assert_ne!(web.exec(&["touch", "/home/frappe/here"]).code, Some(0), "its root is not read-only");
    let status = web.exec(&["bellwether", "status"]).ok();
    assert!(status.contains("revision v1: ready"), "{status}");
    let link = web.exec(&["readlink", "-f", "sites/assets"]).ok();
    assert_eq!(link, "/home/frappe/frappe-bench/assets\n");

    let said = run(&["-v", &backing.mount()], &image, &["bellwether", "status"]);
    assert!(said.ok().contains("revision v1: ready"));
    let settings = backing.settings();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    assert_eq!(run(&settings, &image, &["no-such-program"]).code, Some(127));
    assert_eq!(run(&settings, &image, &["/etc/passwd"]).code, Some(126));
    assert_eq!(run(&settings, &image, &["sh", "-c", "exit 3"]).code, Some(3));
}

#[test]
fn what_its_health_says_while_it_waits_serves_is_in_maintenance_and_does_not_answer() {
    let image = build("frappe", &["--build-arg=IMAGE_REV=v1"]);
    let backing = Backing::start();
    let waiting = replica(&backing, &[&OFTEN[..], &["-e", "IS_LEADER=0"]].concat(), &image, &[]);
    // More failures than the limit, and yet nobody calls it unhealthy.
    wait_for("four looks at one that waits", || {
        let health = state(&waiting)["Health"].clone();
        assert_eq!(health["Status"], "starting", "{health}");
        (health["Log"].as_array()?.len() >= 4).then(|| {
            let last = &health["Log"][3];
            assert_eq!(last["ExitCode"], 1, "{health}");
            assert_eq!(last["Output"], "nothing answers at port 8000\n", "{health}");
        })
    });
    let leading = replica(&backing, &OFTEN, &image, &[]);
    wait_until_healthy(&leading);
    wait_until_healthy(&waiting);

    let health = |settings: &[&str]| {
        let settings: Vec<&str> = settings.iter().flat_map(|setting| ["-e", setting]).collect();
        docker(&[&["exec"], &settings[..], &[&leading.name, "frappe-health"]].concat())
    };
    assert_eq!(health(&[]).ok(), "");
    let first = format!("SITES={SITE},other.example");
    assert_eq!(health(&["SITE=", &first]).ok(), "");
    let said = health(&["SITE=other.example"]);
    assert_eq!((said.code, &*said.stdout), (Some(1), "/api/method/ping of other.example answers 404\n"));
    let said = health(&["HEALTH_PORT=1"]);
    assert_eq!((said.code, &*said.stdout), (Some(1), "nothing answers at port 1\n"));

    leading.exec(&["bench", "--site", SITE, "set-maintenance-mode", "on"]).ok();
    let host = format!("Host: {SITE}");
    let url = "http://127.0.0.1:8000/api/method/ping";
    let ping = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", &host, url];
    assert_eq!(leading.exec(&ping).ok(), "503");
    assert_eq!(health(&[]).ok(), "");
    assert_eq!(state(&leading)["Health"]["Status"], "healthy");

    let silent = replica(&backing, &[&OFTEN[..], &["--health-start-period=1s"]].concat(), &image, &["sleep", "600"]);
    wait_for("an unhealthy replica", || (state(&silent)["Health"]["Status"] == "unhealthy").then_some(()));
}

/// Answers with a status at the port of its number.
const STATUSES: &str = r#"
for (const status of [200, 503, 500, 502, 404, 302])
    require("http").createServer((_, s) => { s.statusCode = status; s.end(); }).listen(8000 + status, "127.0.0.1");
"#;

#[test]
fn nothing_but_an_answer_and_maintenance_is_healthy() {
    let image = build("frappe", &["--build-arg=IMAGE_REV=v1"]);
    let server = Container::start("statuses", &["--entrypoint=node", &image, "-e", STATUSES]);
    let health = |status: u16| {
        let port = format!("HEALTH_PORT={}", 8000 + status);
        docker(&["exec", "-e", &port, "-e", "SITE=shop.example", &server.name, "frappe-health"])
    };
    wait_for("200", || (health(200).code == Some(0)).then_some(()));
    assert_eq!(health(503).code, Some(0));
    for status in [500, 502, 404, 302] {
        let said = health(status);
        let words = format!("/api/method/ping of shop.example answers {status}\n");
        assert_eq!((said.code, said.stdout), (Some(1), words));
    }
}

#[test]
fn what_docker_hears_of_a_start_that_fails() {
    let image = build("frappe", &["--build-arg=IMAGE_REV=v1"]);
    let backing = Backing::start();
    let settings = backing.settings();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    // An empty volume would take its owner from the image, again and again.
    run(
        &["-v", &backing.mount(), "--user=root", "--entrypoint=sh"],
        &image,
        &["-c", "touch sites/kept && chown root:root sites"],
    )
    .ok();
    let said = run(&settings, &image, &[]);
    assert_eq!(said.code, Some(77), "{}", said.all());
    assert!(said.stderr.contains("chown -R 1000:1000"), "{}", said.all());

    // One that waits, and is told to stop, says by which signal.
    let waiting = replica(&backing, &["-e", "IS_LEADER=0"], &image, &[]);
    wait_for("a follower", || waiting.logs().contains("FOLLOWER").then_some(()));
    docker(&["stop", &waiting.name]).ok();
    assert_eq!(waiting.wait(), 143, "{}", waiting.logs());

    // Of a plan by itself, which waits for Redis alone.
    let plan =
        r#"echo '{"name": "p", "steps": [{"name": "s", "run": ["true"]}]}' >/tmp/p; exec bellwether run -- true"#;
    let settings =
        ["BELLWETHER_PLAN=/tmp/p", "BELLWETHER_PRESET=", "BELLWETHER_VOLUME=/tmp", "BELLWETHER_REDIS_WAIT_SECS=1"];
    let redis = "BELLWETHER_REDIS_URL=redis://127.0.0.1:1";
    let settings = settings.into_iter().chain([redis]).flat_map(|setting| ["-e", setting]);
    let words: Vec<&str> = settings.chain(["--tmpfs=/tmp", "--entrypoint=sh"]).collect();
    let said = run(&words, &image, &["-c", plan]);
    assert_eq!(said.code, Some(69), "{}", said.all());
    assert!(said.stderr.contains("nobody listens at redis://127.0.0.1:1"), "{}", said.all());
}

/// Real ones, too: node, `bench schedule`, and gunicorn while it loads, do nothing about SIGTERM that PID 1 would feel.
#[test]
fn every_service_ends_at_once_when_it_is_asked_to() {
    let image = build("frappe", &["--build-arg=IMAGE_REV=v1"]);
    let sites = Volume::new();
    let mount = format!("{}:{SITES}", &*sites);
    let options = ["-v", &mount, "-e", "IS_LEADER=0"];
    let ready = "touch sites/.ready_v1 && echo '{}' >sites/common_site_config.json";
    run(&[&options[..], &["--entrypoint=bash"]].concat(), &image, &["-c", ready]).ok();
    for (service, code, says) in [
        ("websocket", 143, "curl -s http://127.0.0.1:9000/"),
        ("scheduler", 143, "pgrep -f 'processes.py schedule'"),
        ("web", 0, "curl -s http://127.0.0.1:8000/"),
    ] {
        let container = Container::start("stopped", &[&options[..], &[&image, "frappe-service", service]].concat());
        wait_for(service, || (container.exec(&["sh", "-c", says]).code == Some(0)).then_some(()));
        docker(&["stop", "--time=60", &container.name]).ok();
        assert_eq!(container.wait(), code, "{service}: 137 is one that had to be killed\n{}", container.logs());
    }
}
