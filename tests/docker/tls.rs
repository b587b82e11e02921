//! HTTPS before a stack: by nginx with certificates of one's own, and by a proxy that gets its own.

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use crate::docker::docker;
use crate::stack::{SITE, SMALL, Stack, get, inspect};
use crate::waiting::wait_for;

/// Self-signed, for the image's user.
pub(crate) fn make_certificate(directory: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", &format!("/CN={SITE}")]);
    openssl.args(["-addext", &format!("subjectAltName=DNS:{SITE}"), "-keyout", "privkey.pem", "-out", "fullchain.pem"]);
    let output = openssl.current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    for name in ["privkey.pem", "fullchain.pem"] {
        chown(directory.join(name), Some(1000), Some(1000)).unwrap();
    }
}

/// What the site answers by HTTPS, with its headers. Nothing if it does not show a certificate of this authority.
fn ask(address: &str, authority: &Path, options: &[&str]) -> String {
    let url = format!("https://{SITE}:{}/api/method/ping", address.rsplit(':').next().unwrap());
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--fail", "--include", "--connect-to", &format!("{SITE}::127.0.0.1:"), "--cacert"]);
    let answer = curl.arg(authority).args(options).arg(&url).output().unwrap();
    String::from_utf8_lossy(&answer.stdout).into_owned()
}

/// The same of a service with the certificate in the stack's directory.
pub(crate) fn answer_of(stack: &Stack, service: &str) -> String {
    let address = stack.compose(&["port", service, "8443"]).ok();
    ask(address.trim(), &stack.path("certs/fullchain.pem"), &[])
}

#[test]
fn a_proxy_that_gets_its_certificate_stands_before_the_frontend() {
    let stack = Stack::prepared("proxy", &["letsencrypt"]);
    stack.set("HTTPS_PORT", "127.0.0.1:");
    stack.set("PROXY_PORT", "127.0.0.1:");
    stack.up(&[&["--scale", "web=1"], &SMALL[..], &["proxy"]].concat());
    stack.wait_until_ready("v1");
    let proxy = &stack.containers("proxy")[0];
    let address = stack.compose(&["port", "proxy", "443"]).ok();
    // For a name that is this machine's it is its own authority.
    let (theirs, ours) = ("/data/caddy/pki/authorities/local/root.crt", stack.path("root.crt"));
    let copy = || docker(&["cp", &format!("{proxy}:{theirs}"), ours.to_str().unwrap()]).code.filter(|code| *code == 0);
    wait_for("an authority", copy);
    let answer = wait_for("an answer through the proxy", || {
        Some(ask(address.trim(), &ours, &[])).filter(|answer| answer.contains("pong"))
    });
    assert!(answer.contains("\"scheme\": \"https\""), "the frontend takes the proxy's word: {answer}");
    wait_for("healthy", || (inspect(proxy, "{{.State.Health.Status}}") == "healthy").then_some(()));
}

/// With `compose.s6.yaml`: `web` is nginx, too.
#[track_caller]
pub(crate) fn assert_serves_by_https(stack: &Stack) {
    let answer =
        wait_for("an answer by HTTPS", || Some(answer_of(stack, "web")).filter(|answer| answer.contains("pong")));
    assert!(answer.contains("\"scheme\": \"https\""), "{answer}");
    let plain = stack.compose(&["port", "web", "8080"]).ok();
    let redirect = get(plain.trim(), "/app").unwrap();
    assert!(redirect.0.contains(&format!("Location: https://{SITE}/app\r\n")), "{redirect:?}");
    // By the command that stands in the file.
    make_certificate(&stack.path("certs"));
    assert_eq!(answer_of(stack, "web"), "", "the old one is still shown");
    let file = std::fs::read_to_string(stack.path("compose.s6-https.yaml")).unwrap();
    let renew = file.lines().find_map(|line| line.strip_prefix("# `")?.split('`').next()).unwrap();
    crate::rollout::type_in(stack, &renew.replace("exec web", "exec -T web")).ok();
    wait_for("the new certificate", || answer_of(stack, "web").contains("pong").then_some(()));
}
