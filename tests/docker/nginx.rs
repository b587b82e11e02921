//! `frappe-nginx` alone, before backends of the tests' own.

use std::fs;
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::backing::{Network, address_of, inspect};
use crate::docker::{Container, docker};
use crate::stack::{Answer, SITE, ask, get};
use crate::waiting::wait_for;

/// Answers with what it was asked, and what a page of the site would make nginx do.
const BACKEND: &str = r#"
require("http").createServer((q, s) => {
    console.log("asked to " + q.method + " " + q.url);
    if (q.url == "/die") return q.socket.destroy();
    if (q.url.startsWith("/download")) s.setHeader("X-Accel-Redirect", "/protected/private/files/secret.txt");
    if (q.url == "/slow") return setTimeout(() => s.end("slow, but here"), 3000);
    s.setHeader("Content-Type", "application/json");
    s.end(JSON.stringify({host: require("os").hostname(), url: q.url, headers: q.headers, filler: "x".repeat(2000)}));
}).on("upgrade", (q, socket) => {
    socket.end("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nupgraded " + q.headers.origin);
}).listen(Number(process.argv[1] || 8000), "0.0.0.0");
"#;

fn image() -> &'static str {
    static IMAGE: OnceLock<String> = OnceLock::new();
    IMAGE.get_or_init(|| format!("{}:v1", crate::stack::image("v1")))
}

impl Network {
    /// A program at `web:8000`, beside others.
    fn web(&self, program: &[&str]) -> Container {
        let words = ["--network", self, "--network-alias", "web", "--network-alias", "web.shop.test"];
        Container::start("backend", &[&words[..], &["--entrypoint", program[0], image()], &program[1..]].concat())
    }

    /// As Compose starts it, without Bellwether before it.
    fn nginx(&self, options: &[&str]) -> (Container, String) {
        let words = ["--network", self, "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"];
        let words = [&words[..], &["--security-opt", "no-new-privileges", "--env", "BACKEND=web:8000"], options];
        let words = [&words.concat()[..], &["--entrypoint", "frappe-nginx", image()]].concat();
        let nginx = Container::start("nginx", &words);
        let address = format!("{}:8080", address_of(&nginx.name));
        wait_for("nginx", || get(&address, "/nginx-health").filter(|answer| answer.is(200)).map(|_| ()));
        (nginx, address)
    }
}

fn host_of(answer: &Answer) -> String {
    serde_json::from_str::<Value>(answer.body()).unwrap()["host"].as_str().unwrap().to_owned()
}

#[test]
fn backends_are_found_that_come_and_those_that_go_are_passed_over() {
    let network = Network::new();
    let (_nginx, address) = network.nginx(&[]);
    assert!(get(&address, "/").unwrap().is(502), "nobody is there yet");
    let first = network.web(&["node", "-e", BACKEND]);
    wait_for("the first", || get(&address, "/").filter(|answer| answer.is(200)).map(|_| ()));
    // One that has an address and does not listen, as while a replica starts.
    let silent = network.web(&["sleep", "600"]);
    let second = network.web(&["node", "-e", BACKEND]);
    let hosts = [&first, &second].map(|container| inspect(&container.name, "{{.Config.Hostname}}"));
    let mut seen = Vec::new();
    wait_for("both", || {
        let answer = get(&address, "/")?;
        // Only the very first requests may be earlier than the second's listening; none may fail.
        assert!(answer.is(200), "{answer:?}");
        seen.push(host_of(&answer));
        hosts.iter().all(|host| seen.contains(host)).then_some(())
    });
    docker(&["kill", &first.name]).ok();
    for _ in 0..40 {
        let answer = get(&address, "/").unwrap();
        assert!(answer.is(200) && host_of(&answer) == hosts[1], "{answer:?}");
    }
    drop(silent);
}

