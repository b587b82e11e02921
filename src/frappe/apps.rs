//! The step `apps`: the apps of the image are installed in every site.
//!
//! bench takes an app whose installation was killed for installed, or stumbles over its remains; only `--force` mends both.
//! So the record names the one app that is being installed, and dependencies are installed one by one, before what needs
//! them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::Call;
use super::echo::Echo;
use super::names::SiteName;
use super::record::{Progress, Record};
use super::settings::Apps;
use super::stage::Stage;
use super::trouble::Trouble;

/// What is kept about a site.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(super) struct Begun {
    /// The app that is being installed.
    installing: Option<String>,
}

/// One app to be installed.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Install {
    app: String,
    /// An earlier run was interrupted in it.
    is_forced: bool,
}

/// What each app requires.
pub(super) type Requires = BTreeMap<String, Vec<String>>;

/// All that the settings ask for, each after what it requires. The framework is in every site.
pub(super) fn wanted(apps: &Apps, image: &[String], requires: &Requires) -> Vec<String> {
    let is_allowed =
        |app: &String| apps.allowed.as_ref().is_none_or(|allowed| allowed.contains(app)) && !apps.denied.contains(app);
    let of_image = image.iter().filter(|app| apps.all_of_image && is_allowed(app));
    let mut ordered = Vec::new();
    for app in apps.wanted.iter().chain(of_image) {
        add_with_required(app, requires, &mut Vec::new(), &mut ordered);
    }
    ordered.retain(|app| app != "frappe");
    ordered
}

/// Depth first; `path` ends a cycle, which bench has to complain about.
fn add_with_required<'a>(app: &'a str, requires: &'a Requires, path: &mut Vec<&'a str>, ordered: &mut Vec<String>) {
    if path.contains(&app) || ordered.iter().any(|other| other == app) {
        return;
    }
    path.push(app);
    for required in requires.get(app).into_iter().flatten() {
        add_with_required(required, requires, path, ordered);
    }
    path.pop();
    ordered.push(app.to_owned());
}

/// What is left to do: an interrupted installation first.
fn missing(wanted: &[String], installed: &[String], interrupted: Option<&str>) -> Vec<Install> {
    let forced = interrupted.map(|app| Install { app: app.to_owned(), is_forced: true });
    let open = wanted.iter().filter(|app| !installed.contains(app) && interrupted != Some(app.as_str()));
    forced.into_iter().chain(open.map(|app| Install { app: app.clone(), is_forced: false })).collect()
}

/// Installs in every site what is missing.
pub(super) fn perform(stage: &Stage) -> Result<(), Trouble> {
    let bench = &stage.bench;
    let image = bench.apps().map_err(|error| Trouble::of_file(&bench.root().join("apps"), &error))?;
    let wanted = wanted(&stage.settings.apps, &image, &requires(stage, &image)?);
    if let Some(absent) = wanted.iter().find(|app| !image.contains(app)) {
        return Err(Trouble::ForGood(format!(
            "the app {absent} is not in this image, which has {}; build an image with it, or remove it from APPS",
            image.join(", ")
        )));
    }
    stage.await_servers()?;
    stage.servers().forget_modules(|text| stage.echo().note(text))?;
    stage.each_site(|site, record, echo| on_site(stage, (&wanted, &image), site, record, echo))
}

fn requires(stage: &Stage, image: &[String]) -> Result<Requires, Trouble> {
    #[derive(Deserialize)]
    struct Answer {
        requires: Requires,
    }
    let mut answer = stage.bench.probe(&json!({"op": "requires", "apps": image}))?;
    let answer: Answer = serde_json::from_value(answer["ok"].take())
        .map_err(|error| Trouble::Failed(format!("the apps do not say what they require: {error}")))?;
    Ok(answer.requires)
}

