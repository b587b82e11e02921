//! Presets: ready-made plans for one kind of application, chosen by name.
//!
//! What a preset knows of its application stays in the preset: everybody else sees its steps, its variables and its
//! name. The binary is told its presets by `main`.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::bootstrap::{Step, checked_commands};
use crate::finding::Finding;
use crate::needs::Need;
use crate::protocol;
use crate::settings::{Env, Notice, Problem, Setting, StepCommand};

/// A ready-made plan for one kind of application, which `BELLWETHER_PRESET` names.
///
/// Its steps are commands that call this very program again as [`step_command`] says; there, [`Preset::perform`] does the
/// work. A binary of your own that knows it is three lines around `commands::main(arguments, Presets(&[&Shop]))`.
///
/// ```
/// use bellwether::{Env, LocalBrief, Preset, PresetBrief, PresetPlan, Problem, Setting, Step, step_command};
///
/// #[derive(Debug)]
/// struct Shop;
///
/// impl Preset for Shop {
///     fn name(&self) -> &'static str {
///         "shop"
///     }
///     fn default_volume(&self) -> &'static str {
///         "/srv/shop/shared"
///     }
///     fn settings(&self) -> &'static [Setting] {
///         &[]
///     }
///     fn plan(&self, brief: &PresetBrief<'_>) -> Result<PresetPlan, Vec<Problem>> {
///         if brief.may_lead && brief.env.lookup("SHOP_TOKEN").is_none() {
///             return Err(vec![Problem::new("SHOP_TOKEN", "is not set; set it to what opens the shop")]);
///         }
///         let step = Step::command("fill", step_command(self, "fill")).max_attempts(brief.step_attempts);
///         PresetPlan::new(vec![step.explain(["fill every shelf"])], &[])
///     }
///     fn perform(&self, step: &str, _env: &Env) -> i32 {
///         i32::from(step != "fill")
///     }
///     fn localize(&self, _brief: &LocalBrief<'_>) -> Vec<String> {
///         Vec::new()
///     }
/// }
/// # let env = Env::from_iter([("SHOP_TOKEN", "x")]);
/// # let brief = PresetBrief { env: &env, volume: None, may_lead: true, step_timeout: None, step_attempts: 3 };
/// # assert!(Shop.plan(&brief).is_ok());
/// ```
pub trait Preset: fmt::Debug + Sync {
    /// What `BELLWETHER_PRESET` calls it: letters, digits and hyphens.
    fn name(&self) -> &'static str;

    /// Where its volume is mounted if nobody says.
    fn default_volume(&self) -> &'static str;

    /// Its own variables. They have no flags.
    fn settings(&self) -> &'static [Setting];

    /// Checks the environment and says what is to be done. Reads files; writes nothing, asks no server.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once.
    fn plan(&self, brief: &PresetBrief<'_>) -> Result<PresetPlan, Vec<Problem>>;

    /// Does a step's work and returns what the process is to exit with: 0 done, 75 not yet, 78 failed for good, anything else
    /// an attempt. Called in a process of its own, under a shim, with the environment of the replica and the step's variables.
    fn perform(&self, step: &str, env: &Env) -> i32;

    /// Puts right what is local to this container, before each hand-off of what is ready, warm starts included. It needs
    /// neither servers nor a writable volume. What it has changed, and what it could not put right, it says, a line each; the
    /// command is started in any case.
    fn localize(&self, brief: &LocalBrief<'_>) -> Vec<String>;

    /// Looks for what would keep the steps from succeeding in this container, for `bellwether doctor`: programs that they
    /// call, servers that have to let them in. It changes nothing, and ends after `limit` whatever hangs. What
    /// [`Preset::plan`] refuses has been told.
    fn examine(&self, brief: &PresetBrief<'_>, limit: Duration) -> Vec<Finding> {
        let _ = (brief, limit);
        Vec::new()
    }
}

/// What a preset is told before a hand-off.
#[derive(Clone, Copy)]
pub struct LocalBrief<'a> {
    /// The revision, which is ready.
    pub revision: &'a str,
    /// The volume.
    pub volume: &'a Path,
    /// The environment: the value of a variable.
    pub lookup: &'a dyn Fn(&str) -> Option<OsString>,
}

impl fmt::Debug for LocalBrief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalBrief")
            .field("revision", &self.revision)
            .field("volume", &self.volume)
            .finish_non_exhaustive()
    }
}

/// The presets that a program knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Presets(pub &'static [&'static dyn Preset]);

impl Presets {
    /// The preset of that name.
    pub fn find(self, name: &str) -> Option<&'static dyn Preset> {
        self.0.iter().copied().find(|preset| preset.name() == name)
    }

    /// The names of all.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|preset| preset.name())
    }
}

/// What a preset is told when it is asked for its plan.
#[derive(Clone, Copy, Debug)]
pub struct PresetBrief<'a> {
    /// The environment.
    pub env: &'a Env,
    /// The volume; `None` if what was said of it is wrong, which has been told.
    pub volume: Option<&'a Path>,
    /// Whether this replica may come to do the work. If not, what only the work needs may be missing.
    pub may_lead: bool,
    /// Longest time of one run of a step (`STEP_TIMEOUT_SECS`).
    pub step_timeout: Option<Duration>,
    /// Runs of a step that may end badly (`STEP_MAX_ATTEMPTS`).
    pub step_attempts: u32,
}

/// A preset's plan, checked.
pub struct PresetPlan {
    pub(crate) steps: Vec<protocol::Step>,
    pub(crate) commands: Vec<StepCommand>,
    pub(crate) needs: Vec<Need>,
    pub(crate) secrets: Vec<String>,
    pub(crate) notices: Vec<Notice>,
}

impl fmt::Debug for PresetPlan {
    /// Without the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresetPlan").field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl PresetPlan {
    /// A plan of these steps, which have to be commands, and of what they need (as
    /// [`Bootstrap::need`](crate::Bootstrap::need)).
    ///
    /// # Errors
    ///
    /// Everything that is wrong with steps and needs.
    pub fn new(steps: Vec<Step>, needs: &[String]) -> Result<PresetPlan, Vec<Problem>> {
        let (steps, commands, needs) = checked_commands(steps, needs)?;
        Ok(PresetPlan { steps, commands, needs, secrets: Vec::new(), notices: Vec::new() })
    }

    /// One thing more that it needs. `settings`: what says where it is, for whoever waits in vain.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn need(mut self, need: &str, settings: &str) -> Result<PresetPlan, Vec<Problem>> {
        let parsed = Need::parse(need).map_err(|error| vec![Problem::new(settings, error.to_string())])?;
        self.needs.push(parsed.set_by(settings));
        Ok(self)
    }

    /// Hides these values in everything that steps say, however short they are.
    #[must_use]
    pub fn secrets(mut self, secrets: impl IntoIterator<Item = String>) -> PresetPlan {
        self.secrets.extend(secrets);
        self
    }

    /// Says something about a variable, once, that keeps nobody from starting.
    #[must_use]
    pub fn notice(mut self, variable: &str, text: &str) -> PresetPlan {
        self.notices.push(Notice::new(variable, text));
        self
    }
}

/// The first word of a command line that asks for [`Preset::perform`].
pub(crate) const STEP_ARGUMENT: &str = "__preset-step";

/// The command of a preset's step: this program again, whatever file it has become since.
pub fn step_command(preset: &dyn Preset, step: &str) -> [String; 4] {
    ["/proc/self/exe", STEP_ARGUMENT, preset.name(), step].map(str::to_owned)
}
