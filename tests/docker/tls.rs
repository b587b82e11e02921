//! HTTPS before a stack: by nginx with certificates of one's own, and by a proxy that gets its own.

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use crate::docker::docker;
use crate::rollout::type_in;
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

/// What curl says if the certificate is not of the authority that it was told.
const NOT_OURS: i32 = 60;

/// What the site answers by HTTPS, with its headers, or curl's exit code.
fn ask(address: &str, authority: &Path, path: &str) -> Result<String, i32> {
    let port = address.trim().rsplit(':').next().unwrap();
    let origin = format!("https://{SITE}:{port}");
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--fail", "--include", "--max-time", "20", "--connect-to", &format!("{SITE}::127.0.0.1:")]);
    curl.args(["--header", &format!("Origin: {origin}"), "--header", "Cookie: sid=abc", "--cacert"]);
    let answer = curl.arg(authority).arg(format!("{origin}{path}")).output().unwrap();
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    if answer.status.success() { Ok(text) } else { Err(answer.status.code().unwrap()) }
}

/// The same of a service with the certificate in the stack's directory.
fn ask_service(stack: &Stack, service: &str, path: &str) -> Result<String, i32> {
    let address = stack.compose(&["port", service, "8443"]).ok();
    ask(&address, &stack.path("certs/fullchain.pem"), path)
}

/// The application knows that it is asked by HTTPS, and so marks its cookies; and live updates know whose they are.
#[track_caller]
fn assert_served(what: &str, ask: impl Fn(&str) -> Result<String, i32>) {
    let ping = wait_for(what, || ask("/api/method/ping").ok().filter(|answer| answer.contains("pong")));
    assert!(ping.contains("\"scheme\": \"https\""), "{what}: {ping}");
    let who = format!("owner of session abc of {SITE}");
    wait_for(&format!("{what}, its websocket server"), || {
        ask("/socket.io/?EIO=4").ok().filter(|answer| answer.contains(&who))
    });
}

/// By nginx, with the stack's certificate, which is renewed by the command that stands in the override.
#[track_caller]
pub(crate) fn assert_served_with_our_certificate(stack: &Stack, service: &str, file: &str) {
    assert_served(service, |path| ask_service(stack, service, path));
    let ping = || ask_service(stack, service, "/api/method/ping");
    assert!(ping().unwrap().contains("strict-transport-security: max-age=86400\r\n"), "{:?}", ping());
    // By HTTP one is sent there.
    let plain = stack.compose(&["port", service, "8080"]).ok();
    let redirect = wait_for("a redirect", || get(plain.trim(), "/app").filter(|answer| answer.is(301)));
    assert!(redirect.0.contains(&format!("Location: https://{SITE}/app\r\n")), "{redirect:?}");
    assert!(get(plain.trim(), "/nginx-health").unwrap().is(200));
    let container = &stack.containers(service)[0];
    wait_for("healthy", || (inspect(container, "{{.State.Health.Status}}") == "healthy").then_some(()));

    make_certificate(&stack.path("certs"));
    assert_eq!(ping(), Err(NOT_OURS), "the old one is still shown");
    let text = std::fs::read_to_string(stack.path(file)).unwrap();
    let renew = text.split_once("After a renewal:").unwrap().1.split('`').nth(1).unwrap();
    type_in(stack, &renew.replace("exec web", "exec -T web")).ok();
    wait_for("the new certificate", || ping().ok());
}

#[test]
fn a_proxy_that_gets_its_certificate_stands_before_the_frontend() {
    let stack = Stack::prepared("proxy", &["letsencrypt"]);
    stack.set("HTTPS_PORT", "127.0.0.1:");
    stack.set("PROXY_PORT", "127.0.0.1:");
    stack.up(&[&["--scale", "web=1"], &SMALL[..], &["websocket", "proxy"]].concat());
    stack.wait_until_ready("v1");
    let proxy = &stack.containers("proxy")[0];
    let address = stack.compose(&["port", "proxy", "443"]).ok();
    // For a name that is this machine's it is its own authority.
    let (theirs, ours) = ("/data/caddy/pki/authorities/local/root.crt", stack.path("root.crt"));
    let copy = || docker(&["cp", &format!("{proxy}:{theirs}"), ours.to_str().unwrap()]).code.filter(|code| *code == 0);
    wait_for("an authority", copy);
    assert_served("the proxy", |path| ask(&address, &ours, path));
    wait_for("healthy", || (inspect(proxy, "{{.State.Health.Status}}") == "healthy").then_some(()));
    // Whoever goes around it is not believed.
    let plain = stack.address("8080");
    let pretend = format!(
        "GET /api/method/ping HTTP/1.1\r\nHost: {SITE}\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n"
    );
    let answer = crate::stack::ask(&plain, &pretend).unwrap();
    assert!(answer.body().contains("\"scheme\": \"http\""), "{answer:?}");
}
