//! Which apps are installed, in which order, and what a new image brings.

use serde_json::json;

use crate::kill::wait_stopped;
use crate::stack::{Image, SITE, Stack};

const FOUR: Image = Image { apps: "frappe,alpha,beta,gamma,delta", requires: "beta:gamma", has_baked_assets: false };

fn quick(image: &Image) -> Stack {
    Stack::of(image, &[]).env("STANDIN_SPEED", "20").env("BELLWETHER_ASSETS", "skip")
}

/// The apps in the order in which `install-app` was called.
fn installs(stack: &Stack) -> Vec<String> {
    stack.trace().of("install-app").into_iter().map(|call| call.words()[1..].join(" ")).collect()
}

type Variables = &'static [(&'static str, &'static str)];

#[test]
fn apps_are_installed_in_the_order_asked_for_each_after_what_it_requires() {
    let table: [(Variables, &[&str]); 6] = [
        (&[("APPS", "delta, alpha")], &["delta", "alpha"]),
        (&[("APPS", "delta beta")], &["delta", "gamma", "beta"]),
        (&[("APPS", "frappe delta"), ("AUTO_INSTALL_NEW_APPS", "0")], &["delta"]),
        (&[("APPS", "delta"), ("AUTO_INSTALL_NEW_APPS", "1")], &["delta", "alpha", "gamma", "beta"]),
        (&[("AUTO_APPS_ALLOWLIST", "delta alpha")], &["alpha", "delta"]),
        (&[("AUTO_APPS_DENYLIST", "gamma,beta")], &["alpha", "delta"]),
    ];
    for (variables, expected) in table {
        let stack = variables.iter().fold(quick(&FOUR), |stack, (name, value)| stack.env(name, value));
        stack.boot_well();
        assert_eq!(installs(&stack), expected, "{variables:?}");
        let apps = [&["frappe"], expected].concat();
        let site = stack.check(SITE);
        assert_eq!((&site["apps"], &site["listed_apps"]), (&json!(apps), &json!(apps)), "{variables:?}");
    }
}

#[test]
fn what_a_new_image_brings_is_installed_and_then_migrated_and_no_site_is_created() {
    let stack = quick(&Image::default());
    stack.boot_well();
    stack.plant(SITE, "of v1");
    stack.make_image("v2", &Image { apps: "frappe,alpha,beta,gamma", requires: "gamma:beta", ..Image::default() });
    let stack = stack.env("IMAGE_REV", "v2");
    let before = stack.trace().0.len();
    stack.boot_well();
    let trace = crate::trace::Trace(stack.trace().0.split_off(before));
    assert_eq!(trace.deeds(), ["install-app", "migrate", "clear-cache"]);
    assert_eq!(trace.of("install-app")[0].words(), ["install-app", "gamma"]);
    let site = stack.check(SITE);
    assert_eq!(site["apps"], json!(["frappe", "alpha", "beta", "gamma"]));
    assert_eq!(site["canary"], json!(["of v1"]));
    let patches = json!({"alpha.patches.v2": 1, "beta.patches.v2": 1, "frappe.patches.v2": 1});
    assert_eq!(site["patches_run"], patches, "what a new app brings along is no work");
    for marker in [".site_created_v2", ".apps_installed_v2", ".migrated_v2", ".ready_v2"] {
        assert!(stack.has(marker), "{marker}");
    }
}

#[test]
fn an_app_that_was_interrupted_and_is_gone_from_the_next_image_is_refused_in_words() {
    let stack = quick(&Image::default()).env("STANDIN_STOP_AT", "install-app:sync");
    let mut replica = stack.start();
    wait_stopped(&stack, &mut replica);
    replica.kill_tree();
    stack.make_image("v2", &Image { apps: "frappe,beta", requires: "", ..Image::default() });
    std::fs::remove_dir_all(stack.bench().join("apps/alpha")).unwrap();
    let stack = stack.env("IMAGE_REV", "v2");
    let before = stack.trace().0.len();
    let (code, log) = stack.boot();
    assert_eq!(code, 78, "{log}");
    let words = format!(
        "an earlier revision was interrupted while it installed alpha in {SITE}, and this image lacks alpha; roll out an \
         image that has it"
    );
    assert!(log.contains(&words), "{log}");
    assert!(crate::trace::Trace(stack.trace().0.split_off(before)).deeds().is_empty(), "nothing else is tried");
    assert_eq!(stack.json(".failed_v2")["attempts"], 1);
    // An image that has it goes on, and with force.
    stack.make_image("v3", &Image { apps: "frappe,alpha,beta", ..Image::default() });
    let stack = stack.env("IMAGE_REV", "v3");
    stack.boot_well();
    assert_eq!(installs(&stack)[1..], ["alpha --force", "beta"]);
    let site = stack.check(SITE);
    assert_eq!(
        (&site["apps"], &site["hooks_run"]),
        (&json!(["frappe", "alpha", "beta"]), &json!({"alpha": 1, "beta": 1}))
    );
}

#[test]
fn an_app_that_cannot_be_installed_is_tried_again_with_force() {
    let stack = quick(&Image::default()).env("STANDIN_FAIL_AT", "install-app:sync:1");
    let log = stack.boot_well();
    assert_eq!(installs(&stack), ["alpha", "alpha --force", "beta"]);
    assert!(log.contains("bench --site a.localhost install-app alpha ended with exit code 1"), "{log}");
    assert_eq!(stack.json(".apps_installed_v1")["attempt"], 2);
    assert_eq!(stack.check(SITE)["hooks_run"], json!({"alpha": 1, "beta": 1}));
}
