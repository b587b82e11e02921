use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use super::*;

mod preset;
mod redis;

/// A plan file, and what to set so that everything is well.
struct Bench {
    dir: tempfile::TempDir,
    env: Vec<(OsString, OsString)>,
    overlay: Overlay,
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench { dir, env: Vec::new(), overlay: Overlay::new() };
        let plan = bench.plan_path();
        bench
            .plan(r#"{"steps":[{"name":"a","run":["x"]}]}"#)
            .set("IMAGE_REV", "v1")
            .set("BELLWETHER_PLAN", &plan)
            .set("SITES_DIR", "/vol")
    }

    fn plan_path(&self) -> String {
        self.dir.path().join("plan.json").to_str().unwrap().to_owned()
    }

    fn plan(self, text: &str) -> Bench {
        std::fs::write(self.plan_path(), text).unwrap();
        self
    }

    fn set(mut self, name: &str, value: &str) -> Bench {
        self.env.push((name.into(), value.into()));
        self
    }

    fn flag(mut self, name: &'static str, value: &str) -> Bench {
        self.overlay.insert(name, value.into());
        self
    }

    fn check(&self) -> Result<(Settings, Vec<Notice>), Vec<Problem>> {
        Settings::from(&self.env.iter().cloned().collect(), &self.overlay, Presets::default())
    }

    fn settings(&self) -> Settings {
        self.check().unwrap().0
    }

