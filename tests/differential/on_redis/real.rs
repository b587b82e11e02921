//! The real side: a server, the real client, and its scripts.

use std::time::Duration;

use bellwether::lease::{self, Holder};
use bellwether::protocol::Epoch;

use super::operations::{Operation, REPLICAS, What};
use super::{Answer, Left, Seen, expiry_of, span_of};
use crate::redis_server::{Monitor, RedisServer, free_port};
use crate::replica::{EPOCH, LEASE, PATIENT, Replica, server_of, start};

const ANNOUNCEMENT: &str = r#""PUBLISH" "bellwether:{flock}:events""#;

/// Lease and epoch, with what is left of them, from one of the server's databases to another.
const COPY: &str = "for _, key in ipairs(KEYS) do
    redis.call('SELECT', ARGV[2])
    redis.call('DEL', key)
    redis.call('SELECT', ARGV[1])
    redis.call('COPY', key, key, 'DB', ARGV[2])
end";

pub(crate) struct Real {
    redis: RedisServer,
    replicas: Vec<Replica>,
    monitor: Monitor,
    /// Where nobody answers.
    elsewhere: String,
}

impl Real {
    pub(crate) fn new() -> Real {
        let redis = RedisServer::start();
        let replicas = (0..REPLICAS).map(|number| start(number as u128 + 1, server_of(&redis), PATIENT)).collect();
        let (monitor, elsewhere) = (redis.monitor(), free_port().to_string());
        Real { redis, replicas, monitor, elsewhere }
    }

    /// As it was in the beginning.
    pub(crate) async fn reset(&mut self) {
        self.redis.cli(&["REPLICAOF", "NO", "ONE"]);
        self.redis.cli(&["FLUSHALL"]);
        for replica in &mut self.replicas {
            replica.client.set_epoch(None);
            assert_eq!(replica.renew().await, lease::Answer::NotMine);
        }
    }

    pub(crate) async fn perform(&mut self, operation: &Operation) -> (Answer, Left) {
        let answer = match operation.what {
            What::Acquire => self.replicas[operation.replica].acquire().await,
            What::Renew => self.replicas[operation.replica].renew().await,
            What::Release => return (self.release(operation.replica).await, Duration::ZERO),
            What::Lead => {
                self.replicas[operation.replica].client.set_epoch(Some(Epoch(operation.number)));
                return (Answer::Nothing, Duration::ZERO);
            }
            _ => {
                self.befall(operation);
                return (Answer::Nothing, Duration::ZERO);
            }
        };
        match answer {
            lease::Answer::Granted { epoch, .. } => (Answer::Granted(epoch), Duration::ZERO),
            lease::Answer::Denied { left, .. } => (Answer::Denied, left),
            lease::Answer::NotMine => (Answer::NotMine, Duration::ZERO),
            lease::Answer::Unreachable(_) => (Answer::Unreachable, Duration::ZERO),
            answer => panic!("{answer:?}"),
        }
    }

    async fn release(&mut self, number: usize) -> Answer {
        self.monitor.lines(&self.redis);
        let replica = &mut self.replicas[number];
        replica.client.release();
        // The answer to a later question says that it is over.
        replica.client.renew();
        let first = replica.answer().await;
        let is_released = !matches!(first, lease::Answer::NotReleased(_));
        let renewed = if is_released { first } else { replica.answer().await };
        assert!(!matches!(renewed, lease::Answer::Granted { .. }), "released, and renewed");
        let asked = self.monitor.lines(&self.redis);
        let announcements = asked.iter().filter(|line| line.contains(ANNOUNCEMENT)).count();
        match (is_released, announcements) {
            (true, 1) => Answer::Announced,
            (false, 0) => Answer::NotReleased,
            _ => Answer::Odd { is_released, announcements },
        }
    }

    /// What others do to the server. As a replica of nobody who answers it refuses to write, and keeps what it has.
    fn befall(&self, operation: &Operation) {
        let cli = |command: &[&str]| self.redis.cli(command);
        let span = i64::try_from(span_of(operation).as_millis()).unwrap();
        match operation.what {
            // The copy lies in another database.
            What::Flush => cli(&["FLUSHDB"]),
            What::Expire => cli(&["EXPIRE", LEASE, &expiry_of(operation).as_secs().to_string()]),
            What::Past => cli(&["PEXPIREAT", LEASE, "1"]),
            What::RunOut => {
                let told = cli(&["PEXPIRE", LEASE, "1"]);
                // By the server's clock, soon; a replica takes no orders.
                while told == "1" && self.left() >= 0 {}
                told
            }
            What::JumpAhead => self.move_end(-span),
            What::JumpBack => self.move_end(span),
            What::Replicate => cli(&["EVAL", COPY, "2", LEASE, EPOCH, "0", "1"]),
            What::FailOver => cli(&["EVAL", COPY, "2", LEASE, EPOCH, "1", "0"]),
            What::Intrude => cli(&["SET", LEASE, "intruder", "EX", "900"]),
            What::IntrudeForEver => cli(&["SET", LEASE, "intruder"]),
            What::Spoil => self.spoil(LEASE),
            What::SpoilEpoch => self.spoil(EPOCH),
            What::Garble => cli(&["SET", EPOCH, "many"]),
            What::ForgetScripts => cli(&["SCRIPT", "FLUSH"]),
            What::ReadOnly => cli(&["REPLICAOF", "127.0.0.1", &self.elsewhere]),
            What::Writable => cli(&["REPLICAOF", "NO", "ONE"]),
            other => unreachable!("{other:?} is a replica's"),
        };
    }

    /// What is no text stands there.
    fn spoil(&self, key: &str) -> String {
        self.redis.cli(&["DEL", key]);
        self.redis.cli(&["LPUSH", key, "x"])
    }

    fn left(&self) -> i64 {
        self.redis.cli(&["PTTL", LEASE]).parse().unwrap()
    }

    /// As if the server's clock had jumped: only the lease looks at it. Nobody asks when something else than a lease ends.
    fn move_end(&self, by: i64) -> String {
        let left = self.left();
        if left < 0 || self.redis.cli(&["GET", LEASE]).starts_with('-') {
            return String::new();
        }
        self.redis.cli(&["PEXPIRE", LEASE, &(left + by).to_string()])
    }

    /// Who has the lease (a number, or what else there is), the epoch, and what is left of the lease.
    pub(crate) fn look(&self) -> (Seen, Left) {
        let left = self.left();
        let value = self.redis.cli(&["GET", LEASE]);
        let holder = Holder::parse(&value).map(|holder| (holder.token.as_u128() - 1).to_string());
        let is_spoiled = value.starts_with('-');
        let who = holder.unwrap_or_else(|| if is_spoiled { "spoiled".to_owned() } else { value });
        let epoch = self.redis.cli(&["GET", EPOCH]).parse().unwrap_or(0);
        // What is no lease may end as well; nobody asks when.
        let left = if is_spoiled { 0 } else { u64::try_from(left).unwrap_or(0) };
        (Seen { who, epoch }, Duration::from_millis(left))
    }
}
