//! A secret of its own in every variable that may hold one, and then a search of all places that others can see.
//!
//! `tests/frappe/secrets.rs` does the same for the preset, at every phase of a boot. Each test has mounts of its own, for
//! the termination log.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use crate::isolate::is_in_own_mounts;
use crate::stage::{Bystander, HISTORY, HOLD_SECRETS, Stage, TERMINATION_LOG, VARIABLES, files, make_termination_log};
use crate::waiting::wait_for;

const COMMAND_LINES: &str = "the command lines";
const ASKED: &str = "the commands in Redis";

type Variables = Vec<(&'static str, String)>;

/// Every place that others can see, as a name and what is there.
fn places(stage: &mut Stage) -> BTreeMap<String, String> {
    stage.read_asked();
    let mut places = BTreeMap::new();
    for path in files(&stage.path("")).into_iter().chain([TERMINATION_LOG.into()]) {
        let name = path.strip_prefix(stage.path("")).unwrap_or(&path).display().to_string();
        if !HOLD_SECRETS.contains(&name.as_str()) {
            places.insert(name, String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned());
        }
    }
    places.insert(COMMAND_LINES.to_owned(), command_lines());
    places.insert(ASKED.to_owned(), stage.asked.clone());
    for key in stage.redis.cli(&["KEYS", "*"]).lines() {
        places.insert(format!("key {key}"), stage.redis.cli(&["GET", key]));
    }
    places
}

fn command_lines() -> String {
    let lines = fs::read_dir("/proc").unwrap().flatten().map(|entry| fs::read(entry.path().join("cmdline")));
    lines.flatten().map(|line| String::from_utf8_lossy(&line).replace('\0', " ") + "\n").collect()
}

#[track_caller]
fn nobody_sees_any(stage: &Stage, places: &BTreeMap<String, String>) {
    for (place, text) in places {
        // Those lines alone: whatever else runs on this machine is no business of a test's output.
        let lines: Vec<&str> = text.lines().filter(|line| !stage.found_in(line).is_empty()).collect();
        assert!(lines.is_empty(), "{:?} in {place}: {lines:#?}", stage.found_in(text));
    }
}

/// The places are where a leader leaves something: what has not been looked into would hold no secret, either.
#[track_caller]
fn is_at_work(stage: &mut Stage) {
    let places = places(stage);
    nobody_sees_any(stage, &places);
    let id = fs::read_to_string(stage.path("volume/.bellwether/id")).unwrap();
    let lease = format!("bellwether:{{{}}}:lease", id.trim());
    let pid = stage.leader.as_ref().unwrap().id();
    for (place, told) in [
        ("log", "LEADER"),
        ("log", "***"),
        ("volume/.tell_in_progress_v1", r#""attempt":1"#),
        ("volume/.bellwether/steps/tell.json", r#""attempts":1"#),
        ("volume/.bellwether/log/tell.log", "it is ***"),
        (HISTORY, r#""started""#),
        (COMMAND_LINES, "/bellwether run -- /bin/true"),
        (ASKED, "\"EVALSHA\""),
        (ASKED, &format!(r#""{lease}""#)),
        (&format!("key {lease}"), &format!(r#""pid":{pid},"#)),
    ] {
        let text = places.get(place).unwrap_or_else(|| panic!("no {place} in {:?}", places.keys()));
        assert!(text.contains(told), "{told} is not in {place}");
    }
    assert_eq!(places[TERMINATION_LOG], "", "nothing has ended");
}

/// Planted in each place, a secret is found there, and nowhere else.
fn whatever_is_planted_is_found(stage: &mut Stage) {
    let secret = |of: &str| stage.secret(of).to_owned();
    let planted = [
        ("log", secret("lease")),
        ("volume/planted", secret("url")),
        ("volume/.bellwether/log/tell.log", secret("need")),
        ("cwd/planted", secret("DB_PASSWORD")),
        ("tmp/planted", secret("SHOP_TOKEN")),
        (TERMINATION_LOG, secret("REDIS_PASS")),
        (COMMAND_LINES, secret("API_KEY")),
        (ASKED, secret("LOCK_REDIS_PASS")),
        ("key planted", secret("AWS_SECRET_ACCESS_KEY")),
    ];
    for (place, secret) in &planted[..6] {
        // What is absolute stays so.
        let mut file = OpenOptions::new().append(true).create(true).open(stage.path(place)).unwrap();
        writeln!(file, "planted: {secret}").unwrap();
    }
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "read -r _; : \"$0\"", &planted[6].1]).stdin(Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    let cmdline = format!("/proc/{}/cmdline", shell.id());
    wait_for("the shell", || fs::read_to_string(&cmdline).unwrap().contains("read -r").then_some(()));
    assert_eq!(stage.redis.cli(&["ECHO", &planted[7].1]), planted[7].1);
    assert_eq!(stage.redis.cli(&["SET", "planted", &planted[8].1]), "OK");
    let mut found = BTreeMap::new();
    for (place, text) in places(stage) {
        let here: Vec<String> = stage.found_in(&text).into_iter().map(|of| stage.secret(of).to_owned()).collect();
        found.extend((!here.is_empty()).then_some((place, here)));
    }
    shell.kill().unwrap();
    shell.wait().unwrap();
    let mut planted: BTreeMap<String, Vec<String>> =
        planted.into_iter().map(|(place, secret)| (place.to_owned(), vec![secret])).collect();
    // Whoever sets a key asks for it.
    let asked = planted.get_mut(ASKED).unwrap();
    asked.insert(0, stage.secret("AWS_SECRET_ACCESS_KEY").to_owned());
    assert_eq!(found, planted);
}

/// Everything in variables. `format` of the log.
fn in_variables(stage: &Stage, format: &str) -> Variables {
    let variables = VARIABLES.iter().filter(|name| **name != "API_KEY");
    let mut given: Variables = variables.map(|name| (*name, stage.secret(name).to_owned())).collect();
    given.push(("BELLWETHER_REDIS_URL", stage.url("lease")));
    given.push(("BELLWETHER_LOG_FORMAT", format.to_owned()));
    given
}

const ASKING: [&[&str]; 8] = [
    &["status"],
    &["status", "--json"],
    &["status", "--history"],
    &["plan"],
    &["plan", "--json"],
    &["doctor"],
    &["ready", "-v"],
    &["retry"],
];

fn a_boot_that_fails(test: &str, format: &str) {
    if !is_in_own_mounts(test) {
        return;
    }
    make_termination_log();
    let mut stage = Stage::new("1");
    let given = in_variables(&stage, format);
    stage.start(&given);
    is_at_work(&mut stage);
    // A step has its replica's variables, so it has told all of them: the search would have found them.
    let told = fs::read_to_string(stage.path("out/env")).unwrap();
    let known = stage.found_in(&told).len();
    assert_eq!(known, stage.secrets.len() - 1, "all but the password of the need: {told}");
    assert_eq!(stage.end(), Some(78));
    let places = places(&mut stage);
    nobody_sees_any(&stage, &places);
    let told = "it is ***, *** and *** at pg://shop:***@db/shop";
    for place in ["log", "volume/.failed_v1", "volume/.bellwether/log/tell.log", TERMINATION_LOG] {
        assert!(places[place].contains(told), "{place}: {}", places[place]);
    }
    assert!(places[TERMINATION_LOG].starts_with("step tell of revision v1 has failed for good: exit 1"));
    for words in ASKING {
        let output = stage.bellwether(words, &given).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("v1") && stage.found_in(&said).is_empty(), "{words:?}: {said}");
    }
    whatever_is_planted_is_found(&mut stage);
}

#[test]
fn no_secret_in_a_variable_is_seen_by_others() {
    a_boot_that_fails("secrets::no_secret_in_a_variable_is_seen_by_others", "text");
}

#[test]
fn nor_in_a_log_for_collectors() {
    a_boot_that_fails("secrets::nor_in_a_log_for_collectors", "json");
}

/// Each way to tell where the lease's Redis is, with a password.
fn ways(stage: &Stage) -> Vec<Variables> {
    let (host, port) = ("127.0.0.1".to_owned(), stage.redis.port().to_string());
    let in_file = || ("", stage.path("secret").display().to_string());
    let secret = |of: &'static str| (of, stage.secret(of).to_owned());
    let lock = || vec![("LOCK_REDIS_HOST", host.clone()), ("LOCK_REDIS_PORT", port.clone())];
    let queue = || vec![("REDIS_HOST", host.clone()), ("REDIS_QUEUE_PORT", port.clone())];
    vec![
        vec![("BELLWETHER_REDIS_URL", stage.url("lease"))],
        vec![("BELLWETHER_REDIS_URL_FILE", in_file().1)],
        [lock(), vec![secret("LOCK_REDIS_PASS")]].concat(),
        [lock(), vec![("LOCK_REDIS_PASS_FILE", in_file().1)]].concat(),
        [queue(), vec![secret("REDIS_PASS")]].concat(),
        [queue(), vec![("REDIS_PASS_FILE", in_file().1)]].concat(),
        vec![("REDIS_QUEUE", stage.url("lease"))],
        vec![("REDIS_QUEUE_FILE", in_file().1)],
    ]
}

/// What has to stand in the file of such a way.
fn in_file(stage: &Stage, way: &Variables) -> String {
    match way.iter().find_map(|(name, _)| name.strip_suffix("_FILE")) {
        Some(pass @ ("LOCK_REDIS_PASS" | "REDIS_PASS")) => stage.secret(pass).to_owned(),
        _ => stage.url("lease"),
    }
}

#[test]
fn nor_however_the_password_of_redis_is_told() {
    if !is_in_own_mounts("secrets::nor_however_the_password_of_redis_is_told") {
        return;
    }
    make_termination_log();
    for number in 0..8 {
        fs::write(TERMINATION_LOG, "").unwrap();
        let mut stage = Stage::new("1");
        let way = &ways(&stage)[number];
        stage.write_secretly("secret", &(in_file(&stage, way) + "\n"));
        let others = [("DB_PASSWORD", stage.secret("DB_PASSWORD").to_owned())];
        stage.start(&[&way[..], &others].concat());
        is_at_work(&mut stage);
        assert_eq!(stage.end(), Some(78), "{way:?}");
        let places = places(&mut stage);
        nobody_sees_any(&stage, &places);
        assert!(places[TERMINATION_LOG].contains("it is ***"), "{way:?}");
    }
}

/// Settings that come from files are in nobody's variables: a step under another user has no way to them.
#[test]
fn a_secret_in_a_file_is_out_of_reach_of_a_step_under_another_user() {
    if !is_in_own_mounts("secrets::a_secret_in_a_file_is_out_of_reach_of_a_step_under_another_user") {
        return;
    }
    make_termination_log();
    let mut stage = Stage::new("0");
    let file = stage.write_secretly("secret", &(stage.url("lease") + "\n"));
    let given = [
        ("BELLWETHER_REDIS_URL_FILE", file.display().to_string()),
        ("DB_PASSWORD", stage.secret("DB_PASSWORD").to_owned()),
    ];
    // One whose variables the step can read, as it can read its own: so it has looked.
    let variable = format!("of-{}", stage.path("").display());
    let _bystander = Bystander::start(&variable);
    stage.start(&given);
    is_at_work(&mut stage);
    let environs = fs::read_to_string(stage.path("out/environs")).unwrap();
    assert!(environs.contains(&format!("BYSTANDER={variable}\n")), "{environs}");
    let own = fs::read_to_string(stage.path("out/env")).unwrap();
    let known = ["API_KEY", "DB_PASSWORD", "url"].into();
    assert_eq!(stage.found_in(&own), known, "its replica's variables and its own: {own}");
    assert_eq!(stage.found_in(&environs), known, "neither what is in the file nor the need's");
    let leader = stage.leader.as_ref().unwrap().id();
    let environ = fs::metadata(format!("/proc/{leader}/environ")).unwrap();
    assert_eq!(environ.permissions().mode() & 0o077, 0, "nobody else may read a replica's variables");
    assert_eq!(stage.end(), Some(0));
    let places = places(&mut stage);
    nobody_sees_any(&stage, &places);
    assert!(places.contains_key("volume/.ready_v1") && places[TERMINATION_LOG].is_empty());
}

/// What is wrong with settings that hold a secret, and the variable or the word that has to be named.
fn refusals(stage: &Stage) -> Vec<(i32, &'static str, Variables)> {
    let (secret, port) = (stage.secret("lease"), stage.redis.port());
    let url = |text: String| vec![("BELLWETHER_REDIS_URL", text)];
    let file = stage.write_secretly("secret", secret).display().to_string();
    vec![
        (64, "BELLWETHER_REDIS_URL", url(format!("redis://lease:{secret}@127.0.0.1:{port}:{port}"))),
        (64, "BELLWETHER_REDIS_URL", url(format!("http://lease:{secret}@127.0.0.1"))),
        (64, "BELLWETHER_REDIS_URL", url(format!("lease:{secret}@127.0.0.1:{port}"))),
        (64, "LOCK_REDIS_HOST", vec![("LOCK_REDIS_HOST", format!("redis://lease:{secret}@127.0.0.1"))]),
        (64, "REDIS_QUEUE", vec![("REDIS_QUEUE", format!("redis://lease:{secret}@127.0.0.1:{port}/db/x"))]),
        (
            64,
            "LOCK_REDIS_PASS",
            vec![
                ("LOCK_REDIS_HOST", "127.0.0.1".to_owned()),
                ("LOCK_REDIS_PASS", stage.secret("LOCK_REDIS_PASS").to_owned()),
                ("LOCK_REDIS_PASS_FILE", file),
            ],
        ),
        (69, "WRONGPASS", url(format!("redis://need:{secret}@127.0.0.1:{port}"))),
        (75, "127.0.0.1", url(stage.url("lease"))),
    ]
}

/// The kubelet shows it to whoever may look at pods.
#[test]
fn nor_in_the_reason_of_a_refusal() {
    if !is_in_own_mounts("secrets::nor_in_the_reason_of_a_refusal") {
        return;
    }
    make_termination_log();
    let mut stage = Stage::new("0");
    let limits = [("BELLWETHER_REDIS_WAIT_SECS", "1".to_owned()), ("BELLWETHER_NEEDS_WAIT_SECS", "1".to_owned())];
    for (code, culprit, given) in refusals(&stage) {
        if code == 75 {
            // The lease can be had, and what the plan needs cannot.
            assert_eq!(stage.redis.cli(&["ACL", "SETUSER", "need", "resetpass"]), "OK");
        }
        fs::write(TERMINATION_LOG, "").unwrap();
        let output = stage.bellwether(&["run", "--", "/bin/true"], &[&given[..], &limits].concat()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        fs::write(stage.path("log"), &said).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        let places = places(&mut stage);
        nobody_sees_any(&stage, &places);
        for place in ["log", TERMINATION_LOG] {
            assert!(places[place].contains(culprit), "{culprit} is not in {place}: {}", places[place]);
        }
    }
}