    fn notices(&self) -> String {
        let notices = self.check().unwrap().1;
        notices.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    fn refused(&self) -> String {
        let problems = self.check().expect_err("there should be problems");
        let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        text.replace(self.dir.path().to_str().unwrap(), "")
    }
}

#[test]
fn defaults_are_those_of_the_table() {
    let settings = Bench::new().settings();
    assert_eq!(settings.rev.as_str(), "v1");
    assert_eq!(settings.volume, PathBuf::from("/vol"));
    assert_eq!((settings.stale, settings.backoff), (Duration::from_secs(120), Duration::from_secs(10)));
    assert_eq!((settings.stop_grace, settings.ready_timeout), (None, None));
    assert_eq!((settings.needs_wait, settings.may_lead), (Some(Duration::from_secs(300)), true));
    assert_eq!((settings.locks, settings.redis), (VolumeLocks::Auto, None));
    assert_eq!((settings.on_failure, settings.on_downgrade), (OnFailure::Exit, OnDowngrade::Warn));
    assert_eq!((settings.allow_rollback, settings.log, settings.log_format), (false, LogLevel::Info, LogFormat::Text));
    let step = settings.plan.plan.step(crate::protocol::StepId(0)).clone();
    assert_eq!((step.timeout, step.max_attempts), (None, 3));
    assert_eq!(Bench::new().notices(), "");
}

#[test]
fn everything_can_be_set() {
    let settings = Bench::new()
        .set("STEP_STALE_SECS", "1.5")
        .set("STEP_TIMEOUT_SECS", "60")
        .flag("STEP_MAX_ATTEMPTS", "5")
        .set("BELLWETHER_BACKOFF_SECS", "0.1")
        .set("BELLWETHER_STOP_GRACE_SECS", "0")
        .set("BELLWETHER_READY_TIMEOUT_SECS", "7")
        .set("BELLWETHER_NEEDS_WAIT_SECS", "0")
        .set("BELLWETHER_VOLUME_LOCKS", "trusted")
        .set("BELLWETHER_ON_FAILURE", "hold")
        .set("BELLWETHER_LOG", "DEBUG")
        .flag("BELLWETHER_LOG_FORMAT", "json")
        .settings();
    assert_eq!((settings.stale, settings.backoff), (Duration::from_millis(1500), Duration::from_millis(100)));
    assert_eq!((settings.stop_grace, settings.ready_timeout), (Some(Duration::ZERO), Some(Duration::from_secs(7))));
    assert_eq!((settings.needs_wait, settings.locks), (None, VolumeLocks::Trusted));
    assert_eq!(settings.on_failure, OnFailure::Hold);
    assert_eq!((settings.log, settings.log_format), (LogLevel::Debug, LogFormat::Json));
    let step = settings.plan.plan.step(crate::protocol::StepId(0)).clone();
    assert_eq!((step.timeout, step.max_attempts), (Some(Duration::from_secs(60)), 5));
}

#[test]
#[cfg(feature = "redis")]
fn every_problem_is_told_at_once() {
    let bench = Bench::new()
        .plan("{\"steps\":[\n  {\"name\":\"a\",\"runn\":[]}]}")
        .set("IMAGE_REV", "../x")
        .set("BELLWETHER_VOLUME", "/other")
        .set("BELLWETHER_REDIS_URL", ":hunter2@db:6379")
        .set("LOCK_RENEW_TTL_SECS", "1h")
        .set("LOCK_HEARTBEAT_SECS", "0")
        .set("BELLWETHER_REDIS_WAIT_SECS", "-1")
        .set("BELLWETHER_SCOPE", "{shop}")
        .set("BELLWETHER_STOP_GRACE_SECS", "long")
        .set("BELLWETHER_PRESET", "frappe")
        .set("STEP_STALE_SECS", "0.5")
        .set("STEP_TIMEOUT_SECS", "30s")
        .set("STEP_MAX_ATTEMPTS", "0")
        .flag("BELLWETHER_BACKOFF_SECS", "0")
        .set("BELLWETHER_VOLUME_LOCKS", "trust")
        .set("BELLWETHER_ON_FAILURE", "halt")
        .set("BELLWETHER_ALLOW_ROLLBACK", "yes")
        .set("BELLWETHER_LOG", "loud");
    insta::assert_snapshot!(bench.refused(), @r#"
    BELLWETHER_PRESET: there is no preset "frappe" (this build has none)
    IMAGE_REV: holds '.' at position 1; allowed are letters, digits and, after the first, '.', '_' and '-'
    BELLWETHER_VOLUME: disagrees with SITES_DIR, which means the same; unset one of them
    BELLWETHER_REDIS_URL: is neither redis://[user:password@]host[:port][/db] nor unix:///path/to/socket
    LOCK_RENEW_TTL_SECS: "1h" is no number of seconds; write digits alone, such as 30 or 0.5
    LOCK_HEARTBEAT_SECS: 0 s is out of range; 0.05 to 3600 s are allowed
    BELLWETHER_REDIS_WAIT_SECS: "-1" is no number of seconds; write digits alone, such as 30 or 0.5
    BELLWETHER_SCOPE: holds '{' at position 1; allowed are letters, digits and, after the first, '.', '_' and '-'
    BELLWETHER_VOLUME_LOCKS: "trust" is none of auto, trusted, untrusted; did you mean "trusted"?
    STEP_STALE_SECS: 0.5 s is too short; at least 1 s are needed
    STEP_TIMEOUT_SECS: "30s" is no number of seconds; write digits alone, such as 30 or 0.5
    STEP_MAX_ATTEMPTS: "0" is no whole number from 1 to 4294967295
    /plan.json:2:15: unknown key "runn"; did you mean "run"?
    --backoff-secs: 0 s is out of range; 0.1 to 300 s are allowed
    BELLWETHER_STOP_GRACE_SECS: "long" is no number of seconds; write digits alone, such as 30 or 0.5
    BELLWETHER_ON_FAILURE: "halt" is none of exit, hold
    BELLWETHER_ALLOW_ROLLBACK: "yes" is none of 0, 1
    BELLWETHER_LOG: "loud" is none of off, error, warn, info, debug, trace
    "#);
}

#[test]
fn nothing_set_names_what_is_required() {
    let problems = Settings::from(&Env::default(), &Overlay::new(), Presets::default()).unwrap_err();
    insta::assert_snapshot!(Problem::render(&problems), @r"
    there are 3 problems with the settings; nothing was touched
      IMAGE_REV: is not set; set it to the revision that is being rolled out or give --rev
      BELLWETHER_VOLUME: is not set; set it to the directory that all replicas share or give --volume
      BELLWETHER_PLAN: is not set; set it to the plan, a JSON file with the steps, or give --plan, or name a preset with BELLWETHER_PRESET
    ");
}

#[test]
fn a_misspelt_variable_is_told_beside_what_it_leaves_unset() {
    let set = [("IMAGE_REV", "v1"), ("BELLWETHER_VOLUM", "/srv/shop"), ("BELLWETHER_FROBNICATE", "1")];
    let env: Env = set.into_iter().collect();
    let problems = Settings::from(&env, &Overlay::new(), Presets::default()).unwrap_err();
    insta::assert_snapshot!(Problem::render(&problems), @r"
    there are 3 problems with the settings; nothing was touched
      BELLWETHER_VOLUME: is not set; set it to the directory that all replicas share or give --volume
      BELLWETHER_PLAN: is not set; set it to the plan, a JSON file with the steps, or give --plan, or name a preset with BELLWETHER_PRESET
      BELLWETHER_VOLUM: unknown setting; did you mean BELLWETHER_VOLUME?
    ");
}

#[test]
fn untrusted_locks_cannot_elect() {
    let bench = Bench::new().set("BELLWETHER_VOLUME_LOCKS", "untrusted").set("STEP_STALE_SECS", "5");
    insta::assert_snapshot!(bench.refused(), @r"
    BELLWETHER_VOLUME_LOCKS: untrusted locks cannot elect a leader, and without Redis nothing else does; set BELLWETHER_REDIS_URL, or use a volume whose locks hold between the replicas
    STEP_STALE_SECS: 5 s is too short; at least 6 s are needed
    ");
}

#[test]
fn a_plan_that_cannot_be_read_is_named() {
    let bench = Bench::new().flag("BELLWETHER_PLAN", "/nowhere/plan.json");
    insta::assert_snapshot!(bench.refused(), @"--plan: cannot read /nowhere/plan.json: No such file or directory (os error 2)");
    let bench = Bench::new().flag("BELLWETHER_PLAN", "/");
    insta::assert_snapshot!(bench.refused(), @"--plan: cannot read /: Is a directory (os error 21)");
}

#[test]
fn problems_do_not_show_secrets() {
    let bench = Bench::new().set("BELLWETHER_ON_FAILURE", "from-env").set("DB_PASSWORD", "from-env");
    assert_eq!(bench.refused(), "BELLWETHER_ON_FAILURE: \"***\" is none of exit, hold");
    let noticed = Bench::new().set("IS_LEADER", "from-env").set("DB_PASSWORD", "from-env").notices();
    assert_eq!(noticed, "IS_LEADER: \"***\" is not 1: this replica never leads");
    let mut bench = Bench::new().set("BELLWETHER_LOG", "http://me:hunter2@log");
    bench.env.retain(|(name, _)| name != "BELLWETHER_PLAN");
    let text = bench.set("BELLWETHER_PLAN", "http://me:hunter2@plans").refused();
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn values_that_are_no_text_are_problems() {
    for setting in SETTINGS {
        let mut bench = Bench::new();
        // Half of a server is none, whatever it holds.
        for (half, other) in [
            ("LOCK_REDIS_PORT", "LOCK_REDIS_HOST"),
            ("LOCK_REDIS_PASS", "LOCK_REDIS_HOST"),
            ("REDIS_HOST", "REDIS_QUEUE_PORT"),
            ("REDIS_QUEUE_PORT", "REDIS_HOST"),
        ] {
            bench = if setting.variable == half { bench.set(other, "1") } else { bench };
        }
        if setting.variable == "REDIS_PASS" {
            bench = bench.set("REDIS_HOST", "db").set("REDIS_QUEUE_PORT", "1");
        }
        bench.env.retain(|(name, _)| !setting.aliases.iter().any(|alias| name == alias));
        bench.env.push((setting.variable.into(), OsString::from_vec(vec![b'1', 0xff])));
        assert!(
            bench.refused().starts_with(&format!("{}: is no text in UTF-8", setting.variable)),
            "{}",
            bench.refused()
        );
    }
    // Nobody else's variable is our business.
    let mut bench = Bench::new();
    bench.env.push((OsString::from_vec(vec![0xff]), OsString::from_vec(vec![0xff])));
    assert_eq!(bench.notices(), "");
}

#[test]
fn notices_do_not_keep_us_from_starting() {
    let bench = Bench::new()
        .set("FOLLOWER_WAIT_SECS", "5")
        .set("LEADER_ELECTION_TIMEOUT", "5")
        .set("MIGRATION_LOCK_TIMEOUT", "5")
        .set("STEP_STALE_SECS", "3600")
        .set("IS_LEADER", "false")
        .set("BELLWETHER_LOGS", "info");
    assert!(!bench.settings().may_lead);
    insta::assert_snapshot!(bench.notices(), @r#"
    IS_LEADER: "false" is not 1: this replica never leads
    STEP_STALE_SECS: a leader that dies goes unnoticed for 3600 s; it need not be as long as a step takes
    FOLLOWER_WAIT_SECS: is ignored: a follower waits for the ready marker; BELLWETHER_READY_TIMEOUT_SECS limits that
    LEADER_ELECTION_TIMEOUT: is ignored: an election has no time limit; BELLWETHER_READY_TIMEOUT_SECS limits the whole wait
    MIGRATION_LOCK_TIMEOUT: is ignored: STEP_STALE_SECS says when an abandoned step is taken over
    BELLWETHER_LOGS: unknown setting; did you mean BELLWETHER_LOG?
    "#);
    assert!(!Bench::new().set("IS_LEADER", "0").settings().may_lead);
}

#[test]
#[cfg(feature = "redis")]
fn secrets_of_environment_and_plan_are_masked() {
    let settings = Bench::new()
        .plan(r#"{"needs":["redis://:p%40ssword@db"],"steps":[{"name":"a","run":["x"],"env":{"API_TOKEN":"from-plan"}}]}"#)
        .set("DB_PASSWORD", "from-env")
        .settings();
    let masked = settings.mask.mask("from-env from-plan p@ssword p%40ssword harmless").into_owned();
    assert_eq!(masked, "*** *** *** *** harmless");
    let shown = format!("{settings:?}");
    assert!(!shown.contains("from-") && !shown.contains("ssword"), "{shown}");
}
