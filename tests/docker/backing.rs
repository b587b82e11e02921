//! What a replica needs beside its image: a network with a database and a Redis, and a volume.

use crate::docker::{Container, Kept, Removal, docker, name};
use crate::waiting::wait_for;

#[derive(Debug)]
pub(crate) enum OfNetwork {}

impl Removal for OfNetwork {
    const WORDS: &'static [&'static str] = &["network", "rm"];
}

/// The name of a network.
pub(crate) type Network = Kept<OfNetwork>;

impl Network {
    #[track_caller]
    pub(crate) fn new() -> Network {
        let network = Network::named(name("network"));
        docker(&["network", "create", &network]).ok();
        network
    }

    /// A server whose host name is this.
    #[track_caller]
    pub(crate) fn server(&self, alias: &str, image: &str, options: &[&str]) -> Container {
        let words = [&["--network", self, "--network-alias", alias], options, &[image]].concat();
        Container::start(alias, &words)
    }
}

#[derive(Debug)]
pub(crate) enum OfVolume {}

impl Removal for OfVolume {
    const WORDS: &'static [&'static str] = &["volume", "rm", "--force"];
}

/// The name of a volume.
pub(crate) type Volume = Kept<OfVolume>;

impl Volume {
    #[track_caller]
    pub(crate) fn new() -> Volume {
        Volume::named(docker(&["volume", "create", &name("volume")]).ok().trim().to_owned())
    }
}

/// What `docker inspect` says.
#[track_caller]
pub(crate) fn inspect(container: &str, format: &str) -> String {
    docker(&["inspect", "--format", format, container]).ok().trim().to_owned()
}

/// The address of a container in its only network.
#[track_caller]
pub(crate) fn address_of(container: &str) -> String {
    inspect(container, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
}

/// Servers on a network of their own, and a volume, all empty. The servers go before the network and the volume.
#[derive(Debug)]
pub(crate) struct Backing {
    servers: Vec<Container>,
    pub(crate) network: Network,
    pub(crate) sites: Volume,
}

/// Whose site it is that `Backing::settings` speaks of.
pub(crate) const SITE: &str = "shop.example";

/// The directory of the volume in the images.
pub(crate) const SITES: &str = "/home/frappe/frappe-bench/sites";

impl Backing {
    /// With a Redis.
    #[track_caller]
    pub(crate) fn new() -> Backing {
        let network = Network::new();
        let redis = network.server("redis", "redis:7-bookworm", &[]);
        Backing { servers: vec![redis], network, sites: Volume::new() }
    }

    /// It may take a while until this answers.
    #[track_caller]
    pub(crate) fn with_database(mut self, password: &str) -> Backing {
        let password = format!("MARIADB_ROOT_PASSWORD={password}");
        self.servers.push(self.network.server("db", "mariadb:10.11", &["-e", &password]));
        self
    }

    /// With a database that answers.
    #[track_caller]
    pub(crate) fn start() -> Backing {
        let backing = Backing::new().with_database("root-of-tests");
        let database = &backing.servers[1];
        wait_for("a database that answers", || (database.exec(&["healthcheck.sh"]).code == Some(0)).then_some(()));
        backing
    }

    /// Of `docker run`: the volume where it belongs.
    pub(crate) fn mount(&self) -> String {
        format!("{}:{SITES}", &*self.sites)
    }

    /// Of `docker run`, for a replica of the revision.
    pub(crate) fn settings(&self) -> Vec<String> {
        let mut words = vec!["--network".to_owned(), self.network.to_owned(), "-v".to_owned(), self.mount()];
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
