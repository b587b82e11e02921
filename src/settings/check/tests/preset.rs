//! Settings with a preset that exists for this test alone.

use super::*;
use crate::preset::{LocalBrief, Preset, PresetBrief, PresetPlan, step_command};
use crate::{Fallback, Setting, Step};

/// Two steps, one variable that a leader needs.
#[derive(Debug)]
struct Shop;

const SHOP_SETTINGS: &[Setting] = &[Setting {
    variable: "SHOP_TOKEN",
    flag: None,
    aliases: &["SHOP_SECRET"],
    default: Fallback::Unset,
    value_name: "",
    secret: true,
    file: true,
    help: "what the shop is opened with",
}];

impl Preset for Shop {
    fn name(&self) -> &'static str {
        "shop"
    }

    fn default_volume(&self) -> &'static str {
        "/srv/shop"
    }

    fn settings(&self) -> &'static [Setting] {
        SHOP_SETTINGS
    }

    fn plan(&self, brief: &PresetBrief<'_>) -> Result<PresetPlan, Vec<Problem>> {
        let token = SHOP_SETTINGS[0].given_in(brief.env).map_err(|problem| vec![problem])?;
        if token.is_none() && brief.may_lead {
            return Err(vec![Problem::new("SHOP_TOKEN", "is not set")]);
        }
        let step = |name: &str| Step::command(name, step_command(self, name)).max_attempts(brief.step_attempts);
        let steps = vec![step("open"), step("fill").after("open").explain(["fill every shelf"])];
        let plan = PresetPlan::new(steps, &["tcp://db:3306".to_owned()])?;
        Ok(plan.secrets(token.map(|token| token.text)).notice("SHOP_TOKEN", "was read"))
    }

    fn perform(&self, _step: &str, _env: &Env) -> i32 {
        1
    }

    fn localize(&self, _brief: &LocalBrief<'_>) -> Vec<String> {
        Vec::new()
    }
}

const PRESETS: Presets = Presets(&[&Shop]);

/// Without a plan file and a volume; `SHOP_TOKEN` is there.
fn shop() -> Bench {
    let mut bench = Bench::new().set("BELLWETHER_PRESET", "shop").set("SHOP_TOKEN", "t0p");
    bench.env.retain(|(name, _)| name != "BELLWETHER_PLAN" && name != "SITES_DIR");
    bench
}

