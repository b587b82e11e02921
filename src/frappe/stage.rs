//! What every step works with, and going through the sites.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bench::{Bench, Finished, shown};
use super::call::Call;
use super::echo::Echo;
use super::names::SiteName;
use super::record::{Progress, Record};
use super::servers::Servers;
use super::settings::Settings;
use super::trouble::Trouble;
use crate::{Env, Mask, PresetBrief, Problem};

/// One run of one step.
pub(super) struct Stage {
    pub(super) settings: Settings,
    pub(super) bench: Bench,
    pub(super) revision: String,
    mask: Mask,
    record: PathBuf,
}

impl Stage {
    /// What the leader has put into a step's environment.
    pub(super) fn of(env: &Env) -> Result<Stage, Trouble> {
        let text = |name: &str| {
            let value = env.lookup(name).and_then(|value| value.to_str()).map(str::to_owned);
            value.ok_or_else(|| Trouble::ForGood(format!("{name} is not set; a leader sets it")))
        };
        let volume = PathBuf::from(text("BELLWETHER_VOLUME")?);
        let brief = PresetBrief { env, volume: Some(&volume), may_lead: true, step_timeout: None, step_attempts: 1 };
        let wrong = |problems: Vec<Problem>| Trouble::ForGood(Problem::render(&problems));
        let settings = Settings::from(&brief).map_err(wrong)?;
        let settings = settings.ok_or_else(|| Trouble::ForGood("settings are missing".to_owned()))?;
        let mut mask = Mask::new();
        mask.add_env(env);
        settings.secrets().iter().for_each(|secret| mask.add_secret(secret));
        let bench = Bench::new(settings.bench_dir(), &settings.sites_dir);
        let record = text("BELLWETHER_RECORD")?.into();
        Ok(Stage { settings, bench, revision: text("BELLWETHER_REV")?, mask, record })
    }

    pub(super) fn servers(&self) -> Servers<'_> {
        Servers::new(&self.bench, &self.settings)
    }

    /// Waits until all servers let us in. They may have gone since an earlier step saw them: with a whole host, for one.
    pub(super) fn await_servers(&self) -> Result<(), Trouble> {
        let echo = self.echo();
        self.servers().await_all(|text| echo.note(text))
    }

    /// For what concerns no site.
    pub(super) fn echo(&self) -> Echo<'_> {
        Echo::new(&self.mask)
    }

    pub(super) fn echo_of(&self, site: &SiteName) -> Echo<'_> {
        let is_alone = self.settings.sites.len() == 1;
        Echo::of_site(&self.mask, &self.bench.site(site.as_str()), site, is_alone)
    }

    /// Runs a command for a site, which has to succeed.
    pub(super) fn run(&self, call: &Call, echo: &Echo<'_>) -> Result<Finished, Trouble> {
        let finished = self.bench.run(call, echo)?;
        finished.expect_success(call)?;
        Ok(finished)
    }

    /// Works on each site, on several side by side if the settings say so. The record tells how far each has come; what went
    /// wrong with one does not hide that others are done.
    pub(super) fn each_site<T>(
        &self,
        work: impl Fn(&SiteName, &Record<T>, &Echo<'_>) -> Result<String, Trouble> + Sync,
    ) -> Result<(), Trouble>
    where
        T: Clone + Default + Serialize + DeserializeOwned + Send,
    {
        let Settings { sites, jobs, stop_at_failure, .. } = &self.settings;
        let record = Record::open(self.record.clone(), sites)?;
        let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
        let troubles = Mutex::new(Vec::new());
        let worker = || {
            while let Some(site) = sites.get(next.fetch_add(1, Ordering::Relaxed)) {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let echo = self.echo_of(site);
                if let Err(trouble) = on_one(site, &record, &echo, &work) {
                    is_over.fetch_or(*stop_at_failure, Ordering::Relaxed);
                    troubles.lock().expect("nobody panics while holding it").push((site.clone(), trouble));
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..(*jobs).min(sites.len()) {
                scope.spawn(worker);
            }
        });
        let troubles = troubles.into_inner().expect("nobody panics while holding it");
        self.sum_up(troubles)
    }

    /// The step's record, between runs through the sites.
    pub(super) fn reopen<T: Clone + Default + Serialize + DeserializeOwned>(&self) -> Result<Record<T>, Trouble> {
        Record::open(self.record.clone(), &self.settings.sites)
    }

    /// What the troubles of single sites come to.
    fn sum_up(&self, troubles: Vec<(SiteName, Trouble)>) -> Result<(), Trouble> {
        let (echo, all) = (self.echo(), self.settings.sites.len());
        let failed: Vec<String> = troubles.iter().map(|(site, _)| site.to_string()).collect();
        if all > 1 {
            for (site, trouble) in &troubles {
                echo.note(&format!("{site}: {}", trouble.text()));
            }
        }
        let Some(worst) = Trouble::worst(troubles.into_iter().map(|(_, trouble)| trouble)) else { return Ok(()) };
        let summary = format!("{} of {all} sites could not be done: {}", failed.len(), failed.join(", "));
        Err(if all > 1 { worst.saying(summary) } else { worst })
    }

    /// How a person names a file of the bench.
    pub(super) fn shown_site(&self, site: &SiteName) -> String {
        shown(self.bench.site(site.as_str()))
    }
}

/// One site, from its first note to its last. `work` returns the last one.
fn on_one<T>(
    site: &SiteName,
    record: &Record<T>,
    echo: &Echo<'_>,
    work: &impl Fn(&SiteName, &Record<T>, &Echo<'_>) -> Result<String, Trouble>,
) -> Result<(), Trouble>
where
    T: Clone + Default + Serialize + DeserializeOwned,
{
    record.tell(site, Progress::Running, "")?;
    match work(site, record, echo) {
        Ok(note) => record.tell(site, Progress::Done, &note),
        Err(trouble) => {
            let masked = echo.masked(trouble.text());
            let trouble = trouble.saying(masked);
            let note = trouble.text().lines().next().unwrap_or_default().to_owned();
            let progress = if matches!(trouble, Trouble::NotYet(_)) { Progress::Waiting } else { Progress::Failed };
            record.tell(site, progress, &note)?;
            Err(trouble)
        }
    }
}
