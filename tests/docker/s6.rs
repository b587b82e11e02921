//! The target `frappe-s6`: Bellwether before s6, and the services as they are shipped.

use crate::backing::{address_of, inspect};
use crate::docker::{Container, docker};
use crate::s6_stage::{ADMIN_PASSWORD, REV, SITE, Stage, UnderS6 as _, frappe_s6};
use crate::waiting::wait_for;
use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

const ALL: [&str; 6] = ["gunicorn", "nginx", "scheduler", "websocket", "worker-long", "worker-short"];

#[test]
fn services_wait_for_ready_and_a_sigterm_in_mid_migration_hands_over() {
    let stage = Stage::new().with_database();
    let a = stage.replica(&["--env", "STANDIN_STOP_AT=migrate:patches"]);
    wait_for("the migration has stopped half-way", || {
        (a.sh("test -e sites/.stand-in/stopped-at").code == Some(0)).then_some(())
    });
    let b = stage.replica(&[]);
    b.wait_for_log("FOLLOWER");
    for replica in [&a, &b] {
        assert_eq!(replica.sh("test -e /run/service").code, Some(1), "s6 was started before ready");
        assert_ne!(replica.sh("curl --silent localhost:8080 || curl --silent localhost:8000").code, Some(0));
        assert_eq!(replica.exec(&["frappe-s6-health"]).code, Some(1));
    }
    docker(&["pause", &b.name]).ok();
    assert!(stage.in_volume("ls -A").contains(&format!(".migrating_in_progress_{REV}")));
    assert_eq!(a.stop("30"), 143, "a stop in mid-migration is no failure, and needs no killing");
    let left = stage.in_volume("ls -A");
    assert!(!left.contains("_in_progress_") && !left.contains(".ready_"), "{left}");
    stage.in_volume("touch .stand-in/go-on");
    docker(&["unpause", &b.name]).ok();
    b.wait_healthy();
    assert!(stage.in_volume("ls -A").contains(&format!(".ready_{REV}")));
    assert_eq!(stage.in_volume("grep -c elected .bellwether/history.jsonl"), "2\n", "one leader after the other");
    answers_over_http(&b);
    is_hardened(&b);
    gives_services_nothing_of_its_own(&b);
    stops_in_order(&b);
}

