//! What the steps of a plan do.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::context::StepContext;
use super::failure::StepError;
use crate::needs::Need;
use crate::protocol::Plan;
use crate::settings::{LoadedPlan, StepCommand};

/// How an async step ends.
pub type StepResult = Result<(), StepError>;

type Boxed = Pin<Box<dyn Future<Output = StepResult> + Send>>;

/// A step of the embedding program: an async function. Cheap to clone.
#[derive(Clone)]
pub struct StepFunction(Arc<dyn Fn(StepContext) -> Boxed + Send + Sync>);

impl StepFunction {
    /// A step that does what `function` does. It is called once for each run.
    pub fn new<F, Fut>(function: F) -> StepFunction
    where
        F: Fn(StepContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = StepResult> + Send + 'static,
    {
        StepFunction(Arc::new(move |context| Box::pin(function(context))))
    }

    /// One run. What panics, panics when the future is polled.
    ///
    /// The context lives as long as the function, even one that drops its own at once: when the runtime is gone and a
    /// thread of it is still busy here, nothing else holds the guard.
    pub(super) async fn call(self, context: StepContext) -> StepResult {
        let kept = context.clone();
        let result = (self.0)(context).await;
        drop(kept);
        result
    }
}

impl fmt::Debug for StepFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StepFunction")
    }
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Work {
    /// A process, under a shim.
    Command(StepCommand),
    /// A task of this program.
    Function(StepFunction),
}

/// A plan with everything that the protocol does not care about.
#[derive(Clone, Debug)]
pub struct WorkPlan {
    /// The steps and their order.
    pub plan: Arc<Plan>,
    /// What each step does, by [`StepId`](crate::protocol::StepId).
    pub works: Vec<Work>,
    /// What to wait for before leading.
    pub needs: Vec<Need>,
    /// As [`LoadedPlan::digest`]; of a function, whether it is one.
    pub digest: String,
}

impl From<LoadedPlan> for WorkPlan {
    fn from(loaded: LoadedPlan) -> WorkPlan {
        let LoadedPlan { plan, commands, needs, digest, .. } = loaded;
        WorkPlan { plan, works: commands.into_iter().map(Work::Command).collect(), needs, digest }
    }
}
