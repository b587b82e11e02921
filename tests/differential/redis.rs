//! The fake Redis against a real server, which is asked by the real client with its scripts.

use std::time::Duration;

use bellwether::lease::{Answer, Holder};
use bellwether::process::boottime;
use bellwether::protocol::{Epoch, Event, Timestamp};
use bellwether::test_util::world::{FakeRedis, Key, Life};

use crate::chance::Chance;
use crate::redis_server::{RedisServer, free_port};
use crate::replica::{EPOCH, LEASE, PATIENT, Replica, TTL, server_of, start};
use crate::shrink::{check, seeds, shrink};

const REPLICAS: usize = 3;
const SEEDS: u64 = 250;
const LENGTH: usize = 45;

/// What was left of a lease differs by less: between both no more time goes by than an operation takes.
const TOLERANCE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
enum Operation {
    Acquire(usize),
    Renew(usize),
    Release(usize),
    /// From now on this replica's epoch is told.
    Lead(usize, u64),
    Flush,
    /// What is left of the lease is set to so many seconds.
    Expire(u64),
    /// It has run out by the server's clock.
    RunOut,
    /// Its expiry lies in the past.
    Past,
    Intrude,
    IntrudeForEver,
    Spoil,
    SpoilEpoch,
    /// Something that is no number stands in the epoch's key.
    Garble,
    ForgetScripts,
    ReadOnly,
    Writable,
}

fn choose(chance: &mut Chance) -> Operation {
    let replica = usize::try_from(chance.below(REPLICAS as u64)).unwrap();
    match chance.below(40) {
        0..10 => Operation::Acquire(replica),
        10..18 => Operation::Renew(replica),
        18..23 => Operation::Release(replica),
        23..26 => Operation::Lead(replica, chance.below(20)),
        26 => Operation::Flush,
        27 => Operation::Expire(20 + 100 * chance.below(3)),
        28 => Operation::RunOut,
        29 => Operation::Past,
        30 => Operation::Intrude,
        31 => Operation::IntrudeForEver,
        32 => Operation::Spoil,
        33 => Operation::SpoilEpoch,
        34 => Operation::Garble,
        35 => Operation::ForgetScripts,
        36 => Operation::ReadOnly,
        _ => Operation::Writable,
    }
}

/// An answer without its time.
#[derive(Debug, PartialEq)]
enum Told {
    Granted(Epoch),
    Denied,
    NotMine,
    Unreachable,
    NotReleased,
    Nothing,
}

struct Both {
    redis: RedisServer,
    replicas: Vec<Replica>,
    fake: FakeRedis,
    epochs: [Option<Epoch>; REPLICAS],
    elsewhere: String,
    /// The fake does not notice that it is emptied.
    lies: bool,
}

impl Both {
    fn new() -> Both {
        let redis = RedisServer::start();
        let replicas = (0..REPLICAS).map(|number| start(number as u128 + 1, server_of(&redis), PATIENT)).collect();
        let elsewhere = free_port().to_string();
        Both { redis, replicas, fake: FakeRedis::default(), epochs: [None; REPLICAS], elsewhere, lies: false }
    }

    async fn reset(&mut self) {
        self.redis.cli(&["REPLICAOF", "NO", "ONE"]);
        self.redis.cli(&["FLUSHALL"]);
        (self.fake, self.epochs) = (FakeRedis::default(), [None; REPLICAS]);
        for replica in &mut self.replicas {
            replica.client.set_epoch(None);
            assert_eq!(replica.renew().await, Answer::NotMine);
        }
    }

    /// The first difference, in words.
    async fn differ(&mut self, operations: &[Operation]) -> Option<String> {
        self.reset().await;
        for (number, &operation) in operations.iter().enumerate() {
            let (real, real_left) = self.perform(operation).await;
            let (fake, fake_left) = self.pretend(operation);
            if real != fake || real_left.abs_diff(fake_left) > TOLERANCE {
                let real = format!("{real:?}, left {real_left:?}");
                return Some(format!(
                    "operation {number}, {operation:?}: really {real}, pretended {fake:?}, {fake_left:?}"
                ));
            }
            let (real, fake) = (self.look(), self.pretend_look());
            if real.0 != fake.0 || real.1 != fake.1 || real.2.abs_diff(fake.2) > TOLERANCE {
                return Some(format!("after operation {number}, {operation:?}: really {real:?}, pretended {fake:?}"));
            }
        }
        None
    }

