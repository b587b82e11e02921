//! How the world is broken, and mended.

use std::io;

use rustix::process::Signal;

use crate::jumps;
use crate::kind::Kind;
use crate::network::{Network, Way};
use crate::processes;
use crate::scene::Fault;
use crate::silence::ALL;
use crate::world::World;

/// What mends a silence of Redis, in the words of the journal.
pub(crate) const REDIS_STARTED: &str = "redis-started";
pub(crate) const REDIS_GOES_ON: &str = "redis-goes-on";
pub(crate) const REDIS_HAS_MEMORY: &str = "redis-has-memory";
pub(crate) const LINK_MENDED: &str = "link-mended";
pub(crate) const LINK_QUICK: &str = "link-quick";

/// What came of a fault.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It happened: where and how, for the journal, and what is to be undone after a while.
    Done { life: String, detail: String, undo: Option<Undo> },
    /// There is nobody yet whom it could hit.
    Later,
}

/// What mends it again. Each may be done twice, or too late.
#[derive(Debug)]
pub(crate) enum Undo {
    Thaw(Vec<i32>),
    ReviveRedis,
    ThawRedis,
    FailOver,
    Mend(Vec<usize>, Way),
    Quicken(usize),
    FreeVolume,
    AllowWriting,
    GiveMemory,
}

impl Undo {
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Undo::Thaw(_) => "goes-on",
            Undo::ReviveRedis => REDIS_STARTED,
            Undo::ThawRedis => REDIS_GOES_ON,
            Undo::FailOver => "copy-promoted",
            Undo::Mend(..) => LINK_MENDED,
            Undo::Quicken(_) => LINK_QUICK,
            Undo::FreeVolume => "volume-freed",
            Undo::AllowWriting => "volume-writable",
            Undo::GiveMemory => REDIS_HAS_MEMORY,
        }
    }

    /// Whose link is mended, if that is all.
    pub(crate) fn whom(&self) -> String {
        match self {
            Undo::Mend(whom, _) if whom.len() > 1 => ALL.to_owned(),
            Undo::Mend(whom, _) => format!("r{}", whom[0]),
            Undo::Quicken(nth) => format!("r{nth}"),
            _ => "-".to_owned(),
        }
    }
}

fn done(life: &str, detail: &str, undo: Option<Undo>) -> Outcome {
    Outcome::Done { life: life.to_owned(), detail: detail.to_owned(), undo }
}

impl World {
    /// Breaks it. A failure means that it could not be done at this moment, because something else is broken.
    pub(crate) fn inflict(&mut self, fault: &Fault) -> io::Result<Outcome> {
        match fault.kind {
            Kind::KillLeader | Kind::KillAny | Kind::KillShim | Kind::KillTree | Kind::TermLeader => {
                Ok(self.end(fault))
            }
            Kind::FreezeLeader | Kind::FreezeAny | Kind::FreezeTree => Ok(self.freeze(fault)),
            Kind::CutToRedis => self.cut(fault, Way::ToRedis),
            Kind::CutFromRedis => self.cut(fault, Way::FromRedis),
            Kind::CutBoth => self.cut(fault, Way::Both),
            Kind::SlowLink => {
                let Some(whom) = self.leader_or(fault.whom) else { return Ok(Outcome::Later) };
                Network::slow(whom)?;
                Ok(done(&self.replicas[whom].life(), "-", Some(Undo::Quicken(whom))))
            }
            Kind::VolumeFull => {
                self.volume.fill()?;
                Ok(done("-", "-", Some(Undo::FreeVolume)))
            }
            Kind::VolumeReadOnly => {
                if self.volume.is_read_only() {
                    return Ok(Outcome::Later);
                }
                let how = self.volume.forbid_writing()?;
                Ok(done("-", how, Some(Undo::AllowWriting)))
            }
            Kind::ClockJump => self.jump(fault.whom),
            Kind::RedisClockJump => {
                let seconds = [5, 3600, -2, -3600][fault.whom % 4];
                self.redis_clock.jump(seconds)?;
                self.redis_clock_has_moved = true;
                // Not to be asked now, where something else has silenced it.
                let time = self.redis.as_ref().and_then(|redis| redis.ask(&["TIME"]).ok());
                let shown = if time.is_some_and(|time| jumps::shows(&time, seconds)) { jumps::SHOWN } else { "" };
                Ok(done("-", &format!("{seconds:+}s{shown}"), None))
            }
            _ => self.break_redis(fault),
        }
    }

