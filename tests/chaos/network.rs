//! The round's network: each replica has a namespace of its own and a link to where Redis is. Everything is in namespaces of
//! the round, so all of it goes with the round's last process.

use std::io;
use std::process::{Command, Stdio};

use crate::run::run;

/// Where `ip netns` keeps its names; in the round's own view of the file system.
const NAMES: &str = "/run/netns";

/// What the filter is: two sets of links that are cut.
const FILTER: &str = "table inet chaos {
    set deaf { type ifname; }
    set mute { type ifname; }
    chain heard { type filter hook input priority 0; iifname @deaf counter drop; }
    chain said { type filter hook output priority 0; oifname @mute counter drop; }
}
";

/// Which way a link is cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    ToRedis,
    FromRedis,
    Both,
}

impl Way {
    fn sets(self) -> &'static [&'static str] {
        match self {
            Way::ToRedis => &["deaf"],
            Way::FromRedis => &["mute"],
            Way::Both => &["deaf", "mute"],
        }
    }
}

#[derive(Debug)]
pub(crate) struct Network {
    replicas: usize,
}

impl Network {
    /// For so many replicas, numbered from 0.
    pub(crate) fn new(replicas: usize) -> io::Result<Network> {
        run("mount", &["-t", "tmpfs", "tmpfs", "/run"])?;
        run("ip", &["link", "set", "lo", "up"])?;
        for nth in 0..replicas {
            let (name, link) = (name(nth), link(nth));
            run("ip", &["netns", "add", &name])?;
            run("ip", &["link", "add", "name", &link, "type", "veth", "peer", "name", "eth0", "netns", &name])?;
            run("ip", &["address", "add", &format!("{}/24", address(nth)), "dev", &link])?;
            run("ip", &["link", "set", &link, "up"])?;
            run("ip", &["-n", &name, "address", "add", &format!("10.77.{nth}.2/24"), "dev", "eth0"])?;
            run("ip", &["-n", &name, "link", "set", "eth0", "up"])?;
        }
        feed("nft", &["-f", "-"], FILTER)?;
        Ok(Network { replicas })
    }

    /// What stands before a replica's command line.
    pub(crate) fn prefix(nth: usize) -> Vec<String> {
        vec!["nsenter".to_owned(), format!("--net={NAMES}/{}", name(nth))]
    }

    pub(crate) fn cut(&self, nth: usize, way: Way) -> io::Result<()> {
        self.change("add", nth, way)
    }

    pub(crate) fn mend(&self, nth: usize, way: Way) -> io::Result<()> {
        self.change("delete", nth, way)
    }

    fn change(&self, verb: &str, nth: usize, way: Way) -> io::Result<()> {
        assert!(nth < self.replicas, "a link of ours");
        for set in way.sets() {
            let element = format!("{{ {} }}", link(nth));
            let changed = run("nft", &[verb, "element", "inet", "chaos", set, &element]);
            // What was cut twice is mended once.
            if verb == "add" {
                changed?;
            }
        }
        Ok(())
    }

    /// A thousand bytes a second towards the replica: an answer takes a tenth of a second and more.
    pub(crate) fn slow(nth: usize) -> io::Result<()> {
        let link = link(nth);
        run("tc", &["qdisc", "replace", "dev", &link, "root", "tbf", "rate", "8kbit", "burst", "1600", "latency", "9s"])
    }

    /// How many packets met a cut.
    pub(crate) fn dropped() -> io::Result<u64> {
        let output = Command::new("nft").args(["list", "table", "inet", "chaos"]).stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let counters = said.split("counter packets ").skip(1);
        let counts: Vec<u64> = counters.filter_map(|rest| rest.split(' ').next()?.parse().ok()).collect();
        // One for each way.
        let [heard, said] = counts[..] else { return Err(io::Error::other(format!("nft tells no counters: {said}"))) };
        Ok(heard + said)
    }

    pub(crate) fn mend_all(&self) -> io::Result<()> {
        run("nft", &["flush", "set", "inet", "chaos", "deaf"])?;
        run("nft", &["flush", "set", "inet", "chaos", "mute"])?;
        (0..self.replicas).for_each(Network::quicken);
        Ok(())
    }

    /// It may not have been slow.
    pub(crate) fn quicken(nth: usize) {
        let _ = run("tc", &["qdisc", "del", "dev", &link(nth), "root"]);
    }
}

/// Where a replica reaches Redis.
pub(crate) fn address(nth: usize) -> String {
    format!("10.77.{nth}.1")
}

fn name(nth: usize) -> String {
    format!("r{nth}")
}

fn link(nth: usize) -> String {
    format!("to-r{nth}")
}

fn feed(program: &str, arguments: &[&str], text: &str) -> io::Result<()> {
    use std::io::Write as _;
    let mut child = Command::new(program).args(arguments).stdin(Stdio::piped()).spawn()?;
    child.stdin.take().expect("a pipe").write_all(text.as_bytes())?;
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{program} {arguments:?}: {status}"))) }
}
