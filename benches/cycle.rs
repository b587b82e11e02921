//! Acquiring, renewing and releasing the lease, against the same three scripts sent by themselves and against a raw round trip:
//! for `benches/run lease`.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "its output are rows of the table")]

#[expect(dead_code, reason = "what tests use")]
#[path = "../tests/redis_server/mod.rs"]
mod redis_server;

use std::time::Duration;

use bellwether::lease::{Answer, Holder, LeaseClient, LeaseSetup, Server};
use redis::aio::MultiplexedConnection;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;
use uuid::Uuid;

use redis_server::RedisServer;

const TTL: Duration = Duration::from_secs(30);
const BUDGET: f64 = 1.3;
/// All take turns, so that a machine that changes its pace changes it for all.
const TURNS: u32 = 20;
const ROUNDS: u32 = 10_000;
/// Cycles whose requests are counted.
const COUNTED: u32 = 100;

/// Of the lease: to acquire, to renew and to release.
const SCRIPTS: [&str; 3] = [
    include_str!("../src/lease/scripts/acquire.lua"),
    include_str!("../src/lease/scripts/renew.lua"),
    include_str!("../src/lease/scripts/release.lua"),
];

/// The lease's client.
struct Ours {
    client: LeaseClient,
    answers: UnboundedReceiver<Answer>,
}

impl Ours {
    fn start(redis: &RedisServer) -> Ours {
        let holder = Holder {
            token: Uuid::from_u128(1),
            host: "bench".to_owned(),
            pid: 1,
            rev: "v1".to_owned(),
            epoch: None,
            ttl_ms: None,
        };
        let server = Server::parse(&redis.url()).unwrap();
        let setup = LeaseSetup { server, scope: "ours".to_owned(), holder, ttl: TTL, request_limit: TTL };
        let (answer, answers) = unbounded_channel();
        let client = LeaseClient::start(setup, move |told| {
            if !matches!(told, Answer::Announced) {
                answer.send(told).unwrap();
            }
        });
        Ours { client, answers }
    }

    async fn granted(&mut self) {
        let answer = self.answers.recv().await.unwrap();
        assert!(matches!(answer, Answer::Granted { .. }), "{answer:?}");
    }

    async fn cycle(&mut self) {
        self.client.acquire();
        self.granted().await;
        self.client.renew();
        self.granted().await;
        // Not answered: whoever asks for the lease next waits for it.
        self.client.release();
    }
}

/// The scripts by their digests, on one connection.
struct Bare {
    connection: MultiplexedConnection,
    digests: [String; 3],
}

impl Bare {
    async fn start(redis: &RedisServer) -> Bare {
        let client = redis::Client::open(redis.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut digests = Vec::new();
        for text in SCRIPTS {
            digests.push(redis::cmd("SCRIPT").arg("LOAD").arg(text).query_async(&mut connection).await.unwrap());
        }
        Bare { connection, digests: digests.try_into().unwrap() }
    }

    async fn cycle(&mut self) {
        let (mark, value) = ("{\"token\":\"2\"", "{\"token\":\"2\",\"host\":\"bench\",\"pid\":1,\"rev\":\"v1\"}");
        for digest in &self.digests[..2] {
            let mut command = redis::cmd("EVALSHA");
            command.arg(digest).arg(2).arg("bellwether:{bare}:lease").arg("bellwether:{bare}:epoch");
            command.arg(mark).arg(value).arg(TTL.as_secs() * 1000).arg(0);
            let (ours, ..): (bool, Option<String>, i64) = command.query_async(&mut self.connection).await.unwrap();
            assert!(ours);
        }
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.digests[2]).arg(1).arg("bellwether:{bare}:lease");
        command.arg(mark).arg("bellwether:{bare}:events").arg("2");
        let (ours, ..): (bool, Option<String>, i64) = command.query_async(&mut self.connection).await.unwrap();
        assert!(ours);
    }
}

/// Seconds that each took, per cycle or request.
struct Took {
    ours: f64,
    bare: f64,
    ping: f64,
}