    fn end(&mut self, fault: &Fault) -> Outcome {
        let any = fault.whom % self.replicas.len();
        let whom = if fault.kind == Kind::KillAny { Some(any) } else { self.leader() };
        let Some(whom) = whom else { return Outcome::Later };
        let replica = &self.replicas[whom];
        let Some(pid) = replica.pid else { return Outcome::Later };
        let mut hit = vec![pid];
        match fault.kind {
            Kind::TermLeader => processes::signal(pid, Signal::TERM),
            Kind::KillShim => {
                hit = processes::children_called(pid, &self.binary);
                if hit.is_empty() {
                    return Outcome::Later;
                }
                processes::signal_all(&hit, Signal::KILL);
            }
            Kind::KillTree => hit = processes::kill_all_bearing(&replica.mark()),
            // Frozen, it has not seen its shims go: what they kept would stay, where no container ends with it all (README,
            // *Non-guarantees*).
            _ if processes::is_stopped(pid) && processes::children_called(pid, &self.binary).is_empty() => {
                hit = processes::kill_all_bearing(&replica.mark());
            }
            _ => processes::signal(pid, Signal::KILL),
        }
        hit.sort_unstable();
        hit.dedup();
        let hit: Vec<String> = hit.iter().map(ToString::to_string).collect();
        done(&replica.life(), &hit.join(","), None)
    }

    fn freeze(&mut self, fault: &Fault) -> Outcome {
        let any = fault.whom % self.replicas.len();
        let whom = if fault.kind == Kind::FreezeAny { Some(any) } else { self.leader() };
        let Some(whom) = whom else { return Outcome::Later };
        let replica = &self.replicas[whom];
        let Some(pid) = replica.pid else { return Outcome::Later };
        let hit = if fault.kind == Kind::FreezeTree { processes::bearing(&replica.mark()) } else { vec![pid] };
        processes::signal_all(&hit, Signal::STOP);
        done(&replica.life(), &format!("{}_processes", hit.len()), Some(Undo::Thaw(hit)))
    }

    fn cut(&mut self, fault: &Fault, way: Way) -> io::Result<Outcome> {
        let everybody = fault.whom % 5 == 4;
        let Some(leader) = self.leader_or(fault.whom) else { return Ok(Outcome::Later) };
        let whom: Vec<usize> = if everybody { (0..self.replicas.len()).collect() } else { vec![leader] };
        let network = self.network.as_ref().expect("with a Redis there is a network");
        for &nth in &whom {
            network.cut(nth, way)?;
        }
        let life = if everybody { ALL.to_owned() } else { self.replicas[leader].life() };
        Ok(done(&life, "-", Some(Undo::Mend(whom, way))))
    }

    /// The clocks of all, or of one.
    fn jump(&mut self, whom: usize) -> io::Result<Outcome> {
        let seconds = [3600, -3600, 7, -7, 34_560_000][whom % 5];
        if whom.is_multiple_of(2) {
            self.clocks.iter().try_for_each(|clock| clock.jump(seconds))?;
            return Ok(done(ALL, &format!("{seconds:+}s"), None));
        }
        let Some(leader) = self.leader_or(whom) else { return Ok(Outcome::Later) };
        self.clocks[leader].jump(seconds)?;
        Ok(done(&self.replicas[leader].life(), &format!("{seconds:+}s"), None))
    }

