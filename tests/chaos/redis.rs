//! The round's Redis servers: the one that replicas speak to, and a copy of it that can take its place.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rustix::process::Signal;

use crate::clock::RedisClock;
use crate::journal::{Journal, now};
use crate::monitor;
use crate::processes;
use crate::resp::Conversation;

/// In the round's own network there is nobody else.
pub(crate) const PORT: u16 = 6379;
const COPY_PORT: u16 = 6380;

/// How long a server may take to start on a busy machine, in nanoseconds.
const START: u64 = 30_000_000_000;

/// A server that keeps nothing on disk: restarted, it is empty.
#[derive(Debug)]
struct Server {
    pid: i32,
    socket: PathBuf,
}

#[derive(Debug)]
pub(crate) struct Redis {
    dir: PathBuf,
    secret: String,
    clock: RedisClock,
    primary: Option<Server>,
    copy: Option<Server>,
    /// Whether the copy has left the primary, in order to take its place.
    is_parted: bool,
    /// How many have been started: each has a socket of its own.
    started: u32,
    /// Where it is written down what nobody may do with the lease.
    journal: PathBuf,
    /// Renewals and releases that were heard, and were their holder's.
    pub(crate) heard: Arc<AtomicU64>,
}

impl Redis {
    pub(crate) fn start(dir: &Path, secret: &str, clock: RedisClock, journal: &Path) -> io::Result<Redis> {
        let mut redis = Redis {
            dir: dir.to_owned(),
            secret: secret.to_owned(),
            clock,
            primary: None,
            copy: None,
            is_parted: false,
            started: 0,
            journal: journal.to_owned(),
            heard: Arc::default(),
        };
        redis.primary = Some(redis.spawn(PORT)?);
        Ok(redis)
    }

    /// Told in a file, because everybody sees the arguments.
    fn spawn(&mut self, port: u16) -> io::Result<Server> {
        self.started += 1;
        let path = |kind: &str| self.dir.join(format!("redis-{}.{kind}", self.started));
        let (config, socket) = (path("conf"), path("sock"));
        let lines = format!(
            "bind 0.0.0.0\nprotected-mode no\nport {port}\nunixsocket {}\nsave \"\"\nappendonly no\ndir {}\n\
             dbfilename redis-{}.rdb\n\
             requirepass {secret}\nmasterauth {secret}\nrepl-diskless-sync-delay 0\nrepl-ping-replica-period 1\n",
            socket.display(),
            self.dir.display(),
            // A copy has written down what it was told, and the next is to be empty.
            self.started,
            secret = self.secret,
        );
        fs::write(&config, lines)?;
        fs::set_permissions(&config, fs::Permissions::from_mode(0o600))?;
        let mut command = Command::new("redis-server");
        command.arg(&config).stdin(Stdio::null()).stdout(fs::File::create(path("log"))?).stderr(Stdio::null());
        let child = self.clock.preload(&mut command).spawn()?;
        let pid = i32::try_from(child.id()).expect("a pid");
        let journal = Journal::open(&self.journal)?;
        monitor::listen(pid, socket.clone(), self.secret.clone(), journal, Arc::clone(&self.heard));
        Ok(Server { pid, socket })
    }

    fn ask_at(&self, server: Option<&Server>, command: &[&str]) -> io::Result<String> {
        let server = server.ok_or(io::ErrorKind::NotConnected)?;
        let mut conversation = Conversation::try_open(&server.socket)?;
        conversation.try_ask(&["AUTH", &self.secret])?;
        let answer = conversation.try_ask(command)?;
        if answer.starts_with('-') { Err(io::Error::other(answer)) } else { Ok(answer) }
    }

    /// Asks the primary. Fails if it is away, or does not answer within the time that conversations have.
    pub(crate) fn ask(&self, command: &[&str]) -> io::Result<String> {
        self.ask_at(self.primary.as_ref(), command)
    }