#[track_caller]
fn answers_over_http(replica: &Container) {
    assert_eq!(replica.up(), ALL);
    let get = |path: &str, more: &str| {
        replica
            .sh(&format!(
                "curl --silent --show-error --include --header 'Host: {SITE}' {more} 'http://localhost:8080{path}'"
            ))
            .ok()
    };
    let ping = get("/api/method/ping", "");
    assert!(ping.starts_with("HTTP/1.1 200") && ping.contains("pong") && ping.contains(REV), "{ping}");
    let long = get(&format!("/{}", "long/".repeat(80)), "--compressed");
    assert!(long.to_lowercase().contains("content-encoding: gzip") && long.contains("long/long"), "{long}");
    let websocket = get("/socket.io/?transport=polling", "");
    assert!(websocket.contains(r#""websocket":"/socket.io/"#), "{websocket}");
    for service in ALL {
        assert_eq!(replica.exec(&["frappe-s6-health", service]).ok(), "");
    }
}

#[track_caller]
fn is_hardened(replica: &Container) {
    let status = replica.sh("cat /proc/1/status; touch /usr/local/x || echo refused").all();
    let line = |key: &str| status.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
    assert!(line("NoNewPrivs:").ends_with('1'), "{status}");
    assert!(line("Uid:").split_whitespace().skip(1).all(|uid| uid == "1000"), "{status}");
    assert_eq!(line("Name:"), "Name:\ts6-svscan", "{status}");
    assert!(status.contains("Read-only file system") && status.contains("refused"), "{status}");
    let kept = replica.sh("ls /run/s6/container_environment").ok();
    assert!(
        kept.lines().any(|name| name == "ADMIN_PASSWORD_FILE") && !kept.lines().any(|name| name == "ADMIN_PASSWORD"),
        "{kept}"
    );
    let leaked = replica.sh(&format!(
        "grep -rl {ADMIN_PASSWORD} /run/s6 /run/service/ /tmp; cat /proc/[0-9]*/environ | grep -c {ADMIN_PASSWORD}"
    ));
    assert_eq!(leaked.stdout, "0\n", "a secret of a file is elsewhere, too: {}", leaked.all());
}

/// What a supervisor's child may be surprised by: blocked signals, and descriptors that are not its own.
#[track_caller]
fn gives_services_nothing_of_its_own(replica: &Container) {
    for service in ALL {
        let pid = replica.pid(service);
        let said = replica
            .sh(&format!(
                "grep SigBlk /proc/{pid}/status; ls -l /proc/{pid}/fd | sed 's/.*-> //'; ls /proc/{pid}/fd | wc -l"
            ))
            .ok();
        assert!(said.starts_with("SigBlk:\t0000000000000000\n"), "{service}: {said}");
        assert!(!said.contains("/sites/"), "{service} has a file of the volume open, the guard perhaps: {said}");
        if service == "scheduler" {
            assert!(
                said.ends_with("\n3\n"),
                "{service} has more than three descriptors, and opens none itself: {said}"
            );
        }
    }
}

/// nginx first, so that what it has begun is answered; and nobody is killed.
#[track_caller]
fn stops_in_order(replica: &Container) {
    let answer = std::thread::scope(|scope| {
        let request = begin_a_request(replica);
        let stop = scope.spawn(|| assert_eq!(replica.stop("60"), 0));
        for service in ["websocket", "worker-long", "worker-short"] {
            replica.wait_for_log(&end_of(service));
        }
        // All are told to stop at once, but for those that somebody needs.
        let wanted = replica.exec(&["s6-svstat", "-o", "wantedup", "/run/service/gunicorn"]).ok();
        assert_eq!(wanted, "true\n", "gunicorn is told to stop before nginx has ended");
        let answer = finish_the_request(request);
        stop.join().unwrap();
        answer
    });
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("pong"), "{answer}");
    let log = replica.logs();
    let ended =
        |service: &str| log.find(&end_of(service)).unwrap_or_else(|| panic!("{service} was not brought down: {log}"));
    assert!(ALL.iter().all(|service| ended(service) > 0));
    assert!(ended("nginx") < ended("gunicorn"), "{log}");
}

/// What is said of a service that has been asked to end. Two have no word on SIGTERM, so it ends them.
fn end_of(service: &str) -> String {
    match service {
        "websocket" | "scheduler" => format!("{service}: killed by signal 15"),
        _ => format!("{service}: ended with exit code 0"),
    }
}

/// Half of a request: nginx waits for the rest of it, and gunicorn has not heard of it.
#[track_caller]
fn begin_a_request(replica: &Container) -> TcpStream {
    let mut stream = TcpStream::connect(format!("{}:8080", address_of(&replica.name))).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let head = "GET /api/method/ping HTTP/1.1\r\nContent-Length: 2\r\nConnection: close";
    // nginx asks for the rest when it has the first half, so it is under way.
    stream.write_all(format!("{head}\r\nHost: {SITE}\r\nExpect: 100-continue\r\n\r\n").as_bytes()).unwrap();
    let mut answer = [0; 25];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[track_caller]
fn finish_the_request(mut stream: TcpStream) -> String {
    stream.write_all(b"{}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_role_is_its_services_and_no_others() {
    let stage = Stage::new().ready();
    stage.in_volume("mkdir -p own/user/contents.d own/user2/contents.d && touch own/user/contents.d/websocket");
    stage.in_volume("echo bundle | tee own/user/type >own/user2/type");
    let roles: [(&[&str], &[&str]); 6] = [
        (&[], &ALL),
        (&["ENABLE_SCHEDULER=0"], &["gunicorn", "nginx", "websocket", "worker-long", "worker-short"]),
        (&["FRAPPE_ROLE=web", "IS_LEADER=0"], &["gunicorn", "nginx", "websocket"]),
        (&["FRAPPE_ROLE=workers", "IS_LEADER=0"], &["worker-long", "worker-short"]),
        (&["FRAPPE_ROLE=scheduler", "IS_LEADER=0"], &["scheduler"]),
        (&["S6_RUNTIME_BUNDLEDIR=/home/frappe/frappe-bench/sites/own"], &["websocket"]),
    ];
    let started: Vec<_> = roles
        .iter()
        .map(|(settings, services)| (stage.replica(&as_environment(settings)), settings, services))
        .collect();
    for (replica, settings, services) in &started {
        for service in **services {
            replica.pid(service);
        }
        assert_eq!(&replica.up(), **services, "{settings:?}");
        replica.wait_healthy();
        assert_eq!(replica.exec(&["frappe-s6-health", "nonsense"]).code, Some(1));
    }
    for (replica, settings, services) in started {
        assert_eq!(replica.stop("30"), 0, "{settings:?}");
        let log = replica.logs();
        for service in *services {
            // A shell that has not become its service dies of the signal that the service is to have.
            assert!(log.contains(&end_of(service)), "{settings:?}: {service}: {log}");
        }
    }
}

fn as_environment<'a>(settings: &[&'a str]) -> Vec<&'a str> {
    settings.iter().flat_map(|setting| ["--env", setting]).collect()
}

