//! Redis is down for good: who needs it, who waits, and who gives up.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

use crate::scene::Scene;
use crate::stack::{Stack, Step};
use crate::wait::{SECOND, mtime, wait_until};

const MARKER: &str = ".migrate_in_progress_v1";

/// An address that is ours and on which nobody listens.
pub(crate) fn silent_address() -> (OwnedFd, SocketAddr) {
    let bound = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&bound, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = SocketAddr::try_from(getsockname(&bound).unwrap()).unwrap();
    (bound, address)
}

#[test]
fn a_ready_revision_starts_without_asking_redis() {
    let stack = Stack::new().step(Step::quick("migrate"));
    assert_eq!(stack.start_replica().wait(), 0);
    // Whoever connected would be seen here.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let (_bound, nobody) = silent_address();
    for url in [url, format!("redis://{nobody}"), "unix:///no/such/socket".to_owned()] {
        for role in ["1", "0"] {
            let mut warm = stack.replica().env("BELLWETHER_REDIS_URL", &url).env("IS_LEADER", role).start();
            assert_eq!((warm.wait(), warm.log()), (0, String::new()), "{url}");
        }
    }
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(stack.journal().count("serve", "-"), 7);
}

#[test]
fn without_redis_a_replica_that_may_lead_waits_as_long_as_it_is_told_and_then_gives_up() {
    let stack = Stack::new().step(Step::quick("migrate"));
    let (_bound, nobody) = silent_address();
    let launch = stack.replica().env("BELLWETHER_REDIS_URL", &format!("redis://{nobody}"));
    let before = stack.now();
    let mut replica = launch.env("BELLWETHER_REDIS_WAIT_SECS", "1").start();
    assert_eq!(replica.wait(), 69, "{}", replica.log());
    assert!(stack.now() >= before + SECOND);
    let log = replica.log();
    let last = log.lines().last().unwrap();
    for text in
        ["exit 69", "BELLWETHER_REDIS_WAIT_SECS", "no Redis for 1 s", "nobody listens at", "BELLWETHER_REDIS_URL"]
    {
        assert!(last.contains(text), "{text} is missing: {last}");
    }
    assert_eq!(stack.journal().entries(), []);
}

#[test]
fn while_a_step_is_seen_to_go_on_nobody_gives_up_on_redis() {
    // Shorter than the time between two beats.
    let mut stack = Stack::new().env("BELLWETHER_REDIS_WAIT_SECS", "0.3").step(Step::gated("migrate"));
    let mut scene = Scene::start(&stack);
    stack.redis_mut().kill();
    let since = stack.now();
    wait_until("beats without Redis", || mtime(&stack.path(MARKER)).unwrap() >= since + 3 * SECOND);
    for replica in scene.all() {
        replica.wait_said("nobody listens at");
        assert!(replica.is_running());
    }
    stack.open_gate("migrate");
    for replica in scene.all() {
        assert_eq!(replica.wait(), 0, "{}", replica.log());
    }
    assert_eq!((stack.journal().count("start", "migrate"), stack.journal().count("serve", "-")), (1, 3));
}

#[test]
fn a_replica_that_never_leads_needs_no_redis() {
    let stack = Stack::new().step(Step::gated("migrate")).env("BELLWETHER_REDIS_WAIT_SECS", "0.1");
    let (_bound, nobody) = silent_address();
    let url = format!("redis://{nobody}");
    let mut worker = stack.replica().env("IS_LEADER", "0").env("BELLWETHER_REDIS_URL", &url).start();
    worker.wait_said("FOLLOWER");
    let mut leader = stack.start_leader();
    stack.journal().wait("start", "migrate", 1);
    stack.open_gate("migrate");
    assert_eq!((leader.wait(), worker.wait()), (0, 0), "{}", worker.log());
    assert!(!worker.log().contains("WARN"), "{}", worker.log());
}