    async fn perform(&mut self, operation: Operation) -> (Told, Duration) {
        let (redis, elsewhere) = (&self.redis, self.elsewhere.as_str());
        let answer = match operation {
            Operation::Acquire(number) => self.replicas[number].acquire().await,
            Operation::Renew(number) => self.replicas[number].renew().await,
            Operation::Release(number) => {
                let replica = &mut self.replicas[number];
                replica.client.release();
                // The answer to a later question says that it is over.
                replica.client.renew();
                let first = replica.answer().await;
                let failed = matches!(first, Answer::NotReleased(_));
                let renewed = if failed { replica.answer().await } else { first };
                let ours = matches!(renewed, Answer::Granted { .. });
                assert!(!ours, "released, and renewed");
                return (if failed { Told::NotReleased } else { Told::Nothing }, Duration::ZERO);
            }
            Operation::Lead(number, epoch) => {
                self.replicas[number].client.set_epoch(Some(Epoch(epoch)));
                return (Told::Nothing, Duration::ZERO);
            }
            direct => {
                write_directly(redis, elsewhere, direct);
                return (Told::Nothing, Duration::ZERO);
            }
        };
        match answer {
            Answer::Granted { epoch, .. } => (Told::Granted(epoch), Duration::ZERO),
            Answer::Denied { left, .. } => (Told::Denied, left),
            Answer::NotMine => (Told::NotMine, Duration::ZERO),
            Answer::Unreachable(_) => (Told::Unreachable, Duration::ZERO),
            answer => panic!("{answer:?}"),
        }
    }

    fn pretend(&mut self, operation: Operation) -> (Told, Duration) {
        let (now, fake) = (boottime::now(), &mut self.fake);
        let event = match operation {
            Operation::Acquire(number) => fake.acquire(now, Life(number), now, TTL),
            Operation::Renew(number) => fake.renew(now, Life(number), now, TTL, self.epochs[number]),
            Operation::Release(number) => {
                self.epochs[number] = None;
                let told = if fake.release(now, Life(number)) { Told::Nothing } else { Told::NotReleased };
                return (told, Duration::ZERO);
            }
            Operation::Lead(number, epoch) => {
                self.epochs[number] = Some(Epoch(epoch));
                return (Told::Nothing, Duration::ZERO);
            }
            Operation::Flush if self.lies => return (Told::Nothing, Duration::ZERO),
            direct => {
                pretend_directly(fake, direct, now);
                return (Told::Nothing, Duration::ZERO);
            }
        };
        match event {
            Event::LeaseGranted { epoch, .. } => (Told::Granted(epoch), Duration::ZERO),
            Event::LeaseDenied { left, .. } => (Told::Denied, left),
            Event::LeaseNotMine => (Told::NotMine, Duration::ZERO),
            Event::LeaseUnreachable => (Told::Unreachable, Duration::ZERO),
            event => panic!("{event:?}"),
        }
    }

    /// Who has the lease (a number, or what else there is), the epoch, and what is left of the lease.
    fn look(&self) -> (String, u64, Duration) {
        let left = self.redis.cli(&["PTTL", LEASE]).parse::<i64>().unwrap();
        let value = self.redis.cli(&["GET", LEASE]);
        let holder = Holder::parse(&value).map(|holder| (holder.token.as_u128() - 1).to_string());
        let is_spoiled = value.starts_with('-');
        let who = holder.unwrap_or_else(|| if is_spoiled { "spoiled".to_owned() } else { value });
        let epoch = self.redis.cli(&["GET", EPOCH]).parse().unwrap_or(0);
        // What is no lease may end as well; nobody asks when.
        let left = if is_spoiled { 0 } else { u64::try_from(left).unwrap_or(0) };
        (who, epoch, Duration::from_millis(left))
    }

