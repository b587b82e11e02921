//! How runs end, and what they run as.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use bellwether::process::{RunHow, StepSpec, boottime};

use crate::util::{run, sh, signal_sets, step};

#[test]
fn exit_codes_and_signals_are_told() {
    for (script, how) in [
        ("exit 0", RunHow::Exit(0)),
        ("exit 75", RunHow::Exit(75)),
        ("exit 255", RunHow::Exit(255)),
        ("kill -KILL $$", RunHow::Signal(9)),
        ("kill -TERM $$", RunHow::Signal(15)),
    ] {
        let told = run(&sh(script));
        let end = told.end();
        assert_eq!((&end.how, end.stopped, end.checked, end.leftovers), (&how, false, false, 0), "{script}: {told:?}");
        assert!(told.pid.is_some() && told.notes.is_empty(), "{told:?}");
        assert!(end.duration > Duration::ZERO);
    }
}

#[test]
fn a_program_that_cannot_be_executed_is_named_with_its_place() {
    let scratch = tempfile::tempdir().unwrap();
    let plain = scratch.path().join("plain");
    fs::write(&plain, "just text").unwrap();
    let script = scratch.path().join("script");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let place = scratch.path().display().to_string();
    for (program, code, reason) in [
        ("no-such-program-xyz", 127, "not found in PATH"),
        ("./missing", 127, "no such file"),
        (plain.to_str().unwrap(), 126, "permission denied"),
        (script.to_str().unwrap(), 127, "its interpreter"),
    ] {
        let told = run(&StepSpec { cwd: Some(scratch.path().into()), ..step(&[program]) });
        let RunHow::CannotRun { code: told_code, message } = &told.end().how else { panic!("{told:?}") };
        assert_eq!(*told_code, code, "{message}");
        assert!(message.contains(reason) && message.contains(program) && message.contains(&place), "{message}");
        assert_eq!(told.pid, None);
    }
    let told = run(&StepSpec { cwd: Some("/no/such/place".into()), ..sh("exit 0") });
    let expected = "cannot execute \"/bin/sh\": cannot enter /no/such/place: No such file or directory (os error 2)";
    assert_eq!(told.end().how, RunHow::CannotRun { code: 126, message: expected.to_owned() });
    let told = run(&step(&[]));
    assert!(matches!(&told.end().how, RunHow::CannotRun { code: 126, .. }), "{told:?}");
}

fn with_check(check: &str, run: &str) -> StepSpec {
    let check = ["/bin/sh", "-c", check].iter().map(Into::into).collect();
    StepSpec { check: Some(check), ..sh(run) }
}

#[test]
fn a_check_decides_whether_there_is_anything_to_do() {
    let told = run(&with_check("echo looked", "echo worked"));
    assert_eq!((&told.end().how, told.end().checked, told.pid), (&RunHow::Exit(0), true, None));
    assert_eq!(told.lines, ["looked"]);
    for check in ["echo looked; exit 1", "echo looked; kill -9 $$"] {
        let told = run(&with_check(check, "echo worked; exit 3"));
        assert_eq!((&told.end().how, told.end().checked), (&RunHow::Exit(3), false), "{check}");
        assert_eq!(told.lines, ["looked", "worked"]);
    }
    let told = run(&StepSpec { check: Some(vec!["no-such-check".into()]), ..sh("exit 4") });
    assert_eq!(told.end().how, RunHow::Exit(4));
    assert!(told.notes[0].contains("no-such-check"), "{told:?}");
}

#[test]
fn a_step_begins_in_a_clean_state_of_its_own() {
    let probe = r#"
        cat /proc/self/status | grep -E "^Sig(Blk|Ign|Cgt)"
        echo "$OLD $NEW $PWD"
        read -r line && echo "stdin is open"
        for fd in /proc/self/fd/*; do case "$(readlink $fd)" in socket:*) echo "a socket: $fd" ;; esac; done
        [ "$(cut -d' ' -f5 /proc/self/stat)" = $$ ] && echo "own group"
        [ "$(cut -d' ' -f6 /proc/self/stat)" = $PPID ] && echo "the shim's session"
        cat /proc/$PPID/cmdline | tr '\0' '|'
    "#;
    let env = vec![("NEW".into(), "new".into()), ("OLD".into(), "overridden".into())];
    let told = run(&StepSpec { env, cwd: Some("/usr".into()), epoch: 7, ..sh(probe) });
    assert_eq!(signal_sets(&told.lines.join("\n")), [0; 3]);
    let expected = ["overridden new /usr", "own group", "the shim's session", "bellwether: test (epoch 7)|__shim|"];
    assert_eq!(told.lines[3..], expected);
}

#[test]
fn a_step_runs_as_the_user_it_names() {
    let probe = "id -u; id -g; echo $HOME $USER $LOGNAME; echo open > /dev/stdout";
    let told = run(&StepSpec { user: Some("nobody".into()), cwd: Some("/".into()), ..sh(probe) });
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let nobody: Vec<&str> = passwd.lines().find(|line| line.starts_with("nobody:")).unwrap().split(':').collect();
    let home = format!("{} nobody nobody", nobody[5]);
    assert_eq!(told.lines, [nobody[2], nobody[3], &home, "open"], "{told:?}");

    let closed = tempfile::tempdir().unwrap();
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let told = run(&StepSpec { user: Some("nobody".into()), cwd: Some(closed.path().into()), ..sh("exit 0") });
    let RunHow::CannotRun { code: 126, message } = &told.end().how else { panic!("{told:?}") };
    assert!(message.contains("cannot enter") && message.contains("Permission denied"), "{message}");

    let told = run(&StepSpec { user: Some("no-such-user".into()), ..sh("exit 0") });
    let RunHow::CannotRun { code: 126, message } = &told.end().how else { panic!("{told:?}") };
    assert!(message.contains("\"no-such-user\" is unknown"), "{message}");
}

#[test]
fn a_step_whose_deadline_has_passed_is_not_started() {
    let told = run(&StepSpec { deadline: Some(boottime::now()), ..sh("echo worked") });
    assert!(told.end().stopped && told.pid.is_none() && told.lines.is_empty(), "{told:?}");
}

#[test]
fn a_spec_does_not_show_the_values_of_its_environment() {
    let spec = StepSpec { env: vec![("DB_PASSWORD".into(), "hunter2".into())], ..sh("exit 0") };
    let shown = format!("{spec:?}");
    assert!(shown.contains("DB_PASSWORD") && !shown.contains("hunter2"), "{shown}");
}
