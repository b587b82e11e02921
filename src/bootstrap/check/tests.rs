//! What a driver is told of what a program has said.

use std::process::Command;

use super::*;

/// Named like a secret, for a child of this test.
const TOKEN: &str = "BELLWETHER_TEST_TOKEN";

fn function() -> Step {
    Step::run("migrate", |_| async { Ok(()) })
}

fn setup(bootstrap: Bootstrap) -> Setup {
    bootstrap.build().unwrap().setup
}

fn masked(setup: &Setup, text: &str) -> bool {
    !setup.mask.mask(&format!("before {text} after")).contains(text)
}

#[test]
fn the_guard_is_proved_where_others_may_have_dropped_it_and_only_there() {
    let scratch = tempfile::tempdir().unwrap();
    for kind in [TrustKind::Local, TrustKind::Shared, TrustKind::Forgotten] {
        let built = setup(Bootstrap::new("v1", scratch.path()).step(function()));
        let finding = TrustFinding { trust: Trust::Trusted, kind, fs_name: String::new(), reason: String::new() };
        let bootstrap = Bootstrap::new("v1", scratch.path());
        let setup = bootstrap.setup(built.volume, built.plan, &finding, built.config, None);
        assert_eq!(setup.prove_guard, kind == TrustKind::Shared, "{kind:?}");
    }
}

#[test]
fn what_a_program_names_as_secret_is_masked() {
    let scratch = tempfile::tempdir().unwrap();
    let command = Step::command("assets", ["true"]).env("API_KEY", "of-the-step").env("PLAIN", "plain-value");
    let bootstrap = Bootstrap::new("v1", scratch.path()).step(function()).step(command).shim("/bin/sh").secret("shh");
    let setup = setup(bootstrap);
    assert!(masked(&setup, "of-the-step") && masked(&setup, "shh"));
    assert!(!masked(&setup, "plain-value"));
}

#[cfg(feature = "redis")]
#[test]
fn the_passwords_of_needs_and_of_the_lease_are_masked() {
    let scratch = tempfile::tempdir().unwrap();
    let bootstrap = Bootstrap::new("v1", scratch.path()).step(function()).need("redis://:of-a-need@queue");
    let setup = setup(bootstrap.redis("redis://:of-the-lease@db"));
    assert!(masked(&setup, "of-a-need") && masked(&setup, "of-the-lease"));
    assert!(!masked(&setup, "queue"));
}

/// The environment of a running test cannot be changed, so it is that of a child: this very test, once more.
#[test]
fn the_secrets_of_the_environment_are_masked() {
    if let Ok(token) = std::env::var(TOKEN) {
        let scratch = tempfile::tempdir().unwrap();
        return assert!(masked(&setup(Bootstrap::new("v1", scratch.path()).step(function())), &token));
    }
    let name = "bootstrap::check::tests::the_secrets_of_the_environment_are_masked";
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", name]).env(TOKEN, "of-the-environment").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[cfg(feature = "redis")]
#[test]
fn a_failure_of_redis_names_what_a_program_wrote() {
    let scratch = tempfile::tempdir().unwrap();
    let setup = setup(Bootstrap::new("v1", scratch.path()).step(function()).redis("redis://db"));
    let expected = Server::parse("redis://db").unwrap().with_origin(Origin::of(ORIGIN));
    assert_eq!(setup.lease.unwrap().server, expected);
}