fn check(bench: &Bench) -> Result<(Settings, Vec<Notice>), String> {
    let settings = Settings::from(&bench.env.iter().cloned().collect(), &bench.overlay, PRESETS);
    settings.map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// The steps by name, each with those it comes after.
fn order(settings: &Settings) -> Vec<String> {
    let plan = &settings.plan.plan;
    let show = |step: &crate::protocol::Step| {
        let after: Vec<&str> = step.after.iter().map(|&id| plan.step(id).name.as_str()).collect();
        format!("{} after [{}]", step.name, after.join(" "))
    };
    plan.iter().map(|(_, step)| show(step)).collect()
}

#[test]
fn a_preset_brings_steps_needs_volume_secrets_and_notices() {
    let bench = shop().set("STEP_MAX_ATTEMPTS", "5");
    let (settings, notices) = check(&bench).unwrap();
    assert_eq!(settings.volume, PathBuf::from("/srv/shop"));
    assert_eq!(order(&settings), ["open after []", "fill after [open]"]);
    assert_eq!(settings.plan.name, "shop");
    assert_eq!(settings.plan.needs.len(), 1);
    assert_eq!(settings.plan.commands[1].explanation, ["fill every shelf"]);
    assert_eq!(settings.plan.plan.step(crate::protocol::StepId(0)).max_attempts, 5);
    assert_eq!(settings.mask.mask("say t0p"), "say ***");
    assert_eq!(notices.iter().map(ToString::to_string).collect::<Vec<_>>(), ["SHOP_TOKEN: was read"]);
    assert_eq!(settings.preset.map(Preset::name), Some("shop"));
}

#[test]
fn a_plan_file_adds_its_steps_to_those_of_the_preset() {
    let with_file = |text: &str| {
        let bench = shop().plan(text);
        let path = bench.plan_path();
        check(&bench.set("BELLWETHER_PLAN", &path)).map_err(|problems| {
            let at = problems.find("plan.json").unwrap();
            problems[at..].to_owned()
        })
    };
    let (settings, _) = with_file(
        r#"{"name":"mine","needs":["file:///x"],"steps":[{"name":"tell","run":["x"],"after":["fill"]},{"name":"b","run":["y"],"after":["tell"]}]}"#,
    )
    .unwrap();
    assert_eq!(order(&settings), ["open after []", "fill after [open]", "tell after [fill]", "b after [tell]"]);
    assert_eq!((settings.plan.name.as_str(), settings.plan.needs.len()), ("mine", 2));
    assert_eq!(settings.plan.commands[2].run, ["x"]);
    insta::assert_snapshot!(
        with_file("{\"steps\":[\n{\"name\":\"fill\",\"run\":[\"x\"]}]}").unwrap_err(),
        @r#"plan.json:2:9: the name "fill" is used twice"#
    );
    insta::assert_snapshot!(
        with_file("{\"steps\":[\n{\"name\":\"tell\",\"run\":[\"x\"],\"after\":[\"fil\"]}]}").unwrap_err(),
        @r#"plan.json:2:37: comes after "fil", but there is no such step; did you mean "fill"?"#
    );
    insta::assert_snapshot!(
        with_file("{\"steps\":[\n{\"name\":\"tell\",\"run\":[\"x\"],\"done\":\"fill_done\"}]}").unwrap_err(),
        @r#"plan.json:2:35: the marker word "fill_done" could be mistaken for "fill_done"; give one of them another name"#
    );
}

#[test]
fn a_preset_that_is_misspelt_is_named_with_those_that_are_known() {
    let mut bench = shop();
    bench.env.retain(|(name, _)| name != "BELLWETHER_PRESET");
    insta::assert_snapshot!(check(&bench.set("BELLWETHER_PRESET", "shopp").set("SITES_DIR", "/v")).unwrap_err(), @r#"BELLWETHER_PRESET: there is no preset "shopp"; did you mean "shop"? (known: shop)"#);
}

#[test]
fn who_never_leads_need_not_know_what_the_work_needs() {
    let without = |more: &[(&str, &str)]| {
        let mut bench = shop();
        bench.env.retain(|(name, _)| name != "SHOP_TOKEN");
        more.iter().fold(bench, |bench, (name, value)| bench.set(name, value))
    };
    assert_eq!(check(&without(&[])).unwrap_err(), "SHOP_TOKEN: is not set");
    assert_eq!(order(&check(&without(&[("IS_LEADER", "0")])).unwrap().0).len(), 2);
    let bench = without(&[]);
    let glance = Glance::from(&bench.env.iter().cloned().collect(), &bench.overlay, PRESETS).unwrap();
    assert_eq!(glance.plan.unwrap().plan.len(), 2);
    assert_eq!(glance.volume, PathBuf::from("/srv/shop"));
}

#[test]
fn its_variables_are_known_with_their_files_and_nearly_its_variables_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, "t0p\n").unwrap();
    let bench = shop().set("SHOP_SECRET_FILE", path.to_str().unwrap()).set("SHOP_TOKN", "x");
    let (settings, notices) = check(&bench).unwrap();
    let notices: Vec<String> = notices.iter().map(ToString::to_string).collect();
    assert_eq!(notices, ["SHOP_TOKEN: was read", "SHOP_TOKN: unknown setting; did you mean SHOP_TOKEN?"]);
    assert_eq!(settings.mask.mask("t0p"), "***");
}
