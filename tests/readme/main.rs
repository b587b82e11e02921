//! The README is tested: its tables come from the code, its plan is a plan, its commands do what it says.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod proof;
mod symptoms;
#[path = "../waiting/mod.rs"]
mod waiting;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bellwether::exit::Exit;
use bellwether::frappe::{FRAPPE_SETTINGS, Frappe};
use bellwether::settings::{self, LoadedPlan, Overlay, SETTINGS, STEP_VARIABLES, Scan, Settings, StepDefaults, scan};
use bellwether::{Env, Presets, Problem};
use tempfile::TempDir;

const README: &str = include_str!("../../README.md");
const BIN: &str = env!("CARGO_BIN_EXE_bellwether");

/// The fenced block whose first line ends with this.
fn block(info: &str) -> &'static str {
    let start = README.find(&format!("```{info}\n")).unwrap_or_else(|| panic!("no block {info}")) + info.len() + 4;
    let length = README[start..].find("\n```").unwrap();
    &README[start..=start + length]
}

/// Whole words that could be variables: capitals, digits and underscores, with at least one underscore.
fn variables(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let is_name = |word: &&str| {
        word.contains('_')
            && !word.ends_with('_')
            && word.starts_with(|c: char| c.is_ascii_uppercase())
            && *word == word.to_ascii_uppercase()
    };
    words.filter(is_name).collect()
}

#[test]
fn the_settings_are_those_of_the_code() {
    for table in [SETTINGS, FRAPPE_SETTINGS] {
        assert!(README.contains(&settings::markdown(table)), "the table should be:\n{}", settings::markdown(table));
    }
}

#[test]
fn every_variable_it_speaks_of_exists() {
    let known = |name: &str| {
        let of_settings = SETTINGS.iter().chain(FRAPPE_SETTINGS).any(|s| {
            let mut names = std::iter::once(s.variable).chain(s.aliases.iter().copied());
            names.any(|known| known == name || s.file && name.strip_suffix("_FILE") == Some(known))
        });
        of_settings || STEP_VARIABLES.contains(&name)
    };
    // Those are of tests, not of the program.
    let of_tests = |name: &str| {
        let script = include_str!("../run");
        let bases = include_str!("../docker/bases/make");
        let is_read = |text: &str| text.contains(&format!("${{{name}-"));
        let checks = [
            include_str!("../sim/main.rs"),
            include_str!("../differential/shrink.rs"),
            include_str!("../model/main.rs"),
        ];
        let is_asked_for = |text: &&str| text.contains(&format!("env::var(\"{name}\")"));
        is_read(script) || is_read(bases) || checks.iter().any(is_asked_for)
    };
    let unknown: Vec<&str> = variables(README).into_iter().filter(|name| !known(name) && !of_tests(name)).collect();
    assert_eq!(unknown, Vec::<&str>::new());
}

#[test]
fn every_subcommand_and_flag_it_shows_is_understood() {
    let shown = README.split('`').filter(|code| code.starts_with("bellwether ") && !code.contains('\n'));
    let mut count = 0;
    for code in shown {
        let line = code.replace("COMMAND", "true");
        let scanned = scan(line.split(' ').skip(1).map(Into::into));
        assert!(matches!(scanned, Ok(Scan::Do(_))), "{code}: {scanned:?}");
        count += 1;
    }
    assert!(count >= 8, "{count} commands found");
    for (flag, _) in README.match_indices("`--").map(|(at, _)| README[at + 3..].split_once('`').unwrap()) {
        let is_switch = ["supervise", "no-wait"].contains(&flag);
        let is_setting = SETTINGS.iter().any(|setting| setting.flag == Some(flag));
        assert!(is_switch || is_setting, "--{flag}");
    }
}

#[test]
fn its_exit_codes_are_those_of_the_code() {
    let (_, section) = README.split_once("## Exit codes").unwrap();
    let lines = section.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |"));
    let shown: Vec<i32> = lines.flat_map(|(codes, _)| codes.split(", ")).filter_map(|code| code.parse().ok()).collect();
    let all = [
        Exit::Usage,
        Exit::Unavailable,
        Exit::Software,
        Exit::VolumeIo,
        Exit::TryLater,
        Exit::Permission,
        Exit::StepFailed,
        Exit::CannotExecute,
        Exit::NotFound,
    ];
    assert_eq!(shown, all.map(Exit::code));
}