/// Listens, and answers no new connection: its queue is full already.
const HOLE: &str = r#"
import socket, time
server = socket.socket()
server.bind(("0.0.0.0", 8000))
server.listen(0)
queued = [socket.socket() for _ in range(4)]
for client in queued:
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", 8000))
print("full", flush=True)
time.sleep(600)
"#;

#[test]
fn a_machine_that_has_gone_silent_is_passed_over_in_seconds() {
    let network = Network::new();
    let hole = network.web(&["python3", "-c", HOLE]);
    wait_for("a full queue", || hole.logs().contains("full").then_some(()));
    let _backend = network.web(&["node", "-e", BACKEND]);
    let (nginx, address) = network.nginx(&[]);
    wait_for("the backend", || get(&address, "/").filter(|answer| answer.is(200)).map(|_| ()));
    // Each answer comes, whoever is asked first, within the twenty seconds of `get`.
    wait_for("one that was asked first and did not answer", || {
        let answer = get(&address, "/").expect("an answer");
        assert!(answer.is(200), "{answer:?}");
        nginx.logs().contains("timed out) while connecting to upstream").then_some(())
    });
}

/// How often these backends have been asked to do this.
fn asked(backends: &[&Container], what: &str) -> usize {
    let line = format!("asked to {what}");
    backends.iter().map(|backend| backend.logs().lines().filter(|said| **said == *line).count()).sum()
}

#[test]
fn what_may_have_been_done_is_not_done_again_elsewhere() {
    let network = Network::new();
    let (_nginx, address) = network.nginx(&[]);
    let backends = [network.web(&["node", "-e", BACKEND]), network.web(&["node", "-e", BACKEND])];
    let both = [&backends[0], &backends[1]];
    let mut hosts = Vec::new();
    wait_for("both", || {
        hosts.extend(get(&address, "/").filter(|answer| answer.is(200)).map(|answer| host_of(&answer)));
        hosts.iter().any(|host| *host != hosts[0]).then_some(())
    });
    // What only reads goes on to the next one.
    assert!(get(&address, "/die").unwrap().is(502));
    assert_eq!(asked(&both, "GET /die"), 2);
    let post = format!("POST /die HTTP/1.1\r\nHost: {SITE}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}");
    assert!(ask(&address, &post).unwrap().is(502));
    assert_eq!(asked(&both, "POST /die"), 1);
}

