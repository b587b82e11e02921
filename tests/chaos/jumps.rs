//! Whether clocks that were to jump did: what is told of the time, against the machine's.

use rustix::time::{ClockId, clock_gettime};

use crate::journal::{Entry, What, now};
use crate::kind::Kind;
use crate::silence::ALL;

/// Stands behind a jump of Redis's clock that was seen.
pub(crate) const SHOWN: &str = "_shown";

/// Whether Redis's answer to TIME is so many seconds away from the machine's.
pub(crate) fn shows(time: &str, seconds: i64) -> bool {
    let told: Option<i64> = time.lines().next().and_then(|line| line.parse().ok());
    told.is_some_and(|told| is_away(told - clock_gettime(ClockId::Realtime).tv_sec, seconds))
}

/// Jumps of Redis's clock that it showed.
pub(crate) fn of_redis(entries: &[Entry]) -> u64 {
    let jumps = entries.iter().filter(|entry| is_jump(entry, Kind::RedisClockJump));
    jumps.filter(|entry| entry.detail.ends_with(SHOWN)).count() as u64
}

/// What the machine's clock was when the boot-time clock, which nothing moves, began.
pub(crate) fn began() -> i64 {
    clock_gettime(ClockId::Realtime).tv_sec - seconds(now())
}

/// Jumps of replicas' clocks that show in the times of what they said.
pub(crate) fn of_replicas(entries: &[Entry], log: &str, began: i64) -> u64 {
    let said: Vec<Said<'_>> = log.lines().filter_map(Said::parse).collect();
    let jumps: Vec<&Entry> = entries.iter().filter(|entry| is_jump(entry, Kind::ClockJump)).collect();
    let is_seen = |(nth, jump): &(usize, &&Entry)| {
        let until = jumps.get(nth + 1).map_or(u64::MAX, |next| next.at);
        let far = jump.detail.trim_end_matches('s').parse().expect("a jump tells its seconds");
        said.iter().any(|said| {
            let is_later = said.at > jump.at && said.at < until;
            let is_hit = jump.life == ALL || jump.replica() == said.replica;
            is_later && is_hit && is_away(said.stamp - began - seconds(said.at), far)
        })
    };
    jumps.iter().enumerate().filter(is_seen).count() as u64
}

fn is_jump(entry: &Entry, kind: Kind) -> bool {
    entry.what == What::Fault && entry.name == kind.word()
}

fn seconds(nanos: u64) -> i64 {
    i64::try_from(nanos / 1_000_000_000).expect("years at the most")
}

/// About so far: what is told is read a moment later.
fn is_away(found: i64, far: i64) -> bool {
    (found - far).abs() * 2 < far.abs()
}

/// A line of the round's log: `nanoseconds life 2026-01-31T23:59:59.123456Z …`.
struct Said<'a> {
    at: u64,
    replica: &'a str,
    /// Seconds since 1970.
    stamp: i64,
}

impl Said<'_> {
    fn parse(line: &str) -> Option<Said<'_>> {
        let mut words = line.split_ascii_whitespace();
        let (at, life, stamp) = (words.next()?, words.next()?, words.next()?);
        let (date, time) = stamp.strip_suffix('Z')?.split_once('T')?;
        let [year, month, day] = numbers(date, '-')?;
        let [hour, minute, second] = numbers(time.split('.').next()?, ':')?;
        let stamp = (days(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
        Some(Said { at: at.parse().ok()?, replica: life.split('.').next()?, stamp })
    }
}

fn numbers(text: &str, between: char) -> Option<[i64; 3]> {
    let numbers: Option<Vec<i64>> = text.split(between).map(|word| word.parse().ok()).collect();
    numbers?.try_into().ok()
}

/// From 1970 until this day, in a calendar whose years begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}
