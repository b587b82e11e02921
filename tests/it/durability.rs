//! What is announced survives a power loss: whatever is published is synced before it gets its name, and its directory
//! after that. Seen from outside, in the order of the system calls.

use std::fs;
use std::path::Path;

use crate::stack::{Stack, Step};
use crate::wait::wait_until;

/// The calls that matter, one a line, with the paths of descriptors.
fn boot() -> (Vec<String>, String) {
    let stack = Stack::new().step(Step::quick("migrate"));
    let trace = stack.scratch().join("trace");
    let calls = "trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat,execve";
    let strace = ["strace", "-f", "-qq", "-y", "-e", calls, "-o", trace.to_str().unwrap()];
    let mut replica = stack.replica().under(&strace).command(&["/bin/true"]).start();
    assert_eq!(replica.wait(), 0, "{}", replica.log());
    let root = fs::canonicalize(stack.volume()).unwrap().display().to_string();
    (fs::read_to_string(&trace).unwrap().lines().map(ToOwned::to_owned).collect(), root)
}

/// Where the file of that name gets it, by a rename or a link, and from which temporary path.
fn published<'a>(calls: &'a [String], name: &str) -> (usize, &'a str) {
    let end = format!("/{name}\"");
    let is_it = |line: &&String| (line.contains("rename") || line.contains("link")) && line.contains(&end);
    let line = calls.iter().find(is_it).unwrap_or_else(|| panic!("{name} is never published"));
    let at = calls.iter().position(|other| std::ptr::eq(other, line)).unwrap();
    (at, line.split('"').nth(1).unwrap())
}

fn position(calls: &[String], from: usize, what: &str, is_it: impl Fn(&str) -> bool) -> usize {
    let found = calls[from..].iter().position(|line| is_it(line));
    from + found.unwrap_or_else(|| panic!("{what} not found after line {from} of\n{}", calls.join("\n")))
}

#[test]
fn what_is_published_is_synced_before_it_has_its_name_and_its_directory_after() {
    let (calls, root) = boot();
    let synced = |path: &str| {
        let file = format!("<{path}>");
        move |line: &str| line.contains("sync(") && line.contains(&file)
    };
    let handed_off = position(&calls, 0, "the hand-off", |line| line.contains("execve(\"/bin/true\""));
    for name in [".ready_v1", "revisions", "migrate.json"] {
        let (at, temporary) = published(&calls, name);
        let before = position(&calls, 0, "the sync of the content", synced(temporary));
        let directory = if name.starts_with('.') { root.clone() } else { parent(&calls[at], name) };
        let after = position(&calls, at, "the sync of the directory", synced(&directory));
        assert!(before < at && at < after && after < handed_off, "{name}: {before} {at} {after} {handed_off}");
    }
}

#[test]
fn the_last_done_marker_is_on_the_disk_before_ready_is_announced() {
    let (calls, root) = boot();
    let (done, _) = published(&calls, ".migrate_done_v1");
    let (ready, _) = published(&calls, ".ready_v1");
    let directory = format!("<{root}>");
    let synced =
        position(&calls, done, "the sync of the root", |line| line.contains("sync(") && line.contains(&directory));
    assert!(done < synced && synced < ready, "{done} {synced} {ready}");
}

#[test]
fn what_a_dead_leader_has_done_is_on_the_disk_before_its_successor_announces_ready() {
    let (calls, _) = boot();
    let (done, _) = published(&calls, ".migrate_done_v1");
    let thread = calls[done].split_once(' ').unwrap().0;
    let is_rename =
        |line: &&String| line.strip_prefix(thread).is_some_and(|call| call.trim_start().starts_with("rename("));
    // strace counts by thread.
    let stop = format!("inject=rename:signal=STOP:when={}", calls[..=done].iter().filter(is_rename).count());

    let stack = Stack::new().step(Step::gated("migrate"));
    let [first, second] = ["first", "second"].map(|name| stack.scratch().join(name));
    let [first_trace, second_trace] = [&first, &second].map(|path| path.to_str().unwrap());
    // Stands still with the marker in its place, before it has synced anything of that.
    let stop = ["strace", "-f", "-e", "trace=rename", "-e", &stop, "-o", first_trace];
    let mut leader = stack.replica().under(&stop).start();
    stack.journal().wait("start", "migrate", 1);
    let calls = "trace=fsync,fdatasync,rename,flock";
    let mut follower = stack.replica().under(&["strace", "-f", "-y", "-e", calls, "-o", second_trace]).start();
    let has = |path: &Path, text: &str| fs::read_to_string(path).is_ok_and(|trace| trace.contains(text));
    wait_until("a follower that waits for the guard", || has(&second, "flock("));
    stack.open_gate("migrate");
    wait_until("a leader that stands still", || has(&first, "stopped by SIGSTOP"));
    assert!(stack.has(".migrate_done_v1"));
    leader.kill_tree();
    assert_eq!(follower.wait(), 0, "{}", follower.log());
    let calls: Vec<String> = fs::read_to_string(&second).unwrap().lines().map(ToOwned::to_owned).collect();
    let locked = position(&calls, 0, "the wait for the guard", |line| line.contains("flock("));
    let (ready, _) = published(&calls, ".ready_v1");
    let root = format!("<{}>", fs::canonicalize(stack.volume()).unwrap().display());
    let synced =
        position(&calls, locked, "the sync of the root", |line| line.contains("sync(") && line.contains(&root));
    assert!(locked < synced && synced < ready, "{locked} {synced} {ready}:\n{}", calls.join("\n"));
}

/// The directory that `name` is published in.
fn parent(line: &str, name: &str) -> String {
    let path = line.split('"').find(|word| word.ends_with(&format!("/{name}"))).unwrap();
    path.strip_suffix(&format!("/{name}")).unwrap().to_owned()
}
