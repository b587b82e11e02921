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
    const [, file, as] = /^\/download(?:\?([a-z.]+))?(&as)?$/.exec(q.url) || [, , "none"];
    if (as == "&as") s.setHeader("Content-Disposition", "inline; filename=x");
    if (as != "none") s.setHeader("X-Accel-Redirect", "/protected/private/files/" + (file || "secret.txt"));
    if (q.url == "/slow") return setTimeout(() => s.end("slow, but here"), 3000);
    s.setHeader("Content-Type", "application/json");
    s.end(JSON.stringify({host: require("os").hostname(), url: q.url, headers: q.headers, filler: "x".repeat(2000)}));
}).on("upgrade", (q, socket) => {
    socket.end("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nupgraded " + q.headers.origin + " at " + q.headers.host);
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

/// A directory of sites with these files in it, and what `docker run` wants for it.
fn sites(files: &[(&str, &str)]) -> (TempDir, String) {
    let sites = TempDir::new().unwrap();
    for (path, text) in files {
        let path = sites.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    std::os::unix::fs::chown(sites.path(), Some(1000), Some(1000)).unwrap();
    let mount = format!("{}:/home/frappe/frappe-bench/sites:ro", sites.path().display());
    (sites, mount)
}

/// The answer to this is OK, with all these words.
#[track_caller]
fn assert_has(address: &str, path: &str, words: &[&str]) {
    let answer = get(address, path).unwrap();
    for words in [&["200 OK"], words].concat() {
        assert!(answer.0.contains(words), "{path}, {words}: {answer:?}");
    }
}

#[test]
fn what_it_serves_itself_and_what_it_passes_on() {
    let network = Network::new();
    let [secret, page] = ["secret.txt", "page.shtml"].map(|name| format!("{SITE}/private/files/{name}"));
    let bundle = "x".repeat(1000);
    let files = [
        ("assets/app/desk.bundle.ABCD2345.js", &*bundle),
        ("assets/app/logo.txt", "logo"),
        (&secret, "the secret"),
        (&page, "<script>"),
    ];
    let (_sites, mount) = sites(&files);
    let _backend = network.web(&["node", "-e", BACKEND]);
    let (_nginx, address) = network.nginx(&["--env", "CLIENT_MAX_BODY_SIZE=1k", "--volume", &mount]);
    wait_for("the backend", || get(&address, "/").filter(|answer| answer.is(200)).map(|_| ()));
    let has = |path: &str, words: &[&str]| assert_has(&address, path, words);
    has("/assets/app/desk.bundle.ABCD2345.js", &["max-age=31536000, immutable", SAFE[0]]);
    has("/assets/app/logo.txt", &["max-age=3600", "logo"]);
    assert!(get(&address, "/assets/app/none.js").unwrap().is(404));
    has("/private/files/secret.txt", &["\"url\":\"/private/files/secret.txt\""]);
    assert!(get(&address, "/protected/private/files/secret.txt").unwrap().is(404));
    has("/download", &["the secret"]);
    assert!(!get(&address, "/download").unwrap().0.contains("Content-Disposition"), "a text is shown");
    has("/download?page.shtml", &["Content-Disposition: attachment\r\n", "<script>"]);
    has("/download?page.shtml&as", &["Content-Disposition: inline; filename=x\r\n"]);
    let once = get(&address, "/download?page.shtml&as").unwrap();
    assert_eq!(once.0.matches("Content-Disposition").count(), 1, "{once:?}");
    let site = format!("\"x-frappe-site-name\":\"{SITE}\"");
    has("/app", &[&site, "\"x-use-x-accel-redirect\":\"True\"", "\"x-forwarded-proto\":\"http\""]);
    let say = |head: &str| ask(&address, &format!("{head}\r\nHost: {SITE}\r\nConnection: close\r\n\r\n")).unwrap();
    let zipped = say("GET /app HTTP/1.1\r\nAccept-Encoding: gzip");
    assert!(zipped.0.contains("Content-Encoding: gzip"), "{zipped:?}");
    assert!(say("POST /app HTTP/1.1\r\nContent-Length: 2000").is(413), "an upload of 2 kB where 1 kB is allowed");
    // Nobody may say by himself who he is, nor how he came.
    let spoofed =
        say("GET /app HTTP/1.1\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Ssl: on");
    assert!(!spoofed.0.contains("x-forwarded-ssl"), "{spoofed:?}");
    assert!(!spoofed.0.contains("6.6.6.6"), "{spoofed:?}");
    assert!(spoofed.0.contains("\"x-forwarded-proto\":\"http\""), "{spoofed:?}");
    assert!(!spoofed.0.contains("Strict-Transport-Security"), "{spoofed:?}");
}

/// Headers that everything has.
const SAFE: [&str; 3] = ["X-Content-Type-Options: nosniff", "X-Frame-Options: SAMEORIGIN", "Referrer-Policy: "];

#[test]
fn what_somebody_has_uploaded_is_no_page_of_the_site() {
    let network = Network::new();
    let pages = ["page.html", "page.SHTML", "drawing.svgz", "feed.atom", "of-no-kind"];
    let others = ["picture.png", "letter.pdf", "LETTER.PDF"];
    let paths = [&pages[..], &others].concat().into_iter().map(|name| format!("{SITE}/public/files/{name}"));
    let paths: Vec<String> = paths.collect();
    let files: Vec<(&str, &str)> = paths.iter().map(|path| (&**path, "<script>")).collect();
    let (_sites, mount) = sites(&files);
    let _backend = network.web(&["node", "-e", BACKEND]);
    let (_nginx, address) = network.nginx(&["--volume", &mount]);
    for (names, is_attached) in [(&pages[..], true), (&others, false)] {
        for name in names {
            let path = format!("/files/{name}");
            assert_has(&address, &path, &[&["<script>"], &SAFE[..]].concat());
            let answer = get(&address, &path).unwrap();
            assert_eq!(answer.0.contains("Content-Disposition: attachment"), is_attached, "{answer:?}");
        }
    }
    // What is not there is the application's, which says itself how it is to be shown.
    wait_for("the backend", || get(&address, "/").filter(|answer| answer.is(200)).map(|_| ()));
    let answer = get(&address, "/files/none.html").unwrap();
    assert!(answer.is(200) && answer.0.contains("\"url\":\"/files/none.html\""), "{answer:?}");
    assert!(!answer.0.contains("Content-Disposition"), "{answer:?}");
}

/// What a browser asks, of a page of this origin.
fn connect(address: &str, target: &str, origin: &str) -> Answer {
    let head = format!("GET {target} HTTP/1.1\r\nHost: {SITE}:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
    let origin = if origin.is_empty() { String::new() } else { format!("Origin: {origin}\r\n") };
    ask(address, &format!("{head}{origin}\r\n")).unwrap()
}

#[test]
fn the_websocket_server_asks_nobody_but_us_who_somebody_is() {
    let network = Network::new();
    let backend = network.web(&["node", "-e", BACKEND]);
    let settings = ["--env", "SOCKETIO=web:8000", "--env", "SOCKETIO_CALLBACK=front:8081", "--network-alias", "front"];
    let (nginx, address) = network.nginx(&settings);
    wait_for("the backend", || get(&address, "/").filter(|answer| answer.is(200)).map(|_| ()));
    let upper = SITE.to_uppercase();
    for origin in ["", &format!("http://{SITE}:8080"), &format!("https://{upper}"), &format!("http://{SITE}.:8080")] {
        let answer = connect(&address, "/socket.io/", origin);
        assert!(
            answer.is(101) && answer.0.contains(&format!("upgraded http://front:8081/{SITE} at front:8081")),
            "{answer:?}"
        );
    }
    for origin in ["http://evil.test", &format!("http://{SITE}.evil.test"), "http://evil.test:8080", "null"] {
        let answer = connect(&address, "/socket.io/", origin);
        assert!(answer.is(403), "{origin}: {answer:?}");
    }
    // The request's first line and its header name different hosts: the first one counts, for all that is told.
    let answer = connect(&address, "http://evil.test/socket.io/", "");
    assert!(answer.0.contains("upgraded http://front:8081/evil.test at front:8081"), "{answer:?}");
    let answer =
        ask(&address, &format!("GET http://evil.test/app HTTP/1.1\r\nHost: {SITE}\r\nConnection: close\r\n\r\n"));
    let answer = answer.unwrap();
    for words in ["\"host\":\"evil.test\"", "\"x-frappe-site-name\":\"evil.test\""] {
        assert!(answer.0.contains(words), "{words}: {answer:?}");
    }
    // What it asks then.
    let callback = address.replace(":8080", ":8081");
    let answer = get(&callback, "/one.site/api/method/who%20is?sid=a%20secret").unwrap();
    for words in [
        "\"host\":\"one.site\"",
        "\"x-frappe-site-name\":\"one.site\"",
        "\"url\":\"/api/method/who%20is?sid=a%20secret\"",
    ] {
        assert!(answer.is(200) && answer.0.contains(words), "{words}: {answer:?}");
    }
    assert!(get(&callback, "/one.site/app").unwrap().is(404) && get(&callback, "/").unwrap().is(404));
    let post = "POST /one.site/api/method/login HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert!(ask(&callback, post).unwrap().is(403));
    drop(backend);
    wait_for("nobody", || get(&callback, "/one.site/api/method/who?sid=secret").filter(|answer| answer.is(502)));
    assert!(!nginx.logs().contains("secret"), "{}", nginx.logs());
    let _backend = network.web(&["node", "-e", BACKEND]);
    // Where both are in one container nobody else has to come in.
    let (_alone, alone) = network.nginx(&["--env", "SOCKETIO=web:8000"]);
    assert!(get(&alone.replace(":8080", ":8081"), "/").is_none());
    wait_for("the backend", || connect(&alone, "/socket.io/", "").is(101).then_some(()));
}

#[test]
fn a_proxy_that_is_trusted_says_who_the_client_is_and_a_setting_which_site() {
    let network = Network::new();
    let _backend = network.web(&["node", "-e", BACKEND]);
    let trust =
        ["--env", "UPSTREAM_REAL_IP_ADDRESS=203.0.113.7, 0.0.0.0/0", "--env", "FRAPPE_SITE_NAME_HEADER=other.site"];
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
fn a_setting_that_cannot_be_is_named() {
    for (setting, words) in [
        ("TLS_CERT_FILE=/none/a.pem", "cannot read '/none/a.pem' as 1000:1000"),
        ("UPSTREAM_REAL_IP_ADDRESS=10.0.0.0/8,proxy", "UPSTREAM_REAL_IP_ADDRESS: 'proxy' is no address and no network"),
        ("BACKEND=web", "BACKEND='web' has no port: it is HOST:PORT"),
    ] {
        let said = docker(&["run", "--rm", "--env", setting, "--entrypoint", "frappe-nginx", image()]);
        assert_eq!(said.code, Some(64), "{setting}: {}", said.all());
        assert!(said.all().contains(words), "{setting}: {}", said.all());
    }
}
