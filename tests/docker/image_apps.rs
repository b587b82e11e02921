//! The bench of an image: apps by `apps.json`, private ones with logins, and where those logins do not end.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::apps::{Apps, checkout, program};
use crate::docker::{Image, PROJECT, Said, docker, docker_in, name};
use crate::rollout::block;
use serde_json::json;

/// Of the apps in these tests; no two alike, and none that could stand anywhere by accident.
const PLAIN: &str = "plainTok3nOfAlphaJ7wq";
const SPECIAL: &str = "sp3c!al/?#[]@:%&=+ $Tok3nOfBeta";
const ALONE: &str = "al0neTok3nOfGammaX2mv";
const OTHER: &str = "0therTok3nOfDeltaK9tz";

/// As it has to stand in a URL.
const SPECIAL_IN_URL: &str = "sp3c%21al%2F%3F%23%5B%5D%40%3A%25%26%3D%2B%20%24Tok3nOfBeta";

/// The block of the page, with a tag of this test's.
fn build_as_the_readme_says(directory: &Path, tag: &str) -> Said {
    let docker = Path::new(PROJECT).join("tests/docker/bin");
    let path = format!("{}:{}", docker.display(), std::env::var("PATH").unwrap());
    let script = block("README.md", "build-argument").replace("frappe-prod-image:latest", tag);
    assert!(script.contains(tag), "{script}");
    Command::new("sh").current_dir(directory).args(["-euc", &script]).env("PATH", path).output().unwrap().into()
}

/// A build of the target `own-bench` in the project, with this as its secret.
fn build_with_secret(apps_json: &[u8], arguments: &[&str]) -> (Said, Image) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("apps.json");
    fs::write(&file, apps_json).unwrap();
    let image = Image::named(format!("{}:test", name("apps")));
    let secret = format!("id=apps_json,src={}", file.display());
    // The same secret is the same to the cache, whatever is in it; a list is told apart by this.
    let list = format!("FRAPPE_BRANCH={}", name("version"));
    let words = ["build", "--progress=plain", "--target=own-bench", "--secret", &secret, "--tag", &image];
    let said = docker(&[&words, arguments, &["--build-arg", &list, "."]].concat());
    (said, image)
}

fn refusal(apps_json: &[u8]) -> String {
    let (said, _image) = build_with_secret(apps_json, &[]);
    assert_ne!(said.code, Some(0), "{}", said.all());
    said.all()
}

/// Where these words stand in an image or in what its build said.
fn places(image: &str, said: &str, words: &[&str]) -> String {
    let found = Command::new("/usr/bin/python3")
        .arg(program("find"))
        .args([image, "frappe/base:version-15"])
        .args(words)
        .output()
        .unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    let spoken = words.iter().filter(|word| said.contains(**word)).map(|word| format!("output: {word}\n"));
    String::from_utf8(found.stdout).unwrap() + &spoken.collect::<String>()
}

fn in_image(image: &str, script: &str) -> Said {
    docker(&["run", "--rm", "--entrypoint", "sh", image, "-c", script])
}

/// A server of these tests, and a list with each kind of login.
fn private_apps() -> (Apps, serde_json::Value) {
    let special = format!("bot:{SPECIAL}");
    let apps = Apps::serve(
        &[
            ("/shop/alpha.git", Some(&format!("git:{PLAIN}"))),
            ("/shop/beta.git", Some(&special)),
            ("/shop/gamma", Some(&format!("{ALONE}:"))),
            ("/shop/delta.git", Some(&format!("oauth2:{OTHER}"))),
            ("/own/frappe", Some(&format!("git:{OTHER}"))),
            ("/shop/open.git", None),
        ],
        &[("/shop/delta", "/shop/delta.git")],
    );
    let list = json!([
        { "url": apps.url(&format!("git:{PLAIN}"), "/shop/alpha.git"), "branch": "version-15" },
        { "url": apps.url(&format!("bot:{SPECIAL_IN_URL}"), "/shop/beta.git/"), "branch": "main" },
        { "url": apps.url(ALONE, "/shop/gamma") },
        { "url": apps.url(&format!("oauth2:{OTHER}"), "/shop/delta"), "branch": "version-15" },
        { "url": apps.url("", "/shop/open.git"), "branch": "main" },
    ]);
    (apps, list)
}