#[test]
fn a_role_that_cannot_be_ends_the_container() {
    let stage = Stage::new().ready();
    let wrong: [(&[&str], &str); 3] = [
        (&["FRAPPE_ROLE=wbe"], "FRAPPE_ROLE is 'wbe', and none of all, web, workers, scheduler"),
        (&["FRAPPE_ROLE=scheduler", "ENABLE_SCHEDULER=0"], "leave nothing to run"),
        (&["S6_RUNTIME_BUNDLEDIR=/nowhere"], "there is no bundle user"),
    ];
    let started: Vec<_> =
        wrong.iter().map(|(settings, says)| (stage.replica(&as_environment(settings)), says)).collect();
    for (replica, says) in started {
        assert_eq!(replica.wait(), 64, "{says}");
        assert!(replica.logs().contains(*says), "{}", replica.logs());
    }
}

#[test]
fn a_service_that_dies_comes_back_and_one_that_cannot_start_ends_the_container() {
    let stage = Stage::new().ready();
    let serving = stage.replica(&[]);
    let no_backend = stage.replica(&as_environment(&["BACKEND=127.0.0.1:1"]));
    let cannot_start = stage.replica(&as_environment(&["GUNICORN_THREADS=many"]));
    let no_queue = stage.replica(&["--add-host", "redis:127.0.0.1"]);
    let only_workers = stage.replica(&["--add-host", "redis:127.0.0.1", "--env", "FRAPPE_ROLE=workers"]);

    serving.wait_healthy();
    let before = serving.pid("gunicorn");
    serving.sh(&format!("kill -KILL {before}")).ok();
    serving.wait_for_log("gunicorn: killed by signal 9");
    serving.wait_healthy();
    assert_ne!(serving.pid("gunicorn"), before);
    assert_eq!(serving.stop("30"), 0);

    // nginx is there, its port is not, and a stop does not wait for what it waits for.
    no_backend.pid("nginx");
    no_backend.exec(&["frappe-s6-health", "gunicorn"]).ok();
    assert_eq!(no_backend.sh("curl --silent http://127.0.0.1:8080/").code, Some(7), "refused, and not 502");
    assert_eq!(no_backend.stop("30"), 0);

    assert_eq!(cannot_start.wait(), 2, "gunicorn's own exit code");
    assert!(cannot_start.logs().contains("gunicorn has ended too often: the container ends with exit code 2"));
    assert_eq!(only_workers.wait(), 1, "workers are what it is for");

    let ends = || no_queue.logs().matches("worker-short: ended with exit code 1").count();
    wait_for("a worker has ended more often than a container of workers bears", || (ends() > 5).then_some(()));
    no_queue.wait_healthy();
    assert_eq!(no_queue.stop("30"), 0);
}

#[test]
fn a_stop_does_not_wait_for_the_websockets_of_browsers() {
    let stage = Stage::new().ready();
    // As Frappe's own: it upgrades connections, and ends at once when it is asked to.
    let server = tempfile::NamedTempFile::with_suffix(".js").unwrap();
    server.as_file().set_permissions(Permissions::from_mode(0o644)).unwrap();
    std::fs::write(server.path(), UPGRADES).unwrap();
    let mount = format!("{}:/home/frappe/frappe-bench/apps/frappe/socketio.js:ro", server.path().display());
    let replica = stage.replica(&["--env", "FRAPPE_ROLE=web", "--volume", &mount]);
    replica.wait_healthy();
    let upgrade = "curl --silent --no-buffer --header 'Upgrade: websocket' --header 'Connection: Upgrade' \
        --output /tmp/heard http://127.0.0.1:8080/socket.io/";
    docker(&["exec", "--detach", &replica.name, "sh", "-c", upgrade]).ok();
    wait_for("a browser is connected", || (replica.sh("cat /tmp/heard").stdout == "hello").then_some(()));
    assert_eq!(replica.stop("30"), 0, "nginx would wait 40 s for it");
    assert!(replica.logs().contains("nginx: ended with exit code 0"), "{}", replica.logs());
}

const UPGRADES: &str = r#"
const server = require("http").createServer();
server.on("upgrade", (request, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello");
});
server.listen(9000);
"#;

#[test]
fn its_image_runs_as_nobody_special_and_looks_through_nginx() {
    let inspect = |what: &str| inspect(frappe_s6(), what);
    assert_eq!(inspect("{{.Config.User}}"), "frappe");
    assert_eq!(inspect("{{json .Config.Entrypoint}}{{json .Config.Cmd}}"), r#"["bellwether","run","--"]["/init"]"#);
    assert_eq!(inspect("{{json .Config.Healthcheck.Test}}"), r#"["CMD","frappe-s6-health"]"#);
    assert!(inspect("{{json .Config.ExposedPorts}}").contains("8080/tcp"));
}
