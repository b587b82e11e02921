//! A real Django site: three replicas, one slow migration, and a leader that dies in the middle of it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod http;
#[expect(dead_code, reason = "what the tests of the lease use")]
#[path = "../redis_server/mod.rs"]
mod redis_server;
mod replica;
mod site;
mod venv;
#[expect(dead_code, reason = "what other tests use")]
#[path = "../it/wait.rs"]
mod wait;
#[path = "../waiting/mod.rs"]
mod waiting;

use serde_json::{Value, json};

use redis_server::RedisServer;
use site::Site;
use waiting::wait_for;

#[test]
fn a_migration_whose_leader_was_killed_is_applied_once_and_all_three_serve() {
    assert_is_migrated_once(&Site::new(None));
}

#[test]
fn elected_by_redis_a_migration_whose_leader_was_killed_is_applied_once_and_all_three_serve() {
    let redis = RedisServer::start();
    assert_is_migrated_once(&Site::new(Some(redis.url())));
}

fn assert_is_migrated_once(site: &Site) {
    site.hold();
    let mut replicas = [1, 2, 3].map(|number| site.start(number));
    let rows = wait_for("the slow migration to be in the middle", || Some(site.rows()).filter(|rows| !rows.is_empty()));
    let first_process = rows[0];
    let leader = wait_for("the marker to name its leader", || site.position_of_leader(&replicas));
    assert!(replicas.iter().all(|replica| !replica.has_begun_to_serve()), "{replicas:?}");

    replicas[leader].kill();
    let second_process =
        wait_for("another replica to migrate", || site.rows().into_iter().find(|&pid| pid != first_process));
    assert!(!wait::is_alive(first_process), "two migrations at once: {}", site.journal());
    let successor = wait_for("the marker to name the successor", || site.position_of_leader(&replicas));
    assert_ne!(successor, leader);
    replicas[leader] = site.start(4);
    wait_for("the restarted replica to follow", || replicas[leader].log().contains("FOLLOWER").then_some(()));
    assert!(replicas.iter().all(|replica| !replica.has_begun_to_serve()), "{replicas:?}");

    site.release();
    let ports = replicas.each_ref().map(|replica| wait_for("the server to listen", || replica.port()));
    assert_eq!(site.count("begin"), 2, "{}", site.journal());
    assert_eq!(site.count("committed"), 1, "{}", site.journal());
    assert!(site.journal().contains(&format!("committed pid={second_process}\n")), "{}", site.journal());
    for port in ports {
        assert_is_complete(port);
    }
}

/// The schema is complete, each migration recorded and applied once, and the collected stylesheet is served.
fn assert_is_complete(port: u16) {
    let answer = http::ask(port, "/state");
    let mut state: Value = serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    let stylesheet = state["stylesheet"].take();
    let expected = json!({
        "recorded": [
            "catalogue.0001_initial",
            "catalogue.0002_first_products",
            "catalogue.0003_product_cents",
            "catalogue.0004_fill_cents",
        ],
        "pending": [],
        "products": 20,
        // 1.25 + 2.25 + … + 20.25, once.
        "cents": 21_500,
        "stylesheet": null,
    });
    assert_eq!(state, expected);
    let stylesheet = http::ask(port, stylesheet.as_str().unwrap());
    assert!(stylesheet.head.contains("Content-Type: text/css"), "{stylesheet:?}");
    assert!(stylesheet.body.contains("the bellwether's stylesheet"), "{stylesheet:?}");
}
