use std::time::Duration;

use super::*;
use crate::lease::Origin;

fn server() -> Server {
    Server::tcp("db", 6379).with_user("u").with_password("hunter2")
}

/// What becomes of a server's error.
fn said(text: &str) -> Failure {
    let value = redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap();
    of_redis(&value.extract_error().unwrap_err(), &server())
}

#[test]
fn errors_of_servers_of_all_ages_are_told_apart() {
    let table = [
        ("NOAUTH Authentication required.", FailureClass::AuthRequired),
        ("WRONGPASS invalid username-password pair or user is disabled.", FailureClass::WrongPassword),
        ("ERR invalid password", FailureClass::WrongPassword),
        ("ERR Client sent AUTH, but no password is set", FailureClass::NoPasswordSet),
        (
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
            FailureClass::NoPasswordSet,
        ),
        ("DENIED Redis is running in protected mode because …", FailureClass::Protected),
        ("NOPERM this user has no permissions to run the 'evalsha' command", FailureClass::NotPermitted),
        ("NOPERM User u has no permissions to access the 'x' channel", FailureClass::NotPermitted),
        ("ERR The user executing the script can't run this command or subcommand", FailureClass::NotPermitted),
        ("ERR unknown command `EVALSHA`, with args beginning with: ", FailureClass::NotPermitted),
        ("ERR DB index is out of range", FailureClass::NoSuchDatabase),
        ("ERR SELECT is not allowed in cluster mode", FailureClass::Cluster),
        ("READONLY You can't write against a read only replica.", FailureClass::Replica),
        (
            "ERR Error running script (call to f_0): @user_script:1: @user_script: 1: -READONLY You can't write \
             against a read only replica.",
            FailureClass::Replica,
        ),
        (
            "ERR Error running script (call to f_0): @user_script:1: -OOM command not allowed when used memory > \
             'maxmemory'.",
            FailureClass::OutOfMemory,
        ),
        ("OOM command not allowed when used memory > 'maxmemory'.", FailureClass::OutOfMemory),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", FailureClass::MasterDown),
        ("MOVED 1234 10.0.0.1:6379", FailureClass::Cluster),
        ("ASK 1234 10.0.0.1:6379", FailureClass::Cluster),
        ("CLUSTERDOWN Hash slot not served", FailureClass::Cluster),
        ("CROSSSLOT Keys in request don't hash to the same slot", FailureClass::Cluster),
        ("LOADING Redis is loading the dataset in memory", FailureClass::Loading),
        ("BUSY Redis is busy running a script.", FailureClass::Busy),
        ("ERR max number of clients reached", FailureClass::TooManyClients),
        ("MISCONF Redis is configured to save RDB snapshots, but …", FailureClass::PersistenceBroken),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", FailureClass::ForeignKey),
        ("ERR something new", FailureClass::Other),
        ("NEW", FailureClass::Other),
    ];
    for (text, class) in table {
        assert_eq!(said(text).class, class, "{text}");
    }
}

#[test]
fn errors_of_the_system_are_told_apart() {
    let of = |number| of_io(&io::Error::from_raw_os_error(number), &server()).class;
    assert_eq!(of(libc::ECONNREFUSED), FailureClass::Refused);
    assert_eq!(of(libc::EHOSTUNREACH), FailureClass::Unreachable);
    assert_eq!(of(libc::ENETUNREACH), FailureClass::Unreachable);
    assert_eq!(of(libc::ETIMEDOUT), FailureClass::Timeout);
    assert_eq!(of(libc::ECONNRESET), FailureClass::Closed);
    assert_eq!(of(libc::EMFILE), FailureClass::Other);
    let socket = Server::parse("unix:///s").unwrap();
    assert_eq!(of_io(&io::Error::from_raw_os_error(libc::ENOENT), &socket).class, FailureClass::NoSocket);
    assert_eq!(of_io(&io::Error::from_raw_os_error(libc::EACCES), &socket).class, FailureClass::NoSocket);
}

#[test]
fn a_failure_is_a_sentence_with_the_setting_to_look_at() {
    let refused = of_io(&io::Error::from_raw_os_error(libc::ECONNREFUSED), &server());
    insta::assert_snapshot!(refused, @"nobody listens at redis://db:6379/0 (Connection refused (os error 111)); is it running? look at BELLWETHER_REDIS_URL");
    insta::assert_snapshot!(Failure::timeout(&server(), Duration::from_millis(250)), @"redis://db:6379/0 does not answer (within 0.25 s); look at BELLWETHER_REDIS_URL, at its load, and for a firewall on the way; is that too short for this network? a longer LOCK_RENEW_TTL_SECS or STEP_STALE_SECS allows more");
    insta::assert_snapshot!(said("NOAUTH Authentication required."), @"redis://db:6379/0 wants a password (NOAUTH Authentication required.); put it into BELLWETHER_REDIS_URL");
    insta::assert_snapshot!(said("NOPERM this user has no permissions to run the 'evalsha' command"), @"redis://db:6379/0 does not permit what the lease needs (NOPERM this user has no permissions to run the 'evalsha' command); its user needs ~bellwether:* &bellwether:* +eval +evalsha +get +set +pttl +pexpire +del +publish +subscribe +select");
    insta::assert_snapshot!(said("LOADING Redis is loading the dataset in memory"), @"redis://db:6379/0 is still reading its data (LOADING Redis is loading the dataset in memory); it will be ready by itself");
    insta::assert_snapshot!(said("NEW"), @"redis://db:6379/0 cannot be used (NEW); look at its log, and at BELLWETHER_REDIS_URL");
    insta::assert_snapshot!(Failure::endless(&server(), "bellwether:{s}:lease"), @"something foreign stands in a key of ours at redis://db:6379/0 (bellwether:{s}:lease never expires); look at it with redis-cli, and remove it if nobody needs it");
}

#[test]
fn a_failure_names_the_settings_its_server_came_from() {
    let origin = Origin {
        place: "LOCK_REDIS_HOST and LOCK_REDIS_PORT".into(),
        password: "LOCK_REDIS_PASS".into(),
        ..Origin::of("LOCK_REDIS_HOST")
    };
    let server = server().with_origin(origin);
    let failure = |class| Failure::new(class, &server, "").to_string();
    insta::assert_snapshot!(failure(FailureClass::Refused), @"nobody listens at redis://db:6379/0; is it running? look at LOCK_REDIS_HOST and LOCK_REDIS_PORT");
    insta::assert_snapshot!(failure(FailureClass::WrongPassword), @"redis://db:6379/0 refuses this user or password; look at LOCK_REDIS_HOST and LOCK_REDIS_PASS");
    insta::assert_snapshot!(failure(FailureClass::AuthRequired), @"redis://db:6379/0 wants a password; put it into LOCK_REDIS_PASS");
    insta::assert_snapshot!(failure(FailureClass::NoSuchDatabase), @"redis://db:6379/0 has no such database; look at LOCK_REDIS_HOST");
}

#[test]
fn what_a_server_repeats_is_masked_and_bounded() {
    let failure = said(&format!("ERR no hunter2\u{1b} here {}", "x".repeat(500)));
    assert!(failure.to_string().contains("ERR no *** "), "{failure}");
    assert!(!failure.to_string().contains(char::is_control) && failure.to_string().len() < 400, "{failure}");
}
