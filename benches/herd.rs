//! Many replicas in one process: `herd COUNT REV VOLUME PLAN REDIS PIPE`. Writes `served` and the time to PIPE for each that
//! is ready, as `stamp` does.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]

use std::env;
use std::fs::{File, OpenOptions};
use std::io::Write as _;

use bellwether::{Bootstrap, Outcome};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use tokio::task::JoinSet;

/// Each replica has two connections.
fn allow_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// In one piece, so that nobody else writes in between.
fn stamp(mut pipe: &File) {
    let now = clock_gettime(ClockId::Realtime);
    pipe.write_all(format!("served {}{:09}\n", now.tv_sec, now.tv_nsec).as_bytes()).unwrap();
}

async fn serve(replica: Bootstrap, count: usize, pipe: &File) {
    let mut herd = JoinSet::new();
    for _ in 0..count {
        let running = replica.clone().build().unwrap().start().unwrap();
        let pipe = pipe.try_clone().unwrap();
        herd.spawn(async move {
            assert_eq!(running.await.unwrap(), Outcome::Ready);
            stamp(&pipe);
        });
    }
    while let Some(served) = herd.join_next().await {
        served.unwrap();
    }
}

fn main() {
    bellwether::shim_if_asked();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [count, rev, volume, plan, redis, pipe] = &arguments[..] else {
        panic!("usage: herd COUNT REV VOLUME PLAN REDIS PIPE");
    };
    allow_many_files();
    let pipe = OpenOptions::new().write(true).open(pipe).unwrap();
    let replica = Bootstrap::new(rev, volume).plan_file(plan).redis(redis);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(serve(replica, count.parse().unwrap(), &pipe));
}
