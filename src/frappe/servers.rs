//! The database and the Redises, as bench's own drivers see them.

use std::thread::sleep;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::bench::{Bench, shown};
use super::settings::{Database, Redises, Settings};
use super::site_config::SiteConfig;
use super::trouble::Trouble;
use crate::Finding;
use crate::exit::Exit;
use crate::process::boottime;
use crate::protocol::Timestamp;

/// Between two tries.
const TRY_EVERY: Duration = Duration::from_secs(1);
/// How often to say that a server is waited for.
const REMIND_EVERY: Duration = Duration::from_secs(30);

const SERVER: &str = "the database server";
/// What findings about them are about.
const SERVERS: &str = "servers";
/// The settings that say where it is.
pub(super) const DATABASE: &str = "DB_HOST and DB_PORT";
/// Where a site's own file says so.
const OWN_SERVER: &str = "db_host and db_port in the site's site_config.json";
/// The same, and how to log in as its administrator.
const DATABASE_LOGIN: &str = "DB_HOST, DB_PORT, DB_ROOT_USER and DB_ROOT_PASS";

/// What a server said no with.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub(super) struct Refusal {
    class: String,
    text: String,
}

impl Refusal {
    /// Whether it may pass by itself. A wrong password does not, but a server that is being set up may not know it yet.
    fn is_final(&self) -> bool {
        self.class == "no-driver"
    }

    /// In words, with the settings to look at.
    fn explain(&self, what: &str, settings: &str) -> String {
        let (happened, look_at) = self.words(settings);
        format!("{what} {happened} ({look_at}): {}", self.text)
    }

    /// The same for people who look for what is wrong.
    fn finding(&self, what: &str, settings: &str) -> Finding {
        let (happened, look_at) = self.words(settings);
        let is_away = ["refused", "unknown-host", "timeout", "busy"].contains(&self.class.as_str());
        let exit = if is_away { Exit::TryLater } else { Exit::StepFailed };
        Finding::fail(SERVERS, format!("{what} {happened}: {}", self.text), look_at, exit)
    }

    /// What happened, and what to look at.
    fn words(&self, settings: &str) -> (&'static str, String) {
        match self.class.as_str() {
            "refused" => ("refuses the connection", format!("is it up, and are {settings} right?")),
            "unknown-host" => ("has a host name that nobody knows", format!("look at {settings}")),
            "timeout" => ("does not answer", format!("look at {settings}, and at the network between")),
            "denied" => ("refuses the login", format!("look at {settings}")),
            "busy" => ("is not ready to serve yet", "it may be starting, or have too many clients".to_owned()),
            "no-database" => ("has no such database", format!("look at {settings}")),
            "no-driver" => ("cannot be asked", "the bench's env lacks the driver".to_owned()),
            _ => ("does not let us in", format!("look at {settings}")),
        }
    }
}

/// What is found at the database server about a site's database.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub(super) struct Found {
    /// The name it has or would have.
    pub(super) name: String,
    pub(super) exists: bool,
    /// Whether Administrator has a password there: the last thing that makes a site whole.
    pub(super) whole: bool,
    /// How many other sessions are in it now.
    #[serde(default)]
    pub(super) sessions: u64,
}

/// What a site's own user finds there.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
pub(super) struct Own {
    /// Whether the site's own user may log in.
    pub(super) login: bool,
    pub(super) whole: bool,
}

/// One server that is asked whether it lets us in.
struct Question {
    what: &'static str,
    settings: &'static str,
    request: Value,
}

/// What several questions came to, in their order.
#[derive(Debug, Deserialize)]
struct Answers {
    answers: Vec<Answer>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    error: Option<Refusal>,
}

/// The servers of a stack.
pub(super) struct Servers<'a> {
    bench: &'a Bench,
    database: &'a Database,
    redises: &'a Redises,
    wait: Option<Duration>,
}