#[test]
fn private_apps_come_in_by_a_secret_and_their_logins_stay_nowhere() {
    let (_apps, list) = private_apps();
    let (said, image) = build_with_secret(list.to_string().as_bytes(), &[]);
    let output = said.all();
    assert_eq!(said.code, Some(0), "{output}");
    assert!(output.contains("alpha (version-15), beta (main), gamma, delta (version-15), open (main)"), "{output}");
    assert!(!output.contains("init-bench: WARNING"), "{output}");

    // What is looked for is found where it is: this says so of a name in the bench.
    assert!(places(&image, "", &["Nothing but the README of an app."]).contains("apps/gamma/README.md"));
    assert!(places(&image, "", &["app_name = 'delta'"]).contains("apps/delta/delta/hooks.py"));
    let words = [PLAIN, SPECIAL, SPECIAL_IN_URL, ALONE, OTHER];
    assert_eq!(places(&image, &output, &words), "");

    let bench = in_image(
        &image,
        "cd frappe-bench && find . -name .git; ls -A sites logs; ls apps assets; stat -c %U . sites apps/beta",
    );
    let bench = bench.ok();
    assert!(bench.contains("sites:\n\nlogs") || bench.contains("logs:\n\nsites:\n"), "{bench}");
    assert!(bench.contains("assets.json") && bench.ends_with("frappe\nfrappe\nfrappe\n"), "{bench}");
    assert!(!bench.contains(".git"), "{bench}");
}

#[test]
fn the_build_command_of_old_works_and_warns_of_logins() {
    let (apps, list) = private_apps();
    let checkout = checkout();
    fs::write(checkout.path().join("apps.json"), list.to_string()).unwrap();
    let image = Image::named(format!("{}:latest", name("frappe-prod-image")));
    let said = build_as_the_readme_says(checkout.path(), &image);
    let output = said.all();
    assert_eq!(said.code, Some(0), "{output}");
    assert!(output.contains("WARNING: APPS_JSON_BASE64 has a login in it"), "{output}");
    let words = [PLAIN, SPECIAL, SPECIAL_IN_URL, ALONE, OTHER];
    assert_eq!(places(&image, &output, &words), "");
    assert!(in_image(&image, "ls apps && bellwether --version").ok().contains("gamma"));

    // Nobody is warned without need.
    let open = json!([{ "url": apps.url("", "/shop/open.git"), "branch": "version-15" }]);
    fs::write(checkout.path().join("apps.json"), open.to_string()).unwrap();
    let said = build_as_the_readme_says(checkout.path(), &image);
    let output = said.all();
    assert_eq!(said.code, Some(0), "{output}");
    assert!(!output.contains("init-bench: WARNING") && output.contains("open (version-15)"), "{output}");
}

#[test]
fn a_login_that_is_wrong_ends_the_build_with_the_name_of_the_app_and_asks_nobody() {
    let (apps, _) = private_apps();
    let wrong = json!([
        { "url": apps.url("", "/shop/open.git") },
        { "url": apps.url(&format!("git:{OTHER}"), "/shop/alpha.git"), "branch": "main" },
    ]);
    let output = refusal(wrong.to_string().as_bytes());
    assert!(output.contains("alpha: git cannot read http://127.0.0.1"), "{output}");
    assert!(output.contains("Authentication failed"), "{output}");
    assert!(!output.contains(OTHER) && !output.contains("Username for 'http"), "{output}");

    let none = json!([{ "url": apps.url("", "/shop/beta.git") }]);
    let output = refusal(none.to_string().as_bytes());
    assert!(output.contains("beta: git cannot read"), "{output}");
    assert!(output.contains("terminal prompts disabled"), "{output}");

    let branch = json!([{ "url": apps.url(&format!("git:{PLAIN}"), "/shop/alpha.git"), "branch": "version-99" }]);
    let output = refusal(branch.to_string().as_bytes());
    assert!(output.contains("alpha: ") && output.contains("has no branch or tag 'version-99'"), "{output}");
    assert!(!output.contains(PLAIN), "{output}");
}

