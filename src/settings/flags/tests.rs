use super::*;
use crate::settings::table::Fallback;

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

fn scanned(line: &str) -> CommandLine {
    match scan(words(line)) {
        Ok(Scan::Do(line)) => line,
        other => panic!("{line}: {other:?}"),
    }
}

fn refused(line: &str) -> String {
    let Misuse { problems, .. } = scan(words(line)).expect_err(line);
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn flags_stand_before_and_after_the_subcommand_and_the_last_wins() {
    let line = scanned("--rev v1 --volume=/a run --no-wait --rev=v2 --log-format json -- sh -c --rev=x");
    assert_eq!(line.subcommand, Subcommand::Run);
    assert_eq!(line.overlay["IMAGE_REV"], "v2");
    assert_eq!(line.overlay["BELLWETHER_VOLUME"], "/a");
    assert_eq!(line.overlay["BELLWETHER_LOG_FORMAT"], "json");
    assert_eq!(line.command, words("sh -c --rev=x"));
    assert!(line.has("no-wait") && !line.has("supervise"));
}

#[test]
fn subcommands_have_flags_of_their_own() {
    assert!(scanned("ready -v").has("verbose"));
    assert_eq!(scanned("skip --step migrate").step, Some("migrate".into()));
    assert_eq!(scanned("reset --force").step, None);
    assert!(scanned("status --json --history --watch").has("watch"));
    assert_eq!(scanned("doctor --json -- sh -c x").command, words("sh -c x"));
    assert!(scanned("doctor").command.is_empty());
    assert_eq!(scan(words("run --help")), Ok(Scan::Help));
    assert_eq!(scan(words("-V")), Ok(Scan::Version));
}

#[test]
fn values_need_not_be_text() {
    let odd = OsString::from(OsStr::from_bytes(b"/vol/\xff"));
    let joined = OsStr::from_bytes(b"--volume=/vol/\xff").to_owned();
    for arguments in [vec!["ready".into(), "--volume".into(), odd.clone()], vec!["ready".into(), joined]] {
        let Ok(Scan::Do(line)) = scan(arguments) else { panic!() };
        assert_eq!(line.overlay["BELLWETHER_VOLUME"], odd);
    }
}

#[test]
fn mistakes_name_the_repair() {
    insta::assert_snapshot!(refused(""), @"bellwether: needs to know what to do: run, ready, status, plan, retry, skip, reset, doctor, demo");
    insta::assert_snapshot!(refused("rnu -- sh"), @r#"rnu: is no subcommand; did you mean "run"?"#);
    insta::assert_snapshot!(refused("run sh -c true"), @"sh: unexpected; put `--` before the command: bellwether run -- COMMAND");
    insta::assert_snapshot!(refused("run"), @"run: no command to become; put it after `--`: bellwether run -- COMMAND");
    insta::assert_snapshot!(refused("doctor sh"), @"sh: unexpected; put `--` before the command: bellwether doctor -- COMMAND");
    insta::assert_snapshot!(refused("-- sh"), @"--: stands before the subcommand; write bellwether run -- COMMAND");
    insta::assert_snapshot!(refused("ready -- sh"), @"ready: takes no command after `--`");
    insta::assert_snapshot!(refused("skip"), @"skip: needs to know the step; give it as --step STEP");
    insta::assert_snapshot!(refused("status --jsno --no-wait"), @r"
    --jsno: unknown flag; did you mean --json?
    --no-wait: unknown flag
    ");
    insta::assert_snapshot!(refused("status --lock-redis-host db"), @"--lock-redis-host: is no flag; set the variable LOCK_REDIS_HOST");
    insta::assert_snapshot!(refused("run --rev --volum /x --no-wait=1 -- sh"), @r"
    --rev: needs a value
    --volum: unknown flag; did you mean --volume?
    --no-wait: takes no value
    ");
}

#[test]
fn a_password_in_a_flag_is_refused_and_never_shown() {
    for line in [
        "run --redis-pass hunter2 -- sh",
        "run --redis-pass=hunter2 -- sh",
        "--redis-pass hunter2 run -- sh",
        "run --redis-pass -xhunter2 -- sh",
    ] {
        let text = refused(line);
        assert!(!text.contains("hunter2"), "{text}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(text, @"--redis-pass: a password in a flag can be read by everybody on this machine; write it to a file and set REDIS_PASS_FILE to the file's path");
        }
    }
    insta::assert_snapshot!(refused("run --redis-url redis://:hunter2@db -- sh"), @"--redis-url: a password in a flag can be read by everybody on this machine; write it to a file and set BELLWETHER_REDIS_URL_FILE to the file's path");
    assert!(refused("run --redis-queue redis://:hunter2@db -- sh").contains("set REDIS_QUEUE_FILE to"));
    assert!(refused("run --redis-url=unix:///r.sock?pass=hunter2 -- sh").contains("set BELLWETHER_REDIS_URL_FILE to"));
    insta::assert_snapshot!(refused("plan --plan=http://me:hunter2@plans/x"), @"--plan: the URL holds a password, which everybody on this machine can read in a flag; remove it");
    insta::assert_snapshot!(refused("run -p hunter2 -- sh"), @"-p: unknown flag");
}

#[test]
fn secret_and_url_settings_name_their_own_files() {
    static TABLE: &[Setting] = &[
        Setting {
            variable: "LOCK_REDIS_PASS",
            flag: None,
            aliases: &[],
            default: Fallback::Unset,
            value_name: "",
            secret: true,
            file: true,
            help: "",
        },
        Setting {
            variable: "BELLWETHER_REDIS_URL",
            flag: Some("redis-url"),
            aliases: &[],
            default: Fallback::Unset,
            value_name: "URL",
            secret: false,
            file: true,
            help: "",
        },
    ];
    let refused = |line: &str| {
        let Misuse { problems, .. } = Scanner::new(TABLE, words(line).into_iter()).scan().unwrap_err();
        problems.iter().map(ToString::to_string).collect::<String>()
    };
    assert!(refused("status --lock-redis-pass hunter2").contains("set LOCK_REDIS_PASS_FILE to"));
    assert!(refused("status --redis-url redis://u:hunter2@h").contains("set BELLWETHER_REDIS_URL_FILE to"));
    assert!(Scanner::new(TABLE, words("status --redis-url redis://h").into_iter()).scan().is_ok());
}
