#[cfg(feature = "redis")]
mod corpus;

use super::*;

const DEFAULTS: StepDefaults = StepDefaults { timeout: None, max_attempts: 3 };

fn parse(text: &str) -> Result<LoadedPlan, Vec<Problem>> {
    LoadedPlan::parse("plan.json", text, DEFAULTS)
}

fn refused(text: &str) -> String {
    let problems = parse(text).expect_err(text);
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn digest(text: &str) -> String {
    parse(text).unwrap().digest
}

const FULL: &str = r#"{ "name": "shop",
  "needs": ["tcp://db:3306"],
  "steps": [
    { "name": "migrate", "run": ["./manage.py", "migrate"],
      "in_progress": "migrating", "done": "migrated",
      "after": ["site"], "check": ["./manage.py", "migrate", "--check"],
      "env": {"K": "V"}, "cwd": "/srv/shop", "user": "app",
      "timeout_secs": 0.5, "max_attempts": 5 },
    { "name": "site", "run": ["true"] } ] }"#;

#[test]
fn everything_that_can_be_said_is_read() {
    let loaded = parse(FULL).unwrap();
    assert_eq!(loaded.name, "shop");
    assert_eq!(loaded.needs, [Need::parse("tcp://db:3306").unwrap()]);
    let step = loaded.plan.step(StepId(0));
    assert_eq!((step.in_progress.as_str(), step.done.as_str()), ("migrating", "migrated"));
    assert_eq!(step.after, BTreeSet::from([StepId(1)]));
    assert_eq!((step.timeout, step.max_attempts), (Some(Duration::from_millis(500)), 5));
    let command = loaded.command(StepId(0));
    assert_eq!(command.run, ["./manage.py", "migrate"]);
    assert_eq!(command.check.as_ref().unwrap().len(), 3);
    assert_eq!((command.env["K"].as_str(), command.user.as_deref()), ("V", Some("app")));
    assert_eq!(command.cwd.as_deref(), Some("/srv/shop".as_ref()));
}

#[test]
fn name_and_run_are_enough() {
    let defaults = StepDefaults { timeout: Some(Duration::from_secs(9)), max_attempts: 7 };
    let loaded = LoadedPlan::parse("p", r#"{"steps":[{"name":"a","run":["b"]}]}"#, defaults).unwrap();
    let step = loaded.plan.step(StepId(0));
    assert_eq!((step.in_progress.as_str(), step.done.as_str()), ("a", "a_done"));
    assert_eq!((step.timeout, step.max_attempts), (defaults.timeout, 7));
    assert_eq!(loaded.name, "plan");
    // An explicit 0 means "for ever", whatever the setting says.
    let text = r#"{"steps":[{"name":"a","run":["b"],"timeout_secs":0}]}"#;
    assert_eq!(LoadedPlan::parse("p", text, defaults).unwrap().plan.step(StepId(0)).timeout, None);
}

#[test]
fn every_mistake_is_told_with_line_and_column() {
    let text = r#"{ "nam": "shop", "name": 7,
  "needs": ["db:3306", "https://db/", 5],
  "steps": [
    { "name": "a", "runn": ["x"], "after": ["b", "cc"] },
    { "name": "b/c", "run": "x" },
    { "näme": "ä", "name": "c", "run": [], "check": [""], "cwd": "" },
    { "name": "d", "name": "e", "run": ["x", 1], "env": {"A=": "", "B": null, "B": "", "BELLWETHER_STEP": ""} },
    { "name": "f", "run": ["a\u0000b"], "timeout_secs": -1, "max_attempts": 0, "user": [] },
    { }, [] ] }"#;
    insta::assert_snapshot!(refused(text), @r#"
    plan.json:1:3: unknown key "nam"; did you mean "name"?
    plan.json:1:26: "name" must be a text in "", not a number
    plan.json:2:13: the need is none of tcp://host:port, http://host[:port]/path, redis://host[:port] and file:///path
    plan.json:2:24: the need https:// is not supported; wait for the port as tcp://host:port
    plan.json:2:39: a need must be a text in "", not a number
    plan.json:4:20: unknown key "runn"; did you mean "run"?
    plan.json:4:45: comes after "b", but there is no such step
    plan.json:4:50: comes after "cc", but there is no such step
    plan.json:5:15: "name" holds '/' at position 2; allowed are letters, digits and, after the first, '.', '_' and '-'
    plan.json:5:29: "run" must be a list of words such as ["sh", "-c", "…"], not one text
    plan.json:6:7: unknown key "näme"; did you mean "name"?
    plan.json:6:40: "run" is empty; it must begin with a program
    plan.json:6:54: "check" must begin with a program, not with an empty word
    plan.json:6:66: "cwd" is empty; leave it out instead
    plan.json:7:20: the key "name" stands here twice
    plan.json:7:46: a word of "run" must be a text in "", not a number
    plan.json:7:58: "A=" cannot be the name of a variable
    plan.json:7:73: the variable B must be a text in "", not null
    plan.json:7:79: the key "B" stands here twice
    plan.json:7:88: BELLWETHER_STEP is set by bellwether itself; remove it
    plan.json:8:28: a word of "run" holds a NUL character
    plan.json:8:57: "timeout_secs" must lie between 0 (for ever) and 1000000000
    plan.json:8:77: "max_attempts" must be a whole number from 1 to 4294967295
    plan.json:8:88: "user" must be a text in "", not a list
    plan.json:9:5: the step has no "name"
    plan.json:9:5: the step has no "run"
    plan.json:9:10: a step must be an object {…}, not a list
    "#);
}

#[test]
fn mistakes_in_the_order_are_told_where_they_stand() {
    let text = r#"{ "steps": [
  { "name": "a", "run": ["x"], "after": ["c"] },
  { "name": "b", "run": ["x"], "after": ["a"] },
  { "name": "c", "run": ["x"], "after": ["b"] },
  { "name": "c", "run": ["x"] },
  { "name": "a_b", "run": ["x"] },
  { "name": "d", "run": ["x"],
    "done": "ready" } ] }"#;
    insta::assert_snapshot!(refused(text), @r#"
    plan.json:2:41: the steps a → b → c → a wait for each other
    plan.json:5:13: the name "c" is used twice
    plan.json:6:13: the marker word "a_b" could be mistaken for "a"; give one of them another name
    plan.json:8:13: the marker word "ready" could be mistaken for "ready"; give one of them another name
    "#);
}