#[test]
fn a_broken_list_is_refused_with_the_culprit_and_without_its_logins() {
    let table: [(&str, &[&str]); 8] = [
        (" \n", &["apps.json is empty; a bench without apps is []"]),
        (r#"[{"url": "https://x:TOKEN@h/o/a",}]"#, &["apps.json is not JSON (line 1, column"]),
        (r#"{"url": "https://x:TOKEN@h/o/a"}"#, &["apps.json is not a list of"]),
        (r#"["https://x:TOKEN@h/o/a"]"#, &["apps.json, number 1: is not {"]),
        (r#"[{"branch": "main"}, {"url": 7}]"#, &[r#"number 1: has no "url""#, r#"number 2: has no "url""#]),
        (r#"[{"url": "https://h/o/a", "branch": 15}]"#, &[r#"number 1: "branch" is not text"#]),
        (r#"[{"url": "https://x:TOK/EN@h/o/a"}]"#, &["number 1", "write / as %2F"]),
        (r#"[{"url": "https://h/o/a"}, {"url": "https://x:TOKEN@h/p/a.git"}]"#, &["number 2, a: is there twice"]),
    ];
    for (list, expected) in table {
        let output = refusal(list.as_bytes());
        for words in expected {
            assert!(output.contains(words), "{words:?} in {output}");
        }
        assert!(!output.contains("TOKEN") && !output.contains("Traceback"), "{output}");
    }
    let said = docker_in(
        Path::new(PROJECT),
        &["build", "--target=own-bench", "--build-arg", "APPS_JSON_BASE64=?", "."],
        [("NO_COLOR", OsStr::new("1"))],
    );
    assert_ne!(said.code, Some(0));
    assert!(said.all().contains("APPS_JSON_BASE64 is not base64"), "{}", said.all());
}

#[test]
fn a_frappe_of_ones_own_is_listed_and_ssh_is_left_alone() {
    let (apps, _) = private_apps();
    let directory = tempfile::tempdir().unwrap();
    // A bench that says how it is called.
    let bench = directory.path().join("bench");
    let script = "#!/bin/sh\necho \"bench $*\"; cat /dev/shm/*/apps.json; mkdir -p b/apps b/sites b/logs\n";
    fs::write(&bench, script).unwrap();
    fs::set_permissions(&bench, fs::Permissions::from_mode(0o755)).unwrap();
    let list = json!([
        { "url": apps.url("", "/shop/open.git"), "branch": "version-15" },
        { "url": "git@example.com:shop/one.git", "branch": "main" },
        { "url": "ssh://git@example.com:22/shop/two" },
        { "url": apps.url(&format!("git:{OTHER}"), "/own/frappe"), "branch": "main" },
    ]);
    fs::write(directory.path().join("apps.json"), list.to_string()).unwrap();
    fs::copy(format!("{PROJECT}/compose/build/init-bench"), directory.path().join("init-bench")).unwrap();
    let given = format!("{}:/given:ro", directory.path().display());
    let secret = format!("{}:/run/secrets/apps.json:ro", directory.path().join("apps.json").display());
    let script = "cd /tmp && PATH=/given:$PATH FRAPPE_PATH=https://example.com/frappe/frappe init-bench b";
    let image = "frappe/build:version-15";
    let said = docker(&["run", "--rm", "--network=host", "-v", &given, "-v", &secret, image, "sh", "-c", script]);
    let output = said.ok();
    let frappe = format!("--frappe-path {} ", apps.url("", "/own/frappe"));
    assert!(output.contains(&frappe) && output.contains("--frappe-branch main"), "{output}");
    let asked = output.lines().find(|line| line.starts_with('[')).unwrap();
    let asked: serde_json::Value = serde_json::from_str(asked.trim_end_matches(char::is_alphabetic)).unwrap();
    assert_eq!(asked, json!(list.as_array().unwrap()[..3]), "{output}");
}

/// `init-bench` by itself with this as its list: beside it a `bench` that says how it is called, and no engine.
fn init_bench(list: &str) -> Said {
    let directory = tempfile::tempdir().unwrap();
    let bench = directory.path().join("bench");
    fs::write(&bench, "#!/bin/sh\necho \"bench $*\"; mkdir -p b/apps b/sites b/logs\n").unwrap();
    fs::set_permissions(&bench, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
    let script = "APPS_JSON_BASE64=$(printf %s \"$LIST\" | base64 -w0) exec python3 \"$0\" b";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, &format!("{PROJECT}/compose/build/init-bench")]).current_dir(directory.path());
    shell.env("PATH", path).env("LIST", list).env("FRAPPE_PATH", "https://example.com/frappe/frappe");
    shell.output().unwrap().into()
}

#[test]
fn no_url_shows_a_login_wherever_it_is_written() {
    let table = [
        (r#"[{"url": "https://TOKEN@h"}, {"url": "https://TOKEN@h"}]"#, "number 2: the \"url\" names no repository"),
        (r#"[{"url": "https://TOKEN@h/"}]"#, "number 1: the \"url\" names no repository"),
        (r#"[{"url": "https://TOKEN@h/a"}, {"url": "https://h/a"}]"#, "number 2, a: is there twice"),
        (r#"[{"url": "https://h/o/a?private_token=TOKEN"}]"#, "number 1: has a \"?\" or \"#\""),
        (r#"[{"url": "https://h/o/a#TOKEN"}]"#, "number 1: has a \"?\" or \"#\""),
        (r#"[{"url": "git@h:o/a?TOKEN"}]"#, "number 1: has a \"?\" or \"#\""),
        (r#"[{"url": "https://x:TOK?EN@h/o/a"}]"#, "write / as %2F, ? as %3F"),
        (r#"[{"url": "https://x:TOKEN@h℀/o/a"}]"#, "number 1: the \"url\" has a host that is none"),
        (r#"[{"url": "ssh://x:TOKEN@h/o/a"}]"#, "number 1: has a password, which only"),
        (r#"[{"url": "FTP://x:TOKEN@h/o/a"}]"#, "number 1: has a password, which only"),
        (r#"[{"url": "x:TOKEN@h/o/a"}]"#, "number 1: has a password, which only"),
    ];
    for (list, expected) in table {
        let said = init_bench(list);
        assert_eq!(said.code, Some(1), "{list}: {}", said.all());
        assert!(said.stderr.contains(expected), "{list}: {}", said.all());
        let shows = |word: &&str| said.all().contains(word);
        assert!(!["TOK", "EN@", "Traceback", "bench init"].iter().any(shows), "{list}: {}", said.all());
    }
}

#[test]
fn a_url_that_has_no_password_is_passed_on_and_warned_of_by_nobody() {
    let urls = ["git@h:o/one.git", "h:o/two", "ssh://git@h:22/o/three", "ssh://h:22/o/four@5", "git://h/o/six"];
    let list: Vec<_> = urls.iter().map(|url| json!({ "url": url })).collect();
    let said = init_bench(&json!(list).to_string());
    assert_eq!(said.code, Some(0), "{}", said.all());
    let all = "the bench of frappe, one, two, three, four@5, six\n";
    assert!(said.stdout.contains(all) && said.stdout.contains("\nbench init --frappe-path"), "{}", said.all());
    assert!(!said.all().contains("WARNING"), "{}", said.all());
}
