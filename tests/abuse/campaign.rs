//! Chance against the properties: the same cases each time, or `ABUSE_CASES` of them from `ABUSE_SEED` on.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use bellwether::settings::{LoadedPlan, SETTINGS, STEP_VARIABLES};

use crate::chance::Chance;
use crate::mutate::mutated;
use crate::properties::{marker, plan, reply, settings, url};

/// Whatever takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// Tries so many inputs made of `seeds` and `words`.
fn campaign(cases: u64, seeds: Vec<Vec<u8>>, words: &[&[u8]], property: fn(&[u8])) {
    let first = number("ABUSE_SEED").unwrap_or(0);
    let cases = number("ABUSE_CASES").unwrap_or(cases);
    let (begin, begun) = channel::<Vec<u8>>();
    let words: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
    let tester = thread::spawn(move || {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let whole = seeds.iter().cloned();
        let mixed = (first..first + cases).map(|number| {
            let mut chance = Chance::new(number);
            let seed = &seeds[usize::try_from(chance.below(seeds.len() as u64)).unwrap()];
            mutated(&mut chance, seed, &words)
        });
        for input in whole.chain(mixed) {
            begin.send(input.clone()).unwrap();
            if let Err(failure) = catch_unwind(AssertUnwindSafe(|| property(&input))) {
                eprintln!("the input was b\"{}\"", input.escape_ascii());
                resume_unwind(failure);
            }
        }
    });
    let mut last = Vec::new();
    loop {
        match begun.recv_timeout(LIMIT) {
            Ok(input) => last = input,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => panic!("it hangs at b\"{}\"", last.escape_ascii()),
        }
    }
    tester.join().unwrap_or_else(|failure| resume_unwind(failure));
}

fn bytes(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[test]
fn any_url() {
    let words: [&[u8]; 12] = [
        b"redis://",
        b"unix://",
        b"://",
        b"@",
        b"[::1]",
        b":6379",
        b"/0",
        b"?db=1",
        b"&pass=",
        b"%2F",
        b"%00",
        b"none",
    ];
    campaign(20_000, bytes(url::SEEDS), &words, url::holds);
}

#[test]
fn any_plan_file() {
    let words: [&[u8]; 18] = [
        b"\"name\":",
        b"\"run\":",
        b"\"steps\":",
        b"\"after\":",
        b"\"done\":",
        b"\"in_progress\":",
        b"\"ready\"",
        b"\"a\"",
        b"_in_progress_",
        b"null",
        b"1e999",
        b"\\u0000",
        b"[[[[",
        b"{\"\":",
        b"\xef\xbb\xbf",
        b"\"pg://u:hunter2-of-the-abuse@db\"",
        b"\"pg://u:hunter2-of-the-abuse@db\":1,",
        b"\"site_\"",
    ];
    campaign(4_000, bytes(plan::SEEDS), &words, plan::holds);
}

#[test]
fn any_settings() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), plan::SEEDS[0]).unwrap();
    let path = file.path().display();
    let well = format!("run\0--rev=v1\0BELLWETHER_VOLUME=/vol\0BELLWETHER_PLAN={path}\0");
    let url = "BELLWETHER_REDIS_URL=redis://u:hunter2-of-the-abuse@db:6379/1\0";
    let lock = "LOCK_REDIS_HOST=db\0LOCK_REDIS_PORT=6379\0LOCK_REDIS_PASS=hunter2\0LOCK_RENEW_TTL_SECS=30\0";
    let seeds = [
        well.clone(),
        format!("{well}{url}STEP_STALE_SECS=120\0IS_LEADER=0\0BELLWETHER_LOG=trace\0"),
        format!("{well}{lock}--volume-locks\0trusted\0--\0sleep\0infinity"),
        format!(
            "status\0--redis-url=redis://u:hunter2-of-the-abuse@db\0REDIS_QUEUE=redis-queue:6379\0IMAGE_REV=v1\0{url}"
        ),
    ];
    let names = SETTINGS.iter().flat_map(|setting| {
        let flag = setting.flag.map(|flag| format!("\0--{flag}="));
        let file = setting.file.then(|| format!("\0{}_FILE=/dev/zero", setting.variable));
        [Some(format!("\0{}=", setting.variable)), flag, file].into_iter().flatten()
    });
    let others = STEP_VARIABLES.iter().map(|name| format!("\0{name}="));
    let more = [
        "redis://u:hunter2-of-the-abuse@db",
        "\0--",
        "\0-v",
        "1e9",
        "99999999999",
        "\0DB_PASSWORD=hunter2-of-the-abuse",
    ];
    let words: Vec<String> = names.chain(others).chain(more.map(ToOwned::to_owned)).collect();
    let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
    campaign(400, seeds.map(String::into_bytes).to_vec(), &words, settings::holds);
}

#[test]
fn any_file_on_the_volume() {
    let words: [&[u8]; 10] = [
        b"\"step\":",
        b"\"rev\":\"v1\"",
        b"null",
        b"1e308",
        b"-1",
        b"18446744073709551615",
        b"[[[[",
        b"\n",
        b"\\ud800",
        b"\"parts\":[",
    ];
    let files = 0..u8::try_from(marker::FILES.len()).unwrap();
    let seeds = files.flat_map(|which| marker::SEEDS.iter().map(move |text| [&[which], text.as_bytes()].concat()));
    campaign(1_000, seeds.collect(), &words, marker::holds);
}

#[test]
fn any_answer_of_a_server() {
    let words: [&[u8]; 12] = [
        b"\xff",
        b"\r\n",
        b"*3\r\n",
        b"$-1\r\n",
        b"$1000000000\r\n",
        b"*2147483647\r\n",
        b"-ERR ",
        b":9223372036854775808\r\n",
        b"*1\r\n*1\r\n*1\r\n",
        b"=5\r\ntxt:x\r\n",
        b"|1\r\n",
        b"hunter2-of-the-abuse",
    ];
    let seeds = reply::SEEDS.iter().map(|seed| seed.to_vec()).collect();
    campaign(2_000, seeds, &words, reply::holds);
}

/// Words and names that are alike in every way: what is taken has a file of its own for each.
#[test]
fn any_words_of_markers() {
    const PARTS: &[&str] = &["a", "b", "in_progress", "progress", "ready", "failed", "done"];
    let first = number("ABUSE_SEED").unwrap_or(0);
    let mut taken = 0;
    for seed in first..first + number("ABUSE_CASES").unwrap_or(5_000) {
        let mut chance = Chance::new(seed);
        let mut word = || (0..=chance.below(3)).map(|_| chance.of(PARTS)).collect::<Vec<_>>().join("_");
        let mut step = || {
            let [name, shown, done] = [word(), word(), word()];
            format!(r#"{{"name":"{name}","run":["x"],"in_progress":"{shown}","done":"{done}"}}"#)
        };
        let text = format!(r#"{{"steps":[{},{}]}}"#, step(), step());
        plan::holds(text.as_bytes());
        taken += u64::from(LoadedPlan::parse(plan::PATH, &text, plan::DEFAULTS).is_ok());
    }
    assert!(taken > 20, "only {taken} were taken at all");
}
