//! Plans for comparing schema and parser: good ones, and bad ones whose mistake a schema can express.

use serde_json::{Value as Json, json};

/// Values that are right for some keys and wrong for others.
const ODD: &[&str] = &[
    "null",
    "true",
    "0",
    "1",
    "-1",
    "1.5",
    "3.0",
    "4294967295",
    "4294967296",
    "1000000000",
    "1000000001",
    r#""""#,
    r#""a""#,
    r#""a b""#,
    r#""-a""#,
    r#"".a""#,
    r#""a.b_c-d""#,
    r#""ä""#,
    r#""a\n""#,
    r#""a\u0000b""#,
    r#""\u0000""#,
    "[]",
    r#"[""]"#,
    r#"["a", ""]"#,
    r#"["a", "b\u0000"]"#,
    r#"["a", 1]"#,
    r#"["\u0000"]"#,
    "{}",
    r#"{"A": "b"}"#,
    r#"{"A": 1}"#,
    r#"{"": "b"}"#,
    r#"{"A=B": "b"}"#,
    r#"{"A": "b\u0000"}"#,
    r#"{"A\u0000": "b"}"#,
    r#"{"BELLWETHER_REV": "b"}"#,
];

const STEP_KEYS: &[&str] =
    &["name", "run", "in_progress", "done", "check", "env", "cwd", "user", "timeout_secs", "max_attempts", "bogus"];

const NEEDS: &[&str] = &[
    "tcp://db:3306",
    "tcp://db",
    "tcp://:1",
    "tcp://db:0",
    "tcp://db:65535",
    "tcp://db:65536",
    "tcp://db:080",
    "tcp://[::1]:80",
    "tcp://u@db:1",
    "tcp://db:1/",
    "tcp://d b:1",
    "http://db",
    "http://db:8080/x?y=z",
    "http://db/#x",
    "http://db/a b",
    "http://u:p@db/",
    "http:///x",
    "https://db",
    "redis://db",
    "redis://db:6379/0",
    "redis://db/x",
    "redis://db/9999",
    "redis://db/10000",
    "redis://db/01",
    "redis://db/",
    "redis://:p@db",
    "redis://u:p@db",
    "redis://u@db",
    "redis://@db",
    "redis://:@db",
    "redis://u:a:b@db",
    "redis://u:a/b@db",
    "redis://u:a@b@db",
    "file:///x",
    "file:///",
    "file://x",
    "file:///a b",
    "ftp://x",
    "db:1",
    "",
];

fn odd() -> Vec<Json> {
    let mut values: Vec<Json> = ODD.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    values.extend([59, 60, 64, 65].map(|length| json!("x".repeat(length))));
    values
}

fn plan_with_step(key: &str, value: Json) -> Json {
    let mut step = json!({"name": "base", "run": ["x"]});
    step[key] = value;
    json!({"steps": [step]})
}

fn plan_with(key: &str, value: Json) -> Json {
    let mut plan = json!({"steps": [{"name": "a", "run": ["x"]}]});
    plan[key] = value;
    plan
}

/// All of them.
pub(super) fn plans() -> Vec<Json> {
    let mut plans = vec![
        json!({"steps": [{"name": "x".repeat(64), "run": ["x"], "done": "d"}]}),
        json!({"steps": [{"name": "a"}]}),
        json!({"steps": [{"run": ["x"]}]}),
        json!([]),
        json!("a"),
        serde_json::from_str(super::FULL).unwrap(),
    ];
    for value in odd() {
        plans.extend(STEP_KEYS.iter().map(|key| plan_with_step(key, value.clone())));
        let keys = ["name", "needs", "steps", "$schema", "bogus"];
        plans.extend(keys.iter().map(|key| plan_with(key, value.clone())));
        // No schema knows which predecessors there are.
        if !value.is_array() {
            plans.push(plan_with_step("after", value));
        }
    }
    plans.extend(NEEDS.iter().map(|need| plan_with("needs", json!([need]))));
    plans
}