#[test]
fn its_plan_is_a_plan() {
    let defaults = StepDefaults { timeout: Some(Duration::from_secs(1)), max_attempts: 3 };
    let plan = LoadedPlan::parse("plan.json", block("json plan.json"), defaults).unwrap();
    assert_eq!((plan.name.as_str(), plan.plan.len()), ("shop", 3));
}

#[test]
fn what_is_typed_by_hand_does_what_is_shown() {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("plan.json"), block("json plan.json")).unwrap();
    let path = format!("{}:{}", Path::new(BIN).parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-ec", block("sh by-hand")]).current_dir(directory.path()).env("PATH", path);
    let output = shell.output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stdout}\n{stderr}");
    for said in ["replica a serves", "replica b serves", "a warm start serves at once"] {
        assert_eq!(stdout.matches(said).count(), 1, "{stdout}\n{stderr}");
    }
    // Every line it shows, without times, numbers and the host.
    let shown = block("text by-hand");
    let plain = |line: &str| {
        line.split(", on ")
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .filter(|w| w.chars().all(|c| !c.is_numeric()))
            .collect::<String>()
    };
    let printed: Vec<String> = stdout.lines().map(plain).collect();
    // The two replicas may serve in either order; everything else stands as it is shown.
    let sorted = |mut lines: Vec<String>| {
        lines.iter_mut().filter(|line| line.starts_with("volume")).for_each(|line| line.truncate(6));
        lines.retain(|line| !line.is_empty());
        lines.sort();
        lines
    };
    assert_eq!(sorted(printed), sorted(shown.lines().map(plain).collect()), "{stdout}");
}

/// A block of YAML, read by somebody else's parser.
fn yaml(info: &str) -> serde_json::Value {
    let check = "import json, sys\n\
                 try:\n    import yaml\n\
                 except ImportError:\n    sys.exit('python3-yaml is missing; tests/run installs it')\n\
                 print(json.dumps(yaml.safe_load(sys.stdin)))";
    let mut python = Command::new("/usr/bin/python3");
    let python = python.args(["-c", check]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = python.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), block(info).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{info}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn its_yaml_is_yaml_and_sets_what_a_replica_needs() {
    for (info, entry) in [("yaml compose", "/services/web/environment"), ("yaml kubernetes", "/containers/0/env")] {
        let environment = yaml(info).pointer(entry).unwrap().to_string();
        for needed in ["IMAGE_REV", "BELLWETHER_PLAN", "BELLWETHER_VOLUME"] {
            assert!(environment.contains(needed), "{info}: {environment}");
        }
    }
}

#[test]
fn its_frappe_stack_says_all_that_the_preset_wants_to_know() {
    let document = yaml("yaml frappe");
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::create_dir_all(path("bench/env/bin")).unwrap();
    for name in ["bench/env/bin/python", "secret"] {
        std::fs::write(path(name), "s3cret").unwrap();
    }
    for service in ["web", "worker"] {
        let environment = document["services"][service]["environment"].as_object().unwrap();
        let value = |name: &str, value: &serde_json::Value| match name {
            _ if name.ends_with("_FILE") => path("secret"),
            "IMAGE_REV" => "v1".to_owned(),
            _ => value.as_str().unwrap().to_owned(),
        };
        let said = environment.iter().map(|(name, text)| (name.clone(), value(name, text)));
        let env: Env = said.chain([("SITES_DIR".to_owned(), path("bench/sites"))]).collect();
        let checked = Settings::from(&env, &Overlay::new(), Presets(&[&Frappe]));
        let (settings, notices) = checked.map_err(|problems| Problem::render(&problems)).unwrap();
        assert_eq!((settings.plan.plan.len(), settings.may_lead, notices.len()), (5, service == "web", 0));
    }
}

#[test]
fn the_version_and_the_changelog_go_together() {
    let changelog = include_str!("../../CHANGELOG.md");
    let version = env!("CARGO_PKG_VERSION");
    let released =
        changelog.lines().filter_map(|line| line.strip_prefix("## [")?.split_once(']')).map(|(name, _)| name);
    let released: Vec<&str> = released.collect();
    assert_eq!(released.first(), Some(&"Unreleased"));
    // Until the first release the changelog has nothing else; after it, the newest entry is this version.
    assert!(released.len() == 1 && version == "0.1.0" || released.get(1) == Some(&version), "{version}: {released:?}");
}

#[test]
fn the_architecture_is_short() {
    let lines = include_str!("../../ARCHITECTURE.md").lines().count();
    assert!(lines <= 150, "{lines} lines");
}