    pub(crate) fn is_answering(&self) -> bool {
        self.ask(&["PING"]).is_ok()
    }

    /// The name of the lease's key, if there is one.
    pub(crate) fn lease(&self) -> io::Result<Option<String>> {
        self.lease_at(self.primary.as_ref())
    }

    fn lease_at(&self, server: Option<&Server>) -> io::Result<Option<String>> {
        let keys = self.ask_at(server, &["KEYS", "bellwether:*:lease"])?;
        Ok(keys.lines().next().map(str::to_owned))
    }

    pub(crate) fn kill(&mut self) {
        if let Some(server) = self.primary.take() {
            processes::signal(server.pid, Signal::KILL);
            // Its port is free then.
            while !processes::is_over(server.pid) {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }

    /// Starts it again, empty, if it is not there.
    pub(crate) fn revive(&mut self) -> io::Result<()> {
        let limit = now() + START;
        while self.primary.is_none() {
            if now() > limit {
                let (nth, dir) = (self.started, self.dir.display());
                return Err(io::Error::other(format!("redis-server does not start: see {dir}/redis-{nth}.log")));
            }
            let server = self.spawn(PORT)?;
            // The kernel may have the port still.
            self.primary = self.comes_up(&server, limit).then_some(server);
        }
        Ok(())
    }

    /// Waits until it answers. `false`: it has ended instead, or has not answered in time.
    fn comes_up(&self, server: &Server, limit: u64) -> bool {
        while !processes::is_over(server.pid) && now() <= limit {
            if self.ask_at(Some(server), &["PING"]).is_ok() {
                return true;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        processes::signal(server.pid, Signal::KILL);
        false
    }

    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(server) = &self.primary {
            processes::signal(server.pid, signal);
        }
    }

    /// Lets a copy follow the primary until it knows of a lease; of what is written from then on it hears nothing. `false` if
    /// this is to be asked again: it has not heard all, there is no lease, or an earlier copy is still to take over.
    pub(crate) fn part_copy(&mut self) -> io::Result<bool> {
        if self.copy.as_ref().is_none_or(|copy| processes::is_over(copy.pid)) {
            self.is_parted = false;
            self.copy = Some(self.spawn(COPY_PORT)?);
        }
        if self.is_parted || !self.is_copied() || self.lease_at(self.copy.as_ref())?.is_none() {
            return Ok(false);
        }
        self.ask_at(self.copy.as_ref(), &["REPLICAOF", "NO", "ONE"])?;
        self.is_parted = true;
        Ok(true)
    }

    /// Lets the copy follow the primary: `false` as long as it has not heard all.
    fn is_copied(&self) -> bool {
        let copy = self.copy.as_ref();
        let info = self.ask_at(copy, &["INFO", "replication"]).unwrap_or_default();
        if info.contains("role:master") {
            let _ = self.ask_at(copy, &["REPLICAOF", "127.0.0.1", &PORT.to_string()]);
            return false;
        }
        info.contains("master_link_status:up")
    }

    /// The primary dies, and the copy takes its place with what it knows.
    pub(crate) fn fail_over(&mut self) -> io::Result<()> {
        // Another failover may have come in between, or the copy did not get the port.
        let Some(copy) = self.copy.take() else { return self.revive() };
        self.is_parted = false;
        self.kill();
        // The port is free when the process is gone, which takes a moment.
        for _ in 0..200 {
            if self.ask_at(Some(&copy), &["CONFIG", "SET", "port", &PORT.to_string()]).is_ok() {
                self.primary = Some(copy);
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        processes::signal(copy.pid, Signal::KILL);
        Err(io::Error::other("the copy does not get the port"))
    }

    pub(crate) fn drop_copy(&mut self) {
        self.is_parted = false;
        if let Some(copy) = self.copy.take() {
            processes::signal(copy.pid, Signal::KILL);
        }
    }
}
