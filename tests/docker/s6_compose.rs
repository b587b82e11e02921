//! The overrides of `compose/` whose containers have s6 in them.

use std::os::unix::fs::PermissionsExt;

use crate::docker::{Image, docker};
use crate::history::Past;
use crate::overrides::assert_knows_who_asks;
use crate::s6_stage::frappe_s6;
use crate::stack::{Stack, ask, inspect, wait_until_answered_at};
use crate::tls::{assert_served_with_our_certificate, make_certificate};
use crate::waiting::wait_for;

/// A stack whose image, for all services, is the target `frappe-s6`, by a name of its own.
fn stack(what: &str, overrides: &[&str]) -> (Stack, Image) {
    let stack = Stack::prepared(what, overrides);
    let image = format!("{}-image", stack.name);
    let tag = Image::named(format!("{image}:v1"));
    docker(&["tag", frappe_s6(), &tag]).ok();
    stack.set("IMAGE_NAME", &image);
    (stack, tag)
}

/// What runs in a container, by its command lines.
fn processes(container: &str) -> String {
    docker(&["exec", container, "ps", "-eo", "args"]).ok()
}

#[test]
fn identical_replicas_have_everything_in_them_but_one_scheduler_and_one_websocket() {
    let (stack, _image) = stack("replicas", &["replicas"]);
    stack.up(&["--scale", "web=3"]);
    stack.wait_until_ready("v1");
    assert_eq!(stack.wait_until_answered_by(3).len(), 3);
    Past(stack.volume()).assert_all_done_once("v1");
    for container in stack.containers("web") {
        for service in ["nginx", "gunicorn", "websocket", "worker-short", "worker-long"] {
            wait_for(service, || {
                (docker(&["exec", &container, "frappe-s6-health", service]).code == Some(0)).then_some(())
            });
        }
        assert!(!processes(&container).contains("processes.py schedule"), "{}", processes(&container));
        wait_for("healthy", || (inspect(&container, "{{.State.Health.Status}}") == "healthy").then_some(()));
    }
    let scheduler = &stack.containers("scheduler")[0];
    wait_for("the scheduler", || processes(scheduler).contains("processes.py schedule").then_some(()));
    let of_their_own = ["worker-short", "worker-long"].map(|service| stack.containers(service).len());
    assert_eq!(of_their_own, [0, 0], "there are some in each replica");
    assert_knows_who_asks(&stack.address("8080"));
    let stopped = stack.containers("web").remove(2);
    docker(&["stop", &stopped]).ok();
    assert_eq!(inspect(&stopped, "{{.State.ExitCode}}"), "0");
    assert_eq!(stack.wait_until_answered_by(2).len(), 2);
}

#[test]
fn one_container_has_nginx_gunicorn_and_websocket_at_its_port() {
    let (stack, _image) = stack("single", &["s6", "readonly"]);
    stack.up(&[]);
    stack.wait_until_ready("v1");
    let address = stack.compose(&["port", "web", "8080"]).ok().trim().to_owned();
    assert_eq!(wait_until_answered_at(&address, 1).len(), 1);
    let say = |path: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAccept-Encoding: gzip\r\n", crate::stack::SITE);
        ask(&address, &format!("{head}Connection: close\r\n\r\n")).unwrap()
    };
    let page = say(&format!("/app/{}", "long".repeat(200)));
    assert!(page.is(200) && page.0.contains("Content-Encoding: gzip"), "{page:?}");
    assert_knows_who_asks(&address);
    let web = &stack.containers("web")[0];
    assert_eq!(inspect(web, "{{.HostConfig.ReadonlyRootfs}} {{.Config.User}}"), "true frappe");
    // What it has in it is no service of its own, unless somebody asks for that.
    let counts = ["frontend", "websocket", "worker-short", "scheduler"].map(|service| stack.containers(service).len());
    assert_eq!(counts, [0, 0, 1, 1]);
}

#[test]
fn one_container_ends_tls_itself() {
    let (stack, _image) = stack("s6-https", &["s6", "s6-https"]);
    let certificates = stack.path("certs");
    std::fs::create_dir(&certificates).unwrap();
    make_certificate(&certificates);
    std::fs::set_permissions(stack.scratch.path(), PermissionsExt::from_mode(0o755)).unwrap();
    stack.set("TLS_DIR", certificates.to_str().unwrap());
    stack.set("HTTPS_PORT", "127.0.0.1:");
    stack.up(&["db", "redis-cache", "redis-queue", "web"]);
    stack.wait_until_ready("v1");
    assert_served_with_our_certificate(&stack, "web", "compose.s6-https.yaml");
}