    fn break_redis(&mut self, fault: &Fault) -> io::Result<Outcome> {
        let redis = self.redis.as_mut().expect("this kind takes a Redis");
        let happened = |undo| Ok(done("-", "-", undo));
        match fault.kind {
            Kind::RedisEmptied => {
                redis.kill();
                happened(Some(Undo::ReviveRedis))
            }
            Kind::RedisFrozen => {
                redis.freeze();
                happened(Some(Undo::ThawRedis))
            }
            Kind::RedisPaused => {
                let what = if fault.whom.is_multiple_of(3) { "WRITE" } else { "ALL" };
                let millis = fault.lasts.as_millis().to_string();
                redis.ask(&["CLIENT", "PAUSE", &millis, what])?;
                self.redis_was_paused = true;
                Ok(done("-", &millis, None))
            }
            Kind::RedisFlushed => redis.ask(&["FLUSHALL"]).and_then(|_| happened(None)),
            Kind::ScriptsFlushed => redis.ask(&["SCRIPT", "FLUSH"]).and_then(|_| happened(None)),
            Kind::StaleFailover => {
                if redis.part_copy()? {
                    happened(Some(Undo::FailOver))
                } else {
                    Ok(Outcome::Later)
                }
            }
            Kind::LeaseDeleted | Kind::LeaseEvicted => {
                let Some(lease) = redis.lease()? else { return Ok(Outcome::Later) };
                if fault.kind == Kind::LeaseDeleted {
                    redis.ask(&["DEL", &lease])?;
                    return happened(None);
                }
                redis.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random", "maxmemory", "1"])?;
                // It goes at the latest when somebody writes.
                let _ = redis.ask(&["SET", "bellwether-chaos", "1"]);
                if redis.lease().is_ok_and(|lease| lease.is_none()) {
                    return happened(Some(Undo::GiveMemory));
                }
                redis.ask(&["CONFIG", "SET", "maxmemory", "0"])?;
                Ok(Outcome::Later)
            }
            kind => unreachable!("{kind:?} breaks something else"),
        }
    }

    pub(crate) fn undo(&mut self, undo: &Undo) -> io::Result<()> {
        match undo {
            Undo::Thaw(pids) => processes::signal_all(pids, Signal::CONT),
            Undo::Mend(whom, way) => {
                let network = self.network.as_ref().expect("it was cut");
                whom.iter().try_for_each(|&nth| network.mend(nth, *way))?;
            }
            Undo::Quicken(nth) => Network::quicken(*nth),
            Undo::FreeVolume => self.volume.free()?,
            Undo::AllowWriting => self.volume.allow_writing()?,
            Undo::ReviveRedis => self.redis_mut().revive()?,
            Undo::ThawRedis => self.redis_mut().thaw(),
            Undo::FailOver => self.redis_mut().fail_over()?,
            Undo::GiveMemory => drop(self.redis_mut().ask(&["CONFIG", "SET", "maxmemory", "0"])?),
        }
        Ok(())
    }

    fn redis_mut(&mut self) -> &mut crate::redis::Redis {
        self.redis.as_mut().expect("it was broken")
    }

    /// Whatever is broken: links, volume, Redis, and whoever does not go on. What is still to be done when Redis answers is
    /// given back.
    pub(crate) fn heal(&mut self) -> io::Result<Option<Undo>> {
        processes::signal_all(&processes::all_but_first(), Signal::CONT);
        self.volume.allow_writing()?;
        self.volume.free()?;
        if let Some(network) = &self.network {
            network.mend_all()?;
        }
        if let Some(redis) = &mut self.redis {
            redis.drop_copy();
            // A server whose clock was put back in a pause pauses for an hour, and hears not even CLIENT UNPAUSE then: it is
            // started anew with the right time, as somebody would.
            if self.redis_clock_has_moved && self.redis_was_paused {
                redis.kill();
                self.redis_clock.jump(0)?;
            }
            redis.revive()?;
        }
        Ok(self.redis.as_ref().map(|_| Undo::GiveMemory))
    }
}