impl<'a> Servers<'a> {
    pub(super) fn new(bench: &'a Bench, settings: &'a Settings) -> Servers<'a> {
        let Settings { database, redises, wait, .. } = settings;
        Servers { bench, database, redises, wait: *wait }
    }

    /// Waits until one can log in everywhere. `say` is told whom we wait for.
    pub(super) fn await_all(&self, say: impl Fn(&str)) -> Result<(), Trouble> {
        let questions = self.questions();
        let requests: Vec<&Value> = questions.iter().map(|question| &question.request).collect();
        let ask = || self.ask::<Answers>(&json!({"op": "several", "requests": requests}));
        self.wait_for(&say, || {
            let answers = match ask()? {
                Ok(Answers { answers }) => answers,
                Err(refusal) => return Ok(Err(("the probe", "the bench's env", refusal))),
            };
            let refused = questions.iter().zip(answers).find_map(|(question, answer)| Some((question, answer.error?)));
            Ok(refused.map_or(Ok(()), |(question, refusal)| Err((question.what, question.settings, refusal))))
        })
    }

    /// Asks each server once whether it lets us in, side by side. Nobody is waited for longer than `limit`.
    pub(super) fn look(&self, limit: Duration) -> Vec<Finding> {
        let questions = self.questions();
        let found: Vec<Result<String, Finding>> = std::thread::scope(|scope| {
            let asked: Vec<_> =
                questions.iter().map(|question| scope.spawn(|| self.look_at(question, limit))).collect();
            asked.into_iter().map(|asked| asked.join().expect("nobody panics while asking")).collect()
        });
        let (well, bad): (Vec<_>, Vec<_>) = found.into_iter().partition(Result::is_ok);
        let well: Vec<String> = well.into_iter().flatten().collect();
        let mut findings: Vec<Finding> = bad.into_iter().filter_map(Result::err).collect();
        if !well.is_empty() {
            findings.insert(0, Finding::ok(SERVERS, format!("{}: let us in", well.join(", "))));
        }
        if self.root().is_none() {
            let text = format!("{SERVER} was not asked: without DB_ROOT_PASS nobody logs in as its administrator");
            findings.push(Finding::ok(SERVERS, text));
        }
        findings
    }

    fn look_at(&self, Question { what, settings, request }: &Question, limit: Duration) -> Result<String, Finding> {
        let mut request = request.clone();
        // The rest is for Python to begin.
        request["seconds"] = limit.as_secs().div_ceil(2).into();
        let begun = boottime::now();
        match self.bench.probe_within(&request, limit).and_then(understood::<Value>) {
            Ok(Ok(_)) => Ok((*what).to_owned()),
            Ok(Err(refusal)) => Err(refusal.finding(what, settings)),
            Err(_) if boottime::now().since(begun) >= limit => {
                let refusal = Refusal { class: "timeout".to_owned(), text: format!("within {} s", limit.as_secs()) };
                Err(refusal.finding(what, settings))
            }
            Err(trouble) => {
                let text = format!("{what} cannot be asked: {}", trouble.text());
                Err(Finding::fail(SERVERS, text, "look at the bench's env/bin/python", Exit::StepFailed))
            }
        }
    }

    /// Whom to ask whether they let us in: each server once.
    fn questions(&self) -> Vec<Question> {
        let mut questions: Vec<Question> = Vec::new();
        if let Some(root) = self.root() {
            let request = json!({"op": "database", "server": root});
            questions.push(Question { what: SERVER, settings: DATABASE_LOGIN, request });
        }
        for (what, settings, url) in self.redises.each() {
            questions.push(Question { what, settings, request: json!({"op": "redis", "url": url}) });
        }
        questions
    }

    /// What the server's administrator finds of a site's database, called `name` or as bench calls it. `None`: we cannot
    /// log in as administrator.
    pub(super) fn site(&self, site: &str, name: Option<&str>, say: impl Fn(&str)) -> Result<Option<Found>, Trouble> {
        let Some(root) = self.root() else { return Ok(None) };
        let path = shown(self.bench.site(site));
        let request = json!({"op": "site", "server": root, "name": name, "path": path});
        self.wait_for(&say, || Ok(self.ask(&request)?.map_err(|refusal| (SERVER, DATABASE_LOGIN, refusal)))).map(Some)
    }

    /// What a site's own user finds of its database.
    pub(super) fn own(&self, config: &SiteConfig, say: impl Fn(&str)) -> Result<Own, Trouble> {
        let Some(name) = config.text("db_name") else { return Ok(Own::default()) };
        let server = json!({
            "kind": config.text("db_type").unwrap_or(self.database.kind.word()),
            "host": config.text("db_host").unwrap_or(&self.database.host),
            "port": config.number("db_port").unwrap_or(u64::from(self.database.port)),
            "user": config.text("db_user").unwrap_or(name),
            "password": config.text("db_password").unwrap_or_default(),
        });
        let request = json!({"op": "own", "server": server, "name": name});
        let settings = if config.text("db_host").is_some() { OWN_SERVER } else { DATABASE };
        self.wait_for(&say, || Ok(self.ask(&request)?.map_err(|refusal| (SERVER, settings, refusal))))
    }

    /// How many workers of background jobs are alive.
    pub(super) fn workers(&self) -> Result<u64, Trouble> {
        #[derive(Deserialize)]
        struct Workers {
            workers: u64,
        }
        let asked = self.ask::<Workers>(&json!({"op": "workers", "url": self.redises.queue}));
        // Whoever cannot look cannot say that there is none.
        Ok(asked?.map_or(1, |found| found.workers))
    }

    /// Lets every process look up the built assets anew: clearing the cache leaves this key.
    pub(super) fn forget_assets(&self, say: impl Fn(&str)) -> Result<(), Trouble> {
        self.forget("assets_json", say)
    }

    /// Lets every process look up anew which modules the apps have, in every site. What the cache says of them goes before
    /// the image: of an app that is new in it, a process would know none, and install it without its tables.
    pub(super) fn forget_modules(&self, say: impl Fn(&str)) -> Result<(), Trouble> {
        self.forget("*app_modules", say)
    }

    fn forget(&self, keys: &str, say: impl Fn(&str)) -> Result<(), Trouble> {
        let request = json!({"op": "forget", "url": self.redises.cache, "keys": keys});
        let ask = || Ok(self.ask::<Value>(&request)?.map_err(|refusal| ("the cache's Redis", "REDIS_CACHE", refusal)));
        self.wait_for(&say, ask).map(drop)
    }

    fn root(&self) -> Option<Value> {
        let Database { kind, host, port, root_user, root_password, .. } = self.database;
        let password = root_password.as_ref()?;
        Some(json!({"kind": kind.word(), "host": host, "port": port, "user": root_user, "password": password}))
    }

    /// One question; the inner error is the server's.
    fn ask<T: for<'de> Deserialize<'de>>(&self, request: &Value) -> Result<Result<T, Refusal>, Trouble> {
        understood(self.bench.probe(request)?)
    }

    /// Asks until nobody refuses, or the limit has passed. A refusal comes with who it is of, and the settings to look at.
    fn wait_for<T>(
        &self,
        say: impl Fn(&str),
        ask: impl Fn() -> Result<Result<T, (&'static str, &'static str, Refusal)>, Trouble>,
    ) -> Result<T, Trouble> {
        let begun = boottime::now();
        let mut said: Option<(String, Timestamp)> = None;
        loop {
            let (what, settings, refusal) = match ask()? {
                Ok(answer) => return Ok(answer),
                Err(refused) => refused,
            };
            let text = refusal.explain(what, settings);
            let now = boottime::now();
            let waited = now.since(begun);
            if refusal.is_final() {
                return Err(Trouble::ForGood(text));
            }
            if self.wait.is_some_and(|limit| waited >= limit) {
                let waited = waited.as_secs();
                return Err(Trouble::Failed(format!("{text}; waited {waited} s (BELLWETHER_NEEDS_WAIT_SECS)")));
            }
            let kind = format!("{what} {}", refusal.class);
            if said.as_ref().is_none_or(|(before, at)| *before != kind || now.since(*at) >= REMIND_EVERY) {
                say(&format!("waiting: {text}"));
                said = Some((kind, now));
            }
            sleep(TRY_EVERY);
        }
    }
}

/// What the probe said; the inner error is the server's.
fn understood<T: for<'de> Deserialize<'de>>(mut answer: Value) -> Result<Result<T, Refusal>, Trouble> {
    let unclear =
        |error: serde_json::Error| Trouble::Failed(format!("the probe of the servers is not understood: {error}"));
    match answer.get_mut("error") {
        Some(refusal) => serde_json::from_value(refusal.take()).map(Err).map_err(unclear),
        None => serde_json::from_value(answer["ok"].take()).map(Ok).map_err(unclear),
    }
}
