//! Cold and warm starts.

use crate::stack::{SITE, Stack};

#[test]
fn three_replicas_do_everything_once_and_serve() {
    let stack = Stack::new();
    let mut replicas: Vec<_> = (0..3).map(|_| stack.start()).collect();
    for replica in &mut replicas {
        assert_eq!(replica.wait(), 0, "{}", replica.log());
        assert_eq!(replica.output(), "serves\n");
    }
    let trace = stack.trace();
    let mut deeds = trace.deeds();
    // It runs beside the others.
    deeds.retain(|deed| *deed != "build");
    let expected = ["new-site", "install-app", "install-app", "migrate", "clear-cache"];
    assert_eq!(deeds, expected);
    assert_eq!(trace.of("build").len(), 1);
    for marker in [".configured", ".site_created", ".apps_installed", ".migrated", ".assets_built", ".ready"] {
        assert!(stack.has(&format!("{marker}_v1")), "{marker}");
    }
    let site = stack.check(SITE);
    assert_eq!((&site["whole"], &site["maintenance"]), (&true.into(), &0.into()), "{site}");
    assert_eq!(site["apps"], serde_json::json!(["frappe", "alpha", "beta"]));
    assert_eq!(site["hooks_run"], serde_json::json!({"alpha": 1, "beta": 1}));
}

#[test]
fn a_warm_start_needs_neither_bench_nor_servers() {
    let stack = Stack::new();
    stack.boot_well();
    let calls = stack.trace().0.len();
    let (mut cache, mut queue) = (stack.cache.monitor(), stack.queue.monitor());
    std::fs::write(stack.server("down"), "").unwrap();
    let sessions = std::fs::read_to_string(stack.server("sessions")).unwrap();
    stack.boot_well();
    assert_eq!(stack.trace().0.len(), calls);
    assert_eq!(std::fs::read_to_string(stack.server("sessions")).unwrap(), sessions);
    assert_eq!(cache.lines(&stack.cache), Vec::<String>::new());
    assert_eq!(queue.lines(&stack.queue), Vec::<String>::new());
}

#[test]
fn a_site_that_the_revision_was_not_made_ready_for_is_told_of() {
    let stack = Stack::new();
    stack.boot_well();
    let stack = stack.env("SITE", "new.localhost");
    let log = stack.boot_well();
    assert!(log.contains("new.localhost is none of the sites of revision v1"), "{log}");
}
