//! The examples under `examples/s6`, as they are.

use crate::backing::{Network, Volume};
use crate::docker::{Container, docker, docker_in, name, run_id};
use crate::s6_stage::{HARDENED, REV, Stage, UnderS6 as _, build, build_on_overlay, examples, frappe_s6};
use crate::waiting::wait_for;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::OnceLock;

/// The second way: Bellwether as a oneshot.
fn oneshot() -> String {
    let directory = examples().join("oneshot");
    let argument = format!("FRAPPE_S6_IMAGE={}", frappe_s6());
    let arguments = ["--build-arg", &argument, directory.to_str().unwrap()];
    build_on_overlay("oneshot", &arguments)
}

#[test]
fn services_of_a_oneshot_wait_for_it_and_a_stop_does_too() {
    let stage = Stage::new().ready();
    stage.in_volume(&format!("rm .ready_{REV}"));
    let image = oneshot();
    let follower = ["--env", "IS_LEADER=0", "--env", "FRAPPE_ROLE=web"];
    let a = stage.replica_of(&image, &follower);
    let b = stage.replica_of(&image, &follower);
    let c = stage.replica_of(&image, &[&follower[..], &["--env", "IMAGE_REV="]].concat());
    for replica in [&a, &b] {
        replica.wait_for_log("FOLLOWER");
        wait_for("s6 supervises gunicorn", || {
            (replica.exec(&["s6-svstat", "/run/service/gunicorn"]).code == Some(0)).then_some(())
        });
        assert_eq!(replica.up(), Vec::<String>::new());
    }
    assert_eq!(c.wait(), 1, "whatever Bellwether ended with: {}", c.logs());
    assert!(c.logs().contains("IMAGE_REV"), "{}", c.logs());
    // What the page warns of: s6-rc holds its lock until `up` ends, so a stop is not heard.
    assert_eq!(a.stop("2"), 137);
    assert_eq!(b.up(), Vec::<String>::new());
    stage.in_volume(&format!("touch .ready_{REV}"));
    b.wait_healthy();
    assert_eq!(b.up(), ["gunicorn", "nginx", "websocket"]);
    assert_eq!(b.stop("30"), 0);
}

/// A Compose project that is taken down, with its volumes, when this is dropped.
struct Shop {
    project: String,
}

/// The tag that compose.yaml gives the image, so nobody else's.
fn shop_rev() -> String {
    format!("r{}", run_id())
}

impl Shop {
    fn image() -> String {
        static IMAGE: OnceLock<String> = OnceLock::new();
        let build = || {
            let directory = examples().join("shop");
            let binary = format!("BELLWETHER_IMAGE={}", build("binary", &["--target", "binary", "."]));
            let revision = format!("IMAGE_REV={}", shop_rev());
            let arguments = ["--build-arg", &binary, "--build-arg", &revision, directory.to_str().unwrap()];
            build_on_overlay("shop", &arguments)
        };
        IMAGE.get_or_init(build).clone()
    }

    #[track_caller]
    fn up() -> Shop {
        docker(&["tag", &Shop::image(), &format!("shop:{}", shop_rev())]).ok();
        let shop = Shop { project: name("s6-shop") };
        shop.compose(&["up", "--detach", "--no-build", "--scale", "shop=2"]);
        shop
    }

    #[track_caller]
    fn compose(&self, words: &[&str]) -> String {
        let revision = shop_rev();
        let environment = [("IMAGE_REV", OsStr::new(&revision))];
        docker_in(
            &examples().join("shop"),
            &[&["compose", "--project-name", &self.project], words].concat(),
            environment,
        )
        .ok()
    }

    fn replicas(&self) -> Vec<Container> {
        self.compose(&["ps", "--quiet", "shop"]).lines().map(|id| Container { name: id.to_owned() }).collect()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        docker_in(
            &examples().join("shop"),
            &["compose", "--project-name", &self.project, "down", "--volumes", "--timeout", "1"],
            [("IMAGE_REV", OsStr::new(&shop_rev()))],
        );
        docker(&["rmi", &format!("shop:{}", shop_rev())]);
    }
}

/// The `instance_id`s that answer, and the containers they are in; each asked often enough for all to have a turn.
fn who_answers(replica: &Container) -> BTreeSet<String> {
    let said = replica
        .sh("for i in 1 2 3 4 5 6 7 8 9; do curl --fail --silent --show-error http://127.0.0.1:8080/api/health; done")
        .ok();
    assert_eq!(said.lines().count(), 9, "every request is answered: {said}");
    said.lines()
        .map(|line| line.split('"').skip_while(|word| *word != "instance_id").nth(2).unwrap().to_owned())
        .collect()
}

#[test]
fn a_shop_of_three_backends_serves_from_two_replicas_on_one_volume() {
    let shop = Shop::up();
    let replicas = shop.replicas();
    assert_eq!(replicas.len(), 2);
    let all = BTreeSet::from(["1", "2", "3"].map(str::to_owned));
    for replica in &replicas {
        replica.pid("nginx");
        wait_for("the shop answers", || {
            (replica.sh("curl --fail --silent http://127.0.0.1:8080/api/health").code == Some(0)).then_some(())
        });
        assert_eq!(who_answers(replica), all);
        let products = replica.sh("curl --silent --include --compressed http://127.0.0.1:8080/api/products").ok();
        assert!(products.contains("Content-Encoding: gzip") && products.contains("shears"), "{products}");
        assert_eq!(replica.up(), ["nginx", "shop-1", "shop-2", "shop-3"]);
    }
    let markers = replicas[0].sh("ls -A /srv/shop/shared").ok();
    for marker in ["config_checked", "migrated", "ready"] {
        assert!(markers.contains(&format!(".{marker}_{}", shop_rev())), "{markers}");
    }
    let led = replicas.iter().filter(|replica| replica.logs().contains("migration 3 of 3")).count();
    assert_eq!(led, 1, "one replica migrates");

    let before = replicas[0].pid("shop-2");
    replicas[0].sh(&format!("kill -KILL {before}")).ok();
    assert!(who_answers(&replicas[0]).contains("1"), "the others go on");
    wait_for("shop-2 is back", || (replicas[0].pid("shop-2") != before).then_some(()));
    wait_for("all three answer again", || (who_answers(&replicas[0]) == all).then_some(()));
    for replica in &replicas {
        assert_eq!(replica.stop("30"), 0);
    }
}

#[test]
fn a_shop_whose_configuration_is_wrong_fails_for_good() {
    let shop = Shop::image();
    let (volume, network) = (Volume::new(), Network::new());
    let _redis = network.server("redis", "redis:7-bookworm", &[]);
    let config = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    config.as_file().set_permissions(Permissions::from_mode(0o644)).unwrap();
    std::fs::write(config.path(), r#"{"title": "The shop", "page_size": "many", "colour": 1}"#).unwrap();
    let mounts =
        [format!("{}:/srv/shop/shared", &*volume), format!("{}:/srv/shop/config.json:ro", config.path().display())];
    let mut words = HARDENED.to_vec();
    words.extend(["--network", &network, "--volume", &mounts[0], "--volume", &mounts[1], &shop]);
    let replica = Container::start("s6-shop", &words);
    assert_eq!(replica.wait(), 78, "{}", replica.logs());
    for wrong in ["currency is missing", "page_size is no int", "colour is not known"] {
        assert!(replica.logs().contains(wrong), "{wrong}: {}", replica.logs());
    }
}
