//! The boot that everything here is done to: two small steps, one after the other.

use std::process::Command;

use serde_json::json;

use crate::replica::{Launch, Replica};
use crate::stack::{Stack, Step};

pub(crate) const STEPS: [&str; 2] = ["site", "migrate"];

/// Whoever is killed in the middle of it is not waited for long.
const STALE_SECS: &str = "1";

/// No process but the shell's for the times, which nobody asks for here; and nothing is done that has been done.
const WORDS: &str = "journal() { printf '%s %s %s %s %s 0\\n' \"$1\" \"$BELLWETHER_STEP\" \"$BELLWETHER_REV\" \
                     \"$BELLWETHER_EPOCH\" \"${2:-$$}\" >>\"$E2E/journal\"; }\n\
                     undone() { [ ! -e \"$BELLWETHER_VOLUME/.${BELLWETHER_STEP}_done_$BELLWETHER_REV\" ] || journal early; }\n";

/// What the command writes, and whether it may.
const SERVE: &str = "for name in ready site_done migrate_done; do [ -f \"$BELLWETHER_VOLUME/.${name}_$IMAGE_REV\" ] || \
                     printf 'early - %s 0 %s 0\\n' \"$IMAGE_REV\" \"$$\" >>\"$E2E/journal\"; done\n\
                     printf 'serve - %s 0 %s 0\\n' \"$IMAGE_REV\" \"$$\" >>\"$E2E/journal\"";

/// Has a descendant that outlives it by a moment.
const SITE: &str = "begin; { sleep 0.02; undone; } & journal member $!; undone; journal end";

const CHILDLESS: &str = "begin; undone; journal end";

/// Begins only after its predecessor.
const MIGRATE: &str = "begin; [ -e \"$BELLWETHER_VOLUME/.site_done_$BELLWETHER_REV\" ] || journal early; undone; ";

/// The same, of whose first run nothing comes.
const HUNG: &str =
    "begin; [ -e \"$E2E/killed\" ] || sleep 600; { sleep 0.02; undone; } & journal member $!; undone; journal end";

/// What the first step waits for, where its first leader is killed.
pub(crate) const KILLED: &str = "killed";

/// What the second step waits for, or fails without.
pub(crate) const MENDED: &str = "mended";

/// How often a step may end badly.
pub(crate) const ATTEMPTS: usize = 4;

/// How often the second step may, where it does.
pub(crate) const FEW_ATTEMPTS: usize = 2;

pub(crate) fn stack() -> Stack {
    with_steps(SITE, "", ATTEMPTS)
}

/// Without that descendant, for those who strike at the processes of steps as well.
pub(crate) fn childless() -> Stack {
    with_steps(CHILDLESS, "", ATTEMPTS)
}

/// With a first step that takes longer than any test waits, until its leader has been killed.
pub(crate) fn hung() -> Stack {
    with_steps(HUNG, "", ATTEMPTS)
}

/// With a second step that takes longer than any test waits, until it is mended.
pub(crate) fn lasting() -> Stack {
    with_steps(SITE, "[ -e \"$E2E/mended\" ] || sleep 600; ", ATTEMPTS)
}

/// With a second step that ends badly until it is mended.
pub(crate) fn failing() -> Stack {
    with_steps(SITE, "[ -e \"$E2E/mended\" ] || exit 1; ", FEW_ATTEMPTS)
}

fn with_steps(site: &str, way: &str, attempts: usize) -> Stack {
    let migrate = format!("{MIGRATE}{way}journal end");
    let step = |name: &str, script: &str| Step::script(name, &format!("{WORDS}{script}"));
    Stack::new()
        .step(step("site", site).with("max_attempts", json!(ATTEMPTS)))
        .step(step("migrate", &migrate).with("max_attempts", json!(attempts)).after(&["site"]))
        .env("STEP_STALE_SECS", STALE_SECS)
        .env("BELLWETHER_STOP_GRACE_SECS", "0.1")
        .env("BELLWETHER_BACKOFF_SECS", "0.1")
}

pub(crate) fn launch(stack: &Stack) -> Launch<'_> {
    stack.replica().command(&["/bin/sh", "-c", SERVE])
}

/// Starts a replica that has to end like this.
#[track_caller]
pub(crate) fn assert_ends(stack: &Stack, rev: &str, code: i32) {
    let mut replica: Replica = launch(stack).rev(rev).start();
    assert_eq!(replica.wait(), code, "{}", replica.log());
}

/// Starts a replica that has to come to its command.
#[track_caller]
pub(crate) fn assert_finishes(stack: &Stack, rev: &str) {
    assert_ends(stack, rev, 0);
}

/// Clears a failure as a person would.
pub(crate) fn retry(stack: &Stack) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bellwether"));
    let output = command.arg("retry").env_clear().envs(stack.environment()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