async fn measure(redis: &RedisServer) -> Took {
    let (mut ours, mut bare) = (Ours::start(redis), Bare::start(redis).await);
    let mut spent = [Duration::ZERO; 3];
    for turn in 0..=TURNS {
        let begun = Instant::now();
        for _ in 0..ROUNDS / TURNS {
            ours.cycle().await;
        }
        // The last release is over when this is granted.
        ours.client.acquire();
        ours.granted().await;
        let first = Instant::now();
        for _ in 0..ROUNDS / TURNS {
            bare.cycle().await;
        }
        let second = Instant::now();
        for _ in 0..ROUNDS / TURNS {
            let (): () = redis::cmd("PING").query_async(&mut bare.connection).await.unwrap();
        }
        // The first turn warms up.
        if turn > 0 {
            for (spent, took) in spent.iter_mut().zip([first - begun, second - first, second.elapsed()]) {
                *spent += took;
            }
        }
    }
    let [ours, bare, ping] = spent.map(|spent| spent.as_secs_f64() / f64::from(ROUNDS));
    Took { ours, bare, ping }
}

/// Requests in a cycle of a client that has its connections.
struct Requests {
    /// To acquire, to renew and to release.
    each: [f64; 3],
    /// Of any other kind.
    other: f64,
}

/// Counted at Redis.
async fn requests(redis: &RedisServer) -> Requests {
    let mut ours = Ours::start(redis);
    // The first ones connect, and tell the server the scripts.
    ours.cycle().await;
    ours.client.acquire();
    ours.granted().await;
    let digests = Bare::start(redis).await.digests;
    let mut monitor = redis.monitor();
    for _ in 0..COUNTED {
        ours.cycle().await;
    }
    ours.client.acquire();
    ours.granted().await;
    // What scripts do by themselves is no request.
    let lines: Vec<_> = monitor.lines(redis).into_iter().filter(|line| !line.contains(" lua] ")).collect();
    let per_cycle = |count: usize| f64::from(u32::try_from(count).unwrap()) / f64::from(COUNTED);
    // A release sends its script in full.
    let mut counts = [0, 1, 2].map(|kind: usize| {
        let calls = [
            format!("\"EVALSHA\" \"{}\"", digests[kind]),
            format!("\"EVAL\" \"{}", SCRIPTS[kind].lines().next().unwrap()),
        ];
        lines.iter().filter(|line| calls.iter().any(|call| line.contains(call))).count()
    });
    let other = lines.len() - counts.iter().sum::<usize>();
    // The last one is of no cycle.
    counts[0] -= 1;
    Requests { each: counts.map(per_cycle), other: per_cycle(other) }
}

impl Requests {
    /// The row: one of each, and nothing else.
    fn tell(&self) {
        let Requests { each: [acquire, renew, release], other } = self;
        // Each count is of the same cycles: one too many of a kind is no less for one too few of another.
        let is_met = self.each.iter().all(|each| (each - 1.0).abs() < f64::EPSILON) && *other == 0.0;
        let met = if is_met { "yes" } else { "missed" };
        println!(
            "acquire, renew, release: round trips of each, and others\t\
             {acquire:.2}, {renew:.2}, {release:.2}, and {other:.2}\t\t\t= 1 each, and 0\t{met}"
        );
    }
}

fn met(value: f64, budget: f64) -> String {
    if value <= budget { "yes".to_owned() } else { format!("missed by {:.2}", value - budget) }
}

/// Rows for the table of `benches/run`.
fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut ended = runtime.block_on(async { signal(SignalKind::terminate()).unwrap() });
    let redis = RedisServer::start();
    let measured = runtime.block_on(async {
        tokio::select! {
            measured = async { (requests(&redis).await, measure(&redis).await) } => Some(measured),
            _ = ended.recv() => None,
        }
    });
    let Some((requests, Took { ours, bare, ping })) = measured else {
        drop(redis);
        std::process::exit(128 + Signal::TERM.as_raw());
    };
    let [cycle, alone, raw] = [ours, bare, ping].map(|took| format!("{:.0} µs", took * 1e6));
    let (to_bare, to_ping) = (ours / bare, ours / ping);
    requests.tell();
    println!(
        "acquire, renew, release, mean of {ROUNDS}\t{cycle}\tthe bare scripts: {alone}\t{to_bare:.2} ×\t≤ {BUDGET:.2} ×\t{}",
        met(to_bare, BUDGET)
    );
    println!("acquire, renew, release\t{cycle}\tone raw round trip (PING): {raw}\t{to_ping:.2} ×");
}