#[test]
fn no_json_is_told_in_characters() {
    insta::assert_snapshot!(refused(""), @"plan.json:1:1: no JSON: EOF while parsing a value");
    insta::assert_snapshot!(refused("{\n  \"näme\": ö }"), @"plan.json:2:11: no JSON: expected value");
    insta::assert_snapshot!(refused("{\"steps\": [],}"), @"plan.json:1:14: no JSON: key must be a string");
    insta::assert_snapshot!(refused("{\"steps\": [] } x"), @"plan.json:1:16: no JSON: trailing characters");
    insta::assert_snapshot!(refused("{\"steps\": [\n"), @"plan.json:2:1: no JSON: EOF while parsing a list");
    insta::assert_snapshot!(refused("[]"), @"plan.json:1:1: a plan must be an object {…}, not a list");
    insta::assert_snapshot!(refused("{}"), @r#"plan.json:1:1: the plan has no "steps""#);
    insta::assert_snapshot!(refused(r#"{"step": [{"name":"a","run":["b"]}]}"#), @r#"plan.json:1:2: unknown key "step"; did you mean "steps"?"#);
    insta::assert_snapshot!(refused(r#"{"steps":[{"name":"\ud800","run":["b"]}]}"#), @r#"plan.json:1:19: "name" cannot be read: unexpected end of hex escape"#);
    insta::assert_snapshot!(refused(r#"{"steps":[{"name":"a","run":["b"],"timeout_secs":1e400}]}"#), @r#"plan.json:1:50: "timeout_secs" cannot be read: number out of range"#);
}

#[test]
fn deep_nesting_does_not_overflow() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    insta::assert_snapshot!(refused(&format!(r#"{{"steps":[{deep}]}}"#)), @"plan.json:1:11: a step must be an object {…}, not a list");
}

#[test]
fn too_many_steps_are_refused() {
    let steps = |count: usize| {
        let steps: Vec<String> = (0..count).map(|n| format!(r#"{{"name":"s{n}","run":["x"]}}"#)).collect();
        format!(r#"{{"steps":[{}]}}"#, steps.join(","))
    };
    assert!(parse(&steps(1000)).is_ok());
    insta::assert_snapshot!(refused(&steps(1001)), @"plan.json:1:10: a plan may have 1000 steps, not 1001; let one step do more");
}

#[test]
fn no_cut_of_a_plan_panics() {
    for end in (0..FULL.len()).filter(|&end| FULL.is_char_boundary(end)) {
        assert!(parse(&FULL[..end]).is_err(), "{end}");
    }
}

#[test]
fn a_long_name_needs_a_done_word() {
    let name = "n".repeat(60);
    let text = format!(r#"{{"steps":[{{"name":"{name}","run":["x"]}}]}}"#);
    assert!(
        refused(&text).ends_with("_done\" has 65 characters; at most 64 are allowed; give a shorter one as \"done\"")
    );
    assert!(parse(&text.replace("}]", r#","done":"d"}]"#)).is_ok());
}

#[test]
fn the_digest_is_that_of_the_work() {
    let plan = |steps: &str| digest(&format!("{{\"steps\":[{steps}]}}"));
    let base =
        plan(r#"{"name":"a","run":["x","y"]},{"name":"b","run":["z"],"after":["a"],"env":{"T_TOKEN":"1","K":"1"}}"#);
    let same = [
        r#"{"run":["x", "y"], "name":"a"} , {"name":"b","run":["z"],"after":["a"],"env":{"K":"1","T_TOKEN":"2"}}"#,
        r#"{"name":"b","run":["z"],"after":["a"],"env":{"T_TOKEN":"1","K":"1"}},{"name":"a","run":["x","\u0079"]}"#,
        r#"{"name":"a","run":["x","y"],"max_attempts":9},{"name":"b","run":["z"],"after":["a"],"env":{"T_TOKEN":"1","K":"1"},"timeout_secs":5}"#,
    ];
    for steps in same {
        assert_eq!(plan(steps), base, "{steps}");
    }
    let other = [
        r#"{"name":"a","run":["xy"]},{"name":"b","run":["z"],"after":["a"],"env":{"T_TOKEN":"1","K":"1"}}"#,
        r#"{"name":"a","run":["x","y"]},{"name":"b","run":["z"],"env":{"T_TOKEN":"1","K":"1"}}"#,
        r#"{"name":"a","run":["x","y"]},{"name":"b","run":["z"],"after":["a"],"env":{"T_TOKEN":"1","K":"2"}}"#,
        r#"{"name":"a","run":["x","y"],"cwd":"/"},{"name":"b","run":["z"],"after":["a"],"env":{"T_TOKEN":"1","K":"1"}}"#,
    ];
    for steps in other {
        assert_ne!(plan(steps), base, "{steps}");
    }
    // Pinned: a digest on a volume outlives the version that wrote it.
    insta::assert_snapshot!(base, @"30f5483bbaf047a1");
}

#[test]
#[cfg(feature = "redis")]
fn secrets_are_not_shown_by_debug() {
    let text = r#"{"needs":["redis://:hunter2@db"],"steps":[{"name":"a","run":["x"],"env":{"A_TOKEN":"hunter2"}}]}"#;
    let shown = format!("{:?}", parse(text).unwrap());
    assert!(shown.contains("A_TOKEN") && !shown.contains("hunter2"), "{shown}");
}

#[test]
#[cfg(feature = "redis")]
fn schema_and_parser_agree() {
    let schema: serde_json::Value = serde_json::from_str(PLAN_SCHEMA).unwrap();
    assert!(jsonschema::draft202012::meta::is_valid(&schema));
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let mut good = 0;
    for plan in corpus::plans() {
        let parsed = parse(&plan.to_string());
        assert_eq!(parsed.is_ok(), validator.is_valid(&plan), "{plan}: {parsed:?}");
        good += usize::from(parsed.is_ok());
    }
    assert!(good > 50, "{good}");
}

#[test]
fn what_no_schema_can_say_is_refused_all_the_same() {
    for text in [
        r#"{"steps":[{"name":"a","run":["x"],"after":["b"]}]}"#,
        r#"{"steps":[{"name":"a","run":["x"],"after":["a"]}]}"#,
        r#"{"steps":[{"name":"a","run":["x"]},{"name":"a","run":["x"]}]}"#,
        r#"{"steps":[{"name":"a","name":"a","run":["x"]}]}"#,
        r#"{"steps":[{"name":"a","run":["x"],"done":"failed"}]}"#,
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_wrong_file_of_any_size_is_told_soon_and_briefly() {
    let numbers = vec!["1"; 200_000].join(",");
    let keys: Vec<String> = (0..60_000).map(|number| format!("\"k{number}\":1")).collect();
    let after = vec!["\"b\""; 100_000].join(",");
    let steps: Vec<String> = (0..1000).map(|number| format!(r#"{{"name":"s{number}","run":["x"]}}"#)).collect();
    let plans = [
        format!(r#"{{"steps":[{{"name":"a","run":["x"]}}],"needs":[{numbers}]}}"#),
        format!("{{{}}}", keys.join(",")),
        format!(r#"{{"steps":[{},{{"name":"a","run":["x"],"after":[{after}]}}]}}"#, steps[1..].join(",")),
    ];
    for plan in plans {
        let problems = LoadedPlan::parse("plan.json", &plan, DEFAULTS).unwrap_err();
        assert!((1..=100).contains(&problems.len()));
    }
    let long = format!(r#"{{"{}":1}}"#, "k".repeat(1_000_000));
    let problems = LoadedPlan::parse("plan.json", &long, DEFAULTS).unwrap_err();
    assert!(problems.iter().all(|problem| problem.to_string().len() < 1100));
}

#[test]
fn a_url_where_none_belongs_is_shown_without_its_password() {
    let plan = r#"{"steps":[{"name":"a","run":["x"],"after":["redis://u:hunter2@db"]}], "pg://u:hunter2@db": 1}"#;
    let problems = LoadedPlan::parse("plan.json", plan, DEFAULTS).unwrap_err();
    let said = Problem::render(&problems);
    assert!(said.contains("redis://u:***@db") && said.contains("pg://u:***@db") && !said.contains("hunter2"), "{said}");
}