#[test]
fn what_it_serves_itself_and_what_it_passes_on() {
    let network = Network::new();
    let sites = TempDir::new().unwrap();
    for (path, text) in [
        ("assets/app/desk.bundle.ABCD2345.js", "x".repeat(1000)),
        ("assets/app/logo.txt", "logo".to_owned()),
        (&format!("{SITE}/public/files/page.html"), "<script>".to_owned()),
        (&format!("{SITE}/private/files/secret.txt"), "the secret".to_owned()),
    ] {
        let path = sites.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    std::os::unix::fs::chown(sites.path(), Some(1000), Some(1000)).unwrap();
    let backend = network.web(&["node", "-e", BACKEND]);
    let mount = format!("{}:/home/frappe/frappe-bench/sites:ro", sites.path().display());
    let settings = ["--env", "SOCKETIO=web:8000", "--env", "CLIENT_MAX_BODY_SIZE=1k", "--volume", &mount];
    let (_nginx, address) = network.nginx(&settings);
    wait_for("the backend", || get(&address, "/").filter(|answer| answer.is(200)).map(|_| ()));
    let has = |path: &str, words: &[&str]| {
        let answer = get(&address, path).unwrap();
        for words in words {
            assert!(answer.0.contains(words), "{path}, {words}: {answer:?}");
        }
    };
    has("/assets/app/desk.bundle.ABCD2345.js", &["200 OK", "max-age=31536000, immutable"]);
    has("/assets/app/logo.txt", &["200 OK", "max-age=3600", "logo"]);
    has("/assets/app/none.js", &["404 Not Found"]);
    has("/files/page.html", &["200 OK", "Content-Disposition: attachment", "<script>"]);
    has("/files/none.html", &["200 OK", "\"url\":\"/files/none.html\""]);
    has("/private/files/secret.txt", &["\"url\":\"/private/files/secret.txt\""]);
    has("/protected/private/files/secret.txt", &["404 Not Found"]);
    has("/download", &["200 OK", "the secret"]);
    let site = format!("\"x-frappe-site-name\":\"{SITE}\"");
    has("/app", &["200 OK", &site, "\"x-use-x-accel-redirect\":\"True\"", "\"x-forwarded-proto\":\"http\""]);
    let say = |head: &str| ask(&address, &format!("{head}\r\nHost: {SITE}\r\nConnection: close\r\n\r\n")).unwrap();
    let zipped = say("GET /app HTTP/1.1\r\nAccept-Encoding: gzip");
    assert!(zipped.0.contains("Content-Encoding: gzip"), "{zipped:?}");
    assert!(say("POST /app HTTP/1.1\r\nContent-Length: 2000").is(413), "an upload of 2 kB where 1 kB is allowed");
    // Nobody may say by himself who he is.
    let spoofed = say("GET /app HTTP/1.1\r\nX-Forwarded-For: 6.6.6.6");
    assert!(!spoofed.0.contains("6.6.6.6"), "{spoofed:?}");
    let upgrade =
        format!("GET /socket.io/ HTTP/1.1\r\nHost: {SITE}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    let upgraded = ask(&address, &upgrade).unwrap();
    assert!(upgraded.is(101) && upgraded.0.contains(&format!("upgraded http://{SITE}")), "{upgraded:?}");
    drop(backend);
}

#[test]
fn a_proxy_that_is_trusted_says_who_the_client_is_and_a_setting_which_site() {
    let network = Network::new();
    let _backend = network.web(&["node", "-e", BACKEND]);
    let trust = ["--env", "UPSTREAM_REAL_IP_ADDRESS=0.0.0.0/0", "--env", "FRAPPE_SITE_NAME_HEADER=other.site"];
    // A short name, whose domain stands in resolv.conf only, as in Kubernetes.
    let (_nginx, address) = network.nginx(&[&trust[..], &["--dns-search", "shop.test"]].concat());
    let question = format!(
        "GET / HTTP/1.1\r\nHost: {SITE}\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n"
    );
    let answer = wait_for("an answer", || ask(&address, &question).filter(|answer| answer.is(200)));
    for words in
        ["\"x-forwarded-for\":\"6.6.6.6\"", "\"x-forwarded-proto\":\"https\"", "\"x-frappe-site-name\":\"other.site\""]
    {
        assert!(answer.0.contains(words), "{words}: {answer:?}");
    }
}

#[test]
fn it_answers_what_is_under_way_when_it_is_told_to_quit() {
    let network = Network::new();
    let backend = network.web(&["node", "-e", BACKEND]);
    let (nginx, address) = network.nginx(&[]);
    wait_for("the backend", || get(&address, "/").filter(|answer| answer.is(200)).map(|_| ()));
    let asking = std::thread::spawn(move || get(&address, "/slow").unwrap());
    wait_for("the request", || (asked(&[&backend], "GET /slow") == 1).then_some(()));
    docker(&["kill", "--signal", "QUIT", &nginx.name]).ok();
    assert!(asking.join().unwrap().body().contains("slow, but here"));
    // The engine kills it only after ten seconds, and then the code is another.
    docker(&["stop", &nginx.name]).ok();
    assert_eq!(inspect(&nginx.name, "{{.State.ExitCode}}"), "0");
}

#[test]
fn a_certificate_that_cannot_be_read_is_named() {
    let words = ["run", "--rm", "--env", "TLS_CERT_FILE=/none/a.pem", "--entrypoint", "frappe-nginx", image()];
    let said = docker(&words);
    assert_eq!(said.code, Some(64), "{}", said.all());
    assert!(said.all().contains("cannot read '/none/a.pem' as 1000:1000"), "{}", said.all());
}
