//! Commands of a person or a CronJob: what they answer, as text or as JSON. Never: how it is done.

mod check;
mod doctor;
mod export;
mod list;
mod output;
mod prune;
mod reading;
mod restore;
mod run;
mod serve;
mod verify;

use service_kit::{metrics::Metrics, telemetry::Service};

use crate::{
    config::Job,
    failure::{Exit, Failure},
    metrics::{AgentMetrics, StoreMetrics},
    run::{Agent, observe},
    textfile::Textfile,
};

pub use check::check;
pub use doctor::doctor;
pub use export::{ExportArguments, export};
pub use list::{list, show};
pub use output::{Output, all_answered, complain};
pub use prune::prune;
pub use restore::{RestoreArguments, restore};
pub use run::run;
pub use serve::serve;
pub use verify::{VerifyArguments, verify};

pub const SERVICE: Service = Service { name: "backup", version: env!("CARGO_PKG_VERSION") };

/// The agents of the jobs, with metrics of one registry.
pub(crate) fn agents(jobs: Vec<Job>) -> Result<(Vec<Agent>, Metrics), Failure> {
    let metrics = Metrics::new(SERVICE.name, SERVICE.version, option_env!("BUILD_COMMIT"));
    let failed = |error| Failure::new(crate::failure::Stage::Connect, Exit::Failed, anyhow::Error::new(error));
    let (agent, store) = (AgentMetrics::register(&metrics).map_err(failed)?, StoreMetrics::register(&metrics).map_err(failed)?);
    store.start_at_zero();
    jobs.iter().for_each(|job| agent.start_at_zero(&job.name));
    Ok((jobs.into_iter().map(|job| Agent::new(job, agent.clone(), store.clone())).collect(), metrics))
}

/// The metrics that a one-shot command leaves behind, when it was told where.
pub(crate) struct Left {
    metrics: Metrics,
    file: Option<Textfile>,
}

impl Left {
    /// Writes what stood there before, and zeros: what is about to fail for the first time must be seen to rise.
    pub fn begin(agents: &[Agent], metrics: Metrics) -> Self {
        let path = agents.iter().find_map(|agent| agent.job.process.textfile.as_deref());
        let mut left = Self { metrics, file: path.map(Textfile::new) };
        left.write();
        left
    }

    /// Once the command is done with a job, whatever became of it: how old the newest backup is says more. A store that does
    /// not answer keeps nobody for longer than `check`.
    pub async fn after(&mut self, agent: &Agent) {
        if self.file.is_some() {
            if let Ok(Ok(catalogue)) = tokio::time::timeout(agent.job.limits.check, agent.catalogue()).await {
                observe(agent, &catalogue);
            }
            self.write();
        }
    }

    fn write(&mut self) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.write(&self.metrics)
        {
            tracing::error!(error = error.to_string(), path = %file.path().display(), "the metrics could not be written");
        }
    }
}

/// What a command of [`each`] leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaves {
    Metrics,
    /// A look, by anybody: the textfile is not theirs to write.
    Nothing,
}

/// Does something for each job, whatever became of those before; the first failure is the status.
pub(crate) async fn each(
    jobs: Vec<Job>,
    output: Output,
    leaves: Leaves,
    mut act: impl AsyncFnMut(&Agent) -> Result<(), Failure>,
) -> Result<(), Exit> {
    let (agents, metrics) = agents(jobs).map_err(|failure| {
        output.fail("", &failure);
        failure.exit
    })?;
    let mut left = (leaves == Leaves::Metrics).then(|| Left::begin(&agents, metrics));
    let mut ended = Ok(());
    for agent in agents {
        if let Err(failure) = act(&agent).await {
            output.fail(&agent.job.name, &failure);
            ended = ended.and(Err(failure.exit));
        }
        if let Some(left) = &mut left {
            left.after(&agent).await;
        }
    }
    ended
}
