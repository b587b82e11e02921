//! What has to be there in the end, whatever happened before.

use serde_json::{Value, json};

use crate::stack::{ADMIN_PASSWORD, ROOT_PASSWORD, SITE, Stack};

/// What a stack is in when it serves.
#[derive(Clone, Debug)]
pub(crate) struct Whole {
    pub(crate) rev: u32,
    /// In the order of their installation.
    pub(crate) apps: &'static [&'static str],
    /// The revision of the image with which each of them has come.
    pub(crate) since: &'static [u32],
    /// The canaries.
    pub(crate) planted: &'static [&'static str],
    /// Whether something may have died at any moment, so that a hook may have run more than once.
    pub(crate) by_chance: bool,
}

impl Default for Whole {
    fn default() -> Whole {
        let apps = &["frappe", "alpha", "beta"];
        Whole { rev: 1, apps, since: &[1, 1, 1], planted: &[], by_chance: false }
    }
}

impl Whole {
    #[track_caller]
    pub(crate) fn check(&self, stack: &Stack) {
        let all = stack.check_all(&["--site", SITE]);
        let site = &all["sites"][SITE];
        let context = format!("{all:#}");
        let is = |key: &str, expected: Value| assert_eq!(site[key], expected, "{key} in {context}");
        is("whole", json!(true));
        is("config", json!("ok"));
        is("maintenance", json!(0));
        is("apps", json!(self.apps));
        is("listed_apps", json!(self.apps));
        is("canary", if self.planted.is_empty() { Value::Null } else { json!(self.planted) });
        self.check_hooks(&site["hooks_run"]);
        self.check_patches(site);
        for marker in [".configured", ".site_created", ".apps_installed", ".migrated", ".assets_built", ".ready"] {
            assert!(stack.has(&format!("{marker}_v{}", self.rev)), "{marker}");
        }
        assert!(!stack.markers().contains("_in_progress_"), "{}", stack.markers());
        assert_eq!(all["left_over"], json!([]), "{context}");
        assert_eq!(all["assets"]["complete"], json!(true), "{context}");
        let mut listed: Vec<&str> = self.apps.to_vec();
        listed.sort_by_key(|app| (*app != "frappe", *app));
        assert_eq!(all["apps_txt"], json!(listed));
        assert_eq!(all["default_site"], json!(SITE));
        let cache = format!("redis://127.0.0.1:{}", stack.cache.port());
        assert_eq!((&all["config"]["redis_cache"], &all["config"]["socketio_port"]), (&json!(cache), &json!(9000)));
        assert!(!context.contains(ADMIN_PASSWORD) && !context.contains(ROOT_PASSWORD));
    }

    fn check_hooks(&self, hooks: &Value) {
        for app in &self.apps[1..] {
            let count = hooks[app].as_u64().unwrap_or(0);
            assert!(count == 1 || self.by_chance && count > 1, "{app}: {hooks}");
        }
    }

    /// Each patch is logged once, and those that an installed app's newer image brings have run once.
    fn check_patches(&self, site: &Value) {
        let (mut logged, mut run) = (Vec::new(), serde_json::Map::new());
        for (app, since) in self.apps.iter().zip(self.since) {
            logged.extend((1..=self.rev).map(|rev| format!("{app}.patches.v{rev}")));
            run.extend((since + 1..=self.rev).map(|rev| (format!("{app}.patches.v{rev}"), json!(1))));
        }
        logged.sort();
        assert_eq!(site["patch_log"], json!(logged), "{site:#}");
        assert_eq!(site["patches_run"], Value::Object(run), "{site:#}");
    }
}
