//! What a step is given, and what becomes of its output.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::json;

use crate::stack::{Stack, Step};
use crate::wait::require_root;

#[test]
fn a_check_that_succeeds_marks_a_step_done_and_one_that_fails_lets_it_run() {
    let check = |script: &str| json!(["/bin/sh", "-c", script]);
    let stack = Stack::new()
        .step(Step::quick("site").with("check", check("exit 0")))
        .step(Step::quick("apps").with("check", check("exit 1")))
        .step(Step::quick("assets").with("check", json!(["/no/such/program"])));
    assert_eq!(stack.start_replica().wait(), 0);
    let journal = stack.journal();
    for (step, how, runs) in [("site", "checked", 0), ("apps", "ran", 1), ("assets", "ran", 1)] {
        assert_eq!(journal.count("start", step), runs, "{step}");
        assert_eq!(stack.json(&format!(".{step}_done_v1"))["how"], json!(how), "{step}");
    }
}

#[test]
fn a_step_sees_its_directory_environment_and_variables() {
    let script = "begin\n{ pwd; echo \"$COLOUR\"; env | grep '^BELLWETHER_' | sort; } >\"$E2E/seen\"\nfinish";
    let step = Step::script("migrate", script).with("cwd", json!("/usr/share")).with("env", json!({"COLOUR": "red"}));
    let stack = Stack::new().step(step);
    assert_eq!(stack.start_replica().wait(), 0);
    let seen = fs::read_to_string(stack.scratch().join("seen")).unwrap();
    let volume = stack.volume().display();
    for line in [
        "/usr/share",
        "red",
        "BELLWETHER_REV=v1",
        "BELLWETHER_STEP=migrate",
        "BELLWETHER_EPOCH=1",
        "BELLWETHER_ATTEMPT=1",
        &format!("BELLWETHER_VOLUME={volume}"),
        &format!("BELLWETHER_RECORD={volume}/.bellwether/steps/migrate.data"),
    ] {
        assert!(seen.lines().any(|seen| seen == line), "{line} is missing:\n{seen}");
    }
}

#[test]
fn a_step_may_run_as_another_user_and_owns_its_data() {
    require_root();
    let script = "begin\n{ id -un; id -G; echo \"$HOME\"; stat -c '%U %a' \"$BELLWETHER_RECORD\"; } >\"$E2E/open/seen\"\n\
                  echo mine >\"$BELLWETHER_RECORD\" && gate; finish";
    let stack = Stack::new().step(Step::script("migrate", script).with("user", json!("nobody")));
    let open = stack.scratch().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    let mut leader = stack.start_leader();
    stack.journal().wait("start", "migrate", 1);
    stack.open_gate("migrate");
    assert_eq!(leader.wait(), 0, "{}", leader.log());
    assert_eq!(fs::metadata(open.join("seen")).unwrap().uid(), 65534);
    assert_eq!(fs::read_to_string(open.join("seen")).unwrap(), "nobody\n65534\n/nonexistent\nnobody 600\n");
    assert_eq!(stack.journal().count("end", "migrate"), 1);
}

#[test]
fn progress_bars_and_unfinished_lines_are_kept_as_lines() {
    let script = "begin; printf '10%%\\r20%%\\r100%%\\nwarning\\r\\nand the last'; finish";
    let stack = Stack::new().step(Step::script("migrate", script).with("max_attempts", json!(1)));
    let mut leader = stack.start_replica();
    assert_eq!(leader.wait(), 0);
    let log = stack.read(".bellwether/log/migrate.log");
    assert_eq!(log, "10%\n20%\n100%\nwarning\nand the last\n");
    for line in log.lines() {
        assert!(leader.has_said(&format!("INFO {line} step=migrate")), "{line}:\n{}", leader.log());
    }
    assert!(!leader.log().contains('\r'));
}

#[test]
fn secrets_are_masked_wherever_output_goes() {
    let script = "begin\necho \"connecting as root:$DB_PASSWORD\"\necho \"with $SHOP_TOKEN\" >&2\n\
                  printf 'at %s' \"$DATABASE_URL\"\nexit 1";
    let step = Step::script("migrate", script)
        .with("max_attempts", json!(1))
        .with("env", json!({"SHOP_TOKEN": "tok-from-the-plan"}));
    let stack = Stack::new()
        .env("DB_PASSWORD", "correct-horse")
        .env("DATABASE_URL", "mysql://shop:battery-staple@db/shop")
        .step(step);
    let mut leader = stack.start_replica();
    assert_eq!(leader.wait(), 78);
    let log = stack.read(".bellwether/log/migrate.log");
    assert_eq!(log, "connecting as root:***\nwith ***\nat mysql://shop:***@db/shop\n");
    let history = stack.read(".bellwether/history.jsonl");
    for place in [leader.log(), stack.read(".failed_v1"), history, stack.record("migrate").to_string()] {
        for secret in ["correct-horse", "battery-staple", "tok-from-the-plan"] {
            assert!(!place.contains(secret), "{place}");
        }
    }
    assert!(stack.read(".failed_v1").contains("root:***"));
}

#[test]
fn what_a_step_leaves_behind_is_gone_before_it_is_done() {
    let script = "begin; (trap '' TERM; journal member \"$(sh -c 'echo $PPID')\"; exec setsid sleep 1000) & \
                  while ! grep -q '^member' \"$E2E/journal\"; do :; done; finish";
    let stack = Stack::new().step(Step::script("site", script)).step(Step::quick("apps").after(&["site"]));
    let mut leader = stack.start_replica();
    assert_eq!(leader.wait(), 0, "{}", leader.log());
    assert!(leader.has_said("left processes behind"));
}

#[test]
fn a_program_that_does_not_exist_is_named() {
    let stack = Stack::new().step(Step::running("migrate", &["/no/such/bench"]).with("max_attempts", json!(1)));
    let mut leader = stack.start_replica();
    assert_eq!(leader.wait(), 78);
    assert!(stack.read(".failed_v1").contains("/no/such/bench") && leader.has_said("/no/such/bench"));
}