fn on_site(
    stage: &Stage,
    (wanted, image): (&[String], &[String]),
    site: &SiteName,
    record: &Record<Begun>,
    echo: &Echo<'_>,
) -> Result<String, Trouble> {
    let before = installed(stage, site, echo)?;
    let interrupted = record.of(site).own.installing;
    if let Some(app) = interrupted.as_ref().filter(|app| !image.contains(app)) {
        return Err(Trouble::ForGood(format!(
            "an earlier revision was interrupted while it installed {app} in {site}, and this image lacks {app}; roll out an \
             image that has it"
        )));
    }
    let todo = missing(wanted, &before, interrupted.as_deref());
    for Install { app, is_forced } in &todo {
        record.change(site, |record| {
            (record.progress, record.note) = (Progress::Running, format!("installing {app}"));
            record.own.installing = Some(app.clone());
        })?;
        stage.run(&install_call(site, app, *is_forced), echo)?;
        if !installed(stage, site, echo)?.contains(app) {
            return Err(Trouble::Failed(format!("bench has installed {app} in {site}, and it is not there")));
        }
        record.change(site, |record| record.own.installing = None)?;
    }
    let names: Vec<&str> = todo.iter().map(|install| install.app.as_str()).collect();
    Ok(if names.is_empty() { "nothing to install".to_owned() } else { format!("installed {}", names.join(", ")) })
}

/// What is installed, by the site's own word: `list-apps` is stale now and then.
fn installed(stage: &Stage, site: &SiteName, echo: &Echo<'_>) -> Result<Vec<String>, Trouble> {
    let call = installed_call(site);
    let finished = stage.bench.ask(&call)?;
    if !finished.status.success() {
        finished.last_lines().for_each(|line| echo.note(line));
    }
    finished.expect_success(&call)?;
    let list = finished.json();
    let names = list.as_ref().and_then(Value::as_array);
    let names = names.map(|names| names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect());
    names.ok_or_else(|| Trouble::Failed(format!("{call} ended well, and did not list the apps")))
}

pub(super) fn installed_call(site: &SiteName) -> Call {
    Call::on(site.as_str(), &["execute", "frappe.get_installed_apps"])
}

pub(super) fn install_call(site: &SiteName, app: &str, is_forced: bool) -> Call {
    let call = Call::on(site.as_str(), &["install-app", app]);
    if is_forced { call.words(&["--force"]) } else { call }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &str) -> Vec<String> {
        names.split(' ').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    fn requires(pairs: &[(&str, &str)]) -> Requires {
        pairs.iter().map(|&(app, required)| (app.to_owned(), list(required))).collect()
    }

    #[test]
    fn what_is_required_comes_before_what_requires_it() {
        let image = list("frappe erpnext hrms insights");
        let requires = requires(&[("hrms", "erpnext"), ("erpnext", "frappe"), ("insights", "")]);
        let all = Apps { all_of_image: true, ..Apps::default() };
        assert_eq!(wanted(&all, &image, &requires), list("erpnext hrms insights"));
        let some = Apps { wanted: list("insights hrms"), ..Apps::default() };
        assert_eq!(wanted(&some, &image, &requires), list("insights erpnext hrms"));
        let listed =
            Apps { wanted: list("insights"), all_of_image: true, denied: list("erpnext hrms"), ..Apps::default() };
        assert_eq!(wanted(&listed, &image, &requires), list("insights"));
        let allowed = Apps { all_of_image: true, allowed: Some(list("insights")), ..Apps::default() };
        assert_eq!(wanted(&allowed, &image, &requires), list("insights"));
    }

    #[test]
    fn a_cycle_ends() {
        let requires = requires(&[("a", "b"), ("b", "a")]);
        let all = Apps { all_of_image: true, ..Apps::default() };
        assert_eq!(wanted(&all, &list("a b"), &requires), list("b a"));
    }

    #[test]
    fn what_was_interrupted_comes_first_and_with_force() {
        let forced = |app: &str| Install { app: app.to_owned(), is_forced: true };
        let plain = |app: &str| Install { app: app.to_owned(), is_forced: false };
        assert_eq!(missing(&list("a b"), &list("frappe a"), None), [plain("b")]);
        assert_eq!(missing(&list("a b c"), &list("frappe a"), Some("b")), [forced("b"), plain("c")]);
        // bench takes it for installed, though its last hook never ran.
        assert_eq!(missing(&list("a b"), &list("frappe a b"), Some("b")), [forced("b")]);
        assert_eq!(missing(&list("a"), &list("frappe a"), None), []);
    }
}