    fn pretend_look(&self) -> (String, u64, Duration) {
        let now = boottime::now();
        let (who, until) = match self.fake.key(now) {
            Key::Free => ("(nil)".to_owned(), None),
            Key::Held { by: Some(life), until } => (life.0.to_string(), until),
            Key::Held { by: None, until } => ("intruder".to_owned(), until),
            Key::Spoiled => ("spoiled".to_owned(), None),
        };
        let epoch = if self.fake.epoch_is_spoiled { 0 } else { self.fake.epoch.0 };
        (who, epoch, until.map_or(Duration::ZERO, |until| until.since(now)))
    }
}

/// What others do to the server.
fn write_directly(redis: &RedisServer, elsewhere: &str, operation: Operation) {
    match operation {
        Operation::Flush => redis.cli(&["FLUSHALL"]),
        Operation::Expire(secs) => redis.cli(&["EXPIRE", LEASE, &secs.to_string()]),
        Operation::Past => redis.cli(&["PEXPIREAT", LEASE, "1"]),
        Operation::RunOut => {
            let told = redis.cli(&["PEXPIRE", LEASE, "1"]);
            // By the server's clock, soon; a replica takes no orders.
            while told == "1" && redis.cli(&["PTTL", LEASE]).parse::<i64>().unwrap() >= 0 {}
            told
        }
        Operation::Intrude => redis.cli(&["SET", LEASE, "intruder", "EX", "900"]),
        Operation::IntrudeForEver => redis.cli(&["SET", LEASE, "intruder"]),
        Operation::Spoil => {
            redis.cli(&["DEL", LEASE]);
            redis.cli(&["LPUSH", LEASE, "x"])
        }
        Operation::SpoilEpoch => {
            redis.cli(&["DEL", EPOCH]);
            redis.cli(&["LPUSH", EPOCH, "x"])
        }
        Operation::Garble => redis.cli(&["SET", EPOCH, "many"]),
        Operation::ForgetScripts => redis.cli(&["SCRIPT", "FLUSH"]),
        // A replica of nobody who answers; it keeps what it has.
        Operation::ReadOnly => redis.cli(&["REPLICAOF", "127.0.0.1", elsewhere]),
        _ => redis.cli(&["REPLICAOF", "NO", "ONE"]),
    };
}

fn pretend_directly(fake: &mut FakeRedis, operation: Operation, now: Timestamp) {
    let intruder = |until| Key::Held { by: None, until };
    match operation {
        Operation::ReadOnly => fake.read_only = true,
        Operation::Writable => fake.read_only = false,
        Operation::ForgetScripts => {}
        // A replica takes no orders.
        _ if fake.read_only => {}
        Operation::Flush => fake.flush(),
        Operation::Expire(secs) => fake.expire_at(now + Duration::from_secs(secs)),
        // A list may expire as well.
        Operation::Past | Operation::RunOut => fake.put(Key::Free),
        Operation::Intrude => fake.put(intruder(Some(now + Duration::from_secs(900)))),
        Operation::IntrudeForEver => fake.put(intruder(None)),
        Operation::Spoil => fake.put(Key::Spoiled),
        Operation::SpoilEpoch => fake.epoch_is_spoiled = true,
        Operation::Garble => (fake.epoch, fake.epoch_is_spoiled) = (Epoch(0), false),
        other => unreachable!("{other:?} is a replica's"),
    }
}

fn operations(seed: u64) -> Vec<Operation> {
    let mut chance = Chance::new(seed);
    (0..LENGTH).map(|_| choose(&mut chance)).collect()
}

#[test]
fn a_fake_redis_that_forgets_nothing_is_found_out() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut both = runtime.block_on(async { Both::new() });
    both.lies = true;
    let shrunk =
        (1..20).find_map(|seed| shrink(&operations(seed), |operations| runtime.block_on(both.differ(operations))));
    let (left, found) = shrunk.unwrap();
    assert!(left.len() == 2 && matches!(left[1], Operation::Flush), "{left:?}");
    assert!(found.contains("Flush"), "{found}");
}

#[test]
fn the_fake_redis_answers_as_a_real_one() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut both = runtime.block_on(async { Both::new() });
    let mut done = 0;
    for seed in 1..=seeds(SEEDS) {
        let operations = operations(seed);
        check(seed, &operations, |operations| runtime.block_on(both.differ(operations)));
        done += operations.len();
    }
    assert!(done >= 10_000, "{done}");
}
