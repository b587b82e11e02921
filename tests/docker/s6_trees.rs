//! Every service tree as it is shipped, looked at without an engine: s6-rc refuses to compile what is not so, and then no
//! service starts at all.

use crate::docker::PROJECT;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// What s6-overlay defines itself.
const BASE: &str = "base";

/// A directory of definitions, what there is besides it, and where its bundles for the start are.
struct Tree {
    root: &'static str,
    /// Defined by a tree that this one is laid over.
    over: Option<&'static str>,
}

const TREES: [Tree; 3] = [
    Tree { root: "compose/s6", over: None },
    Tree { root: "examples/s6/oneshot/rootfs", over: Some("compose/s6") },
    Tree { root: "examples/s6/shop/rootfs", over: None },
];

fn definitions(root: &str) -> PathBuf {
    Path::new(PROJECT).join(root).join("etc/s6-overlay/s6-rc.d")
}

fn names(directory: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(directory) else { return BTreeSet::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn line(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim_end_matches('\n').to_owned())
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o111 == 0o111)
}

#[test]
fn every_service_is_whole() {
    let mut seen = 0;
    for tree in TREES {
        let below = tree.over.map(|root| names(&definitions(root))).unwrap_or_default();
        let own = names(&definitions(tree.root));
        let known: BTreeSet<String> = own.union(&below).cloned().chain([BASE.to_owned()]).collect();
        for name in &own {
            let directory = definitions(tree.root).join(name);
            for other in names(&directory.join("dependencies.d")).union(&names(&directory.join("contents.d"))) {
                assert!(known.contains(other), "{} names {other}, which is nowhere", directory.display());
            }
            match line(&directory.join("type")).as_deref() {
                None if below.contains(name) => only_adds_dependencies(&directory),
                Some("bundle") => holds_something(&directory),
                Some("oneshot") => is_a_oneshot(tree.root, &directory),
                Some("longrun") => is_a_longrun(&directory, name),
                other => panic!("{} is of type {other:?}", directory.display()),
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} definitions were found");
}

/// To what the tree below it defines.
#[track_caller]
fn only_adds_dependencies(directory: &Path) {
    assert_eq!(names(directory), BTreeSet::from(["dependencies.d".to_owned()]), "{}", directory.display());
}

#[track_caller]
fn holds_something(directory: &Path) {
    assert!(!names(&directory.join("contents.d")).is_empty(), "{} is empty", directory.display());
}

#[track_caller]
fn is_a_oneshot(root: &str, directory: &Path) {
    let up = line(&directory.join("up")).unwrap();
    assert_eq!(up.lines().count(), 1, "execline reads one command line of {}", directory.display());
    let script = Path::new(PROJECT).join(root).join(up.trim_start_matches('/'));
    assert!(is_executable(&script), "{}", script.display());
    assert!(!directory.join("timeout-up").exists(), "Bellwether's own limits decide");
}

#[track_caller]
fn is_a_longrun(directory: &Path, name: &str) {
    let run = directory.join("run");
    let text = fs::read_to_string(&run).unwrap();
    assert!(is_executable(&run), "{}", run.display());
    for file in ["timeout-kill", "timeout-finish", "notification-fd"] {
        if let Some(number) = line(&directory.join(file)) {
            assert!(number.parse::<u32>().is_ok_and(|number| number > 2), "{file} of {name} is '{number}'");
        }
    }
    if name.ends_with("-log") {
        let producer = line(&directory.join("consumer-for")).unwrap();
        assert_eq!(line(&directory.with_file_name(&producer).join("producer-for")).as_deref(), Some(name));
        return;
    }
    assert!(text.starts_with("#!/command/with-contenv sh\n"), "{name} would not see the container's environment");
    assert!(text.contains("\nexec 2>&1\n"), "{name} loses its errors");
    assert!(
        text.trim_end().lines().last().unwrap().starts_with("exec "),
        "{name} leaves a shell between s6 and the service"
    );
    assert!(is_executable(&directory.join("finish")), "{name} has no finish");
    assert!(fs::read_to_string(directory.join("finish")).unwrap().contains(&format!("/ended {name} \"$@\"")), "{name}");
    assert!(directory.join("timeout-kill").exists(), "{name} could hold a stop up for ever");
    assert!(names(&directory.join("dependencies.d")).contains(BASE), "{name}");
}

#[test]
fn stopping_takes_as_long_as_the_table_says() {
    let shop = "examples/s6/shop/rootfs";
    let table = [
        ("compose/s6", "nginx", 40, Some("SIGQUIT")),
        ("compose/s6", "gunicorn", 40, None),
        ("compose/s6", "websocket", 40, None),
        ("compose/s6", "worker-short", 360, None),
        ("compose/s6", "worker-long", 1560, None),
        ("compose/s6", "scheduler", 40, None),
        (shop, "nginx", 15, Some("SIGQUIT")),
        (shop, "shop-1", 15, None),
        (shop, "shop-2", 15, None),
        (shop, "shop-3", 15, None),
    ];
    for (root, name, secs, signal) in table {
        let directory = definitions(root).join(name);
        assert_eq!(line(&directory.join("timeout-kill")), Some(format!("{secs}000")), "{root}: {name}");
        assert_eq!(line(&directory.join("down-signal")).as_deref(), signal, "{root}: {name}");
    }
    let longruns =
        TREES.iter().flat_map(|tree| names(&definitions(tree.root)).into_iter().map(|name| (tree.root, name)));
    let of_a_service =
        |(root, name): &(&str, String)| definitions(root).join(name).join("run").exists() && !name.ends_with("-log");
    let found: BTreeSet<(&str, String)> = longruns.filter(of_a_service).collect();
    let listed = table.map(|(root, name, ..)| (root, name.to_owned()));
    assert_eq!(found, BTreeSet::from(listed), "one of them is in no table");
}

/// A stop goes the other way round: nginx ends first, while those are there that answer what it has begun.
#[test]
fn nginx_depends_on_what_answers_for_it_and_everything_on_bootstrap() {
    let dependencies = |root: &str, name: &str| names(&definitions(root).join(name).join("dependencies.d"));
    let set = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(dependencies("compose/s6", "nginx"), set(&["base", "gunicorn"]));
    // Browsers keep websockets open for ever, so nothing may wait for these.
    for name in ["gunicorn", "websocket", "worker-short", "worker-long", "scheduler"] {
        assert_eq!(dependencies("compose/s6", name), set(&["base"]), "{name}");
    }
    assert_eq!(dependencies("examples/s6/shop/rootfs", "nginx"), set(&["base", "shop-1", "shop-2", "shop-3"]));
    for name in ["shop-1", "shop-2", "shop-3"] {
        assert_eq!(dependencies("examples/s6/shop/rootfs", name), set(&["base"]), "{name}");
    }
    let oneshot = "examples/s6/oneshot/rootfs";
    for name in names(&definitions(oneshot)) {
        let before = if name == "bootstrap" { "base" } else { "bootstrap" };
        assert_eq!(dependencies(oneshot, &name), set(&[before]), "{name}");
    }
}

/// The lines by which a Dockerfile downloads s6-overlay: its version, from where, and the checksums.
#[track_caller]
fn release(dockerfile: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(PROJECT).join(dockerfile)).unwrap();
    let lines =
        text.lines().filter(|line| line.starts_with("ARG S6_OVERLAY_") && !line.starts_with("ARG S6_OVERLAY_IMAGE"));
    lines.map(str::to_owned).collect()
}

#[test]
fn every_dockerfile_downloads_the_same_s6_overlay() {
    let ours = release("Dockerfile");
    let of = |start: &str| {
        let mut values = ours.iter().filter_map(|line| line.strip_prefix("ARG S6_OVERLAY_")?.strip_prefix(start));
        let value = values.next().unwrap_or_else(|| panic!("no {start} in {ours:?}"));
        assert_eq!(values.next(), None, "{start} twice in {ours:?}");
        value.to_owned()
    };
    let version = of("VERSION=");
    assert!(of("URL=").ends_with("/v${S6_OVERLAY_VERSION}"), "{ours:?}");
    let sums = ["NOARCH=", "X86_64=", "AARCH64="].map(|name| of(&format!("SHA256_{name}")));
    for sum in &sums {
        assert!(sum.len() == 64 && sum.chars().all(|digit| digit.is_ascii_hexdigit()), "{sum}");
    }
    assert_eq!(BTreeSet::from(sums).len(), 3, "one checksum is that of another file");
    assert_eq!(ours.len(), 5, "{ours:?}");
    assert_eq!(release("examples/s6/shop/Dockerfile"), ours);
    // That one is built on an image that has it, and where a page or a message names a version, it is this one.
    assert_eq!(release("examples/s6/oneshot/Dockerfile"), Vec::<String>::new());
    for file in ["Dockerfile", "examples/s6/shop/Dockerfile", "examples/s6/README.md"] {
        let text = fs::read_to_string(Path::new(PROJECT).join(file)).unwrap();
        let words =
            text.split(|letter: char| !(letter.is_ascii_digit() || letter == '.')).map(|word| word.trim_matches('.'));
        let versions: BTreeSet<&str> =
            words.filter(|word| word.starts_with("3.") && word.matches('.').count() == 3).collect();
        assert_eq!(versions, BTreeSet::from([version.as_str()]), "{file}");
    }
}

/// A start brings up what a bundle holds; what is in none is never started.
#[test]
fn every_service_is_in_a_bundle() {
    let definitions = definitions("compose/s6");
    let held: BTreeSet<String> = ["all", "web", "workers"]
        .iter()
        .flat_map(|bundle| names(&definitions.join(bundle).join("contents.d")))
        .collect();
    let loose: Vec<_> = names(&definitions)
        .into_iter()
        .filter(|name| name != "all" && !name.ends_with("-log") && !held.contains(name))
        .collect();
    assert_eq!(loose, Vec::<String>::new());
    // s6-overlay takes no bundles from elsewhere if these are here.
    assert!(!definitions.join("user").exists() && !definitions.join("user2").exists());
    let bootstrap: Vec<_> = names(&self::definitions("examples/s6/oneshot/rootfs"))
        .into_iter()
        .filter(|name| name != "bootstrap")
        .collect();
    let longruns: Vec<_> = names(&definitions)
        .into_iter()
        .filter(|name| definitions.join(name).join("run").exists() && !name.ends_with("-log"))
        .collect();
    assert_eq!(bootstrap, longruns, "one of them would start before ready");
    let user = Path::new(PROJECT).join("examples/s6/shop/rootfs/etc/s6-overlay/user-bundles.d/user/contents.d");
    assert_eq!(names(&user), names(&self::definitions("examples/s6/shop/rootfs")));
}
