//! What a replica needs beside its image: a network with a database and a Redis, and a volume.

use crate::docker::{Container, docker, name};
use crate::waiting::wait_for;

/// Goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Network(pub(crate) String);

impl Drop for Network {
    fn drop(&mut self) {
        docker(&["network", "rm", &self.0]);
    }
}

/// Goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Volume(pub(crate) String);

impl Volume {
    pub(crate) fn new() -> Volume {
        Volume(docker(&["volume", "create", &name("volume")]).ok().trim().to_owned())
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        docker(&["volume", "rm", "--force", &self.0]);
    }
}

/// A database and a Redis, both empty, on a network of their own. The servers go before the network and the volume.
#[derive(Debug)]
pub(crate) struct Backing {
    _servers: [Container; 2],
    pub(crate) network: Network,
    pub(crate) sites: Volume,
}

/// Whose site it is that `Backing::settings` speaks of.
pub(crate) const SITE: &str = "shop.example";

impl Backing {
    pub(crate) fn start() -> Backing {
        let network = Network(name("network"));
        docker(&["network", "create", &network.0]).ok();
        let on = |alias| ["--network", &network.0, "--network-alias", alias];
        let password = ["-e", "MARIADB_ROOT_PASSWORD=root-of-tests", "mariadb:10.11"];
        let database = Container::start("db", &[&on("db")[..], &password].concat());
        let redis = Container::start("redis", &[&on("redis")[..], &["redis:7-bookworm"]].concat());
        wait_for("a database that answers", || (database.exec(&["healthcheck.sh"]).code == Some(0)).then_some(()));
        Backing { _servers: [database, redis], network, sites: Volume::new() }
    }

    /// Of `docker run`, for a replica of the revision.
    pub(crate) fn settings(&self) -> Vec<String> {
        let mut words = vec!["--network".to_owned(), self.network.0.clone(), "-v".to_owned()];
        words.push(format!("{}:/home/frappe/frappe-bench/sites", self.sites.0));
        for setting in [
            &format!("SITE={SITE}"),
            "ADMIN_PASSWORD=admin-of-tests",
            "DB_HOST=db",
            "DB_ROOT_PASSWORD=root-of-tests",
            "REDIS_CACHE=redis:6379",
            "REDIS_QUEUE=redis:6379",
        ] {
            words.extend(["-e".to_owned(), setting.to_owned()]);
        }
        words
    }
}
