//! This module prints the results of the commands, as text or JSON. It must not implement the operations.

mod check;
mod delete;
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
    metrics::{AgentMetrics, ObjectStoreMetrics},
    run::{Agent, observe},
    textfile::Textfile,
};

pub use check::check;
pub use delete::{DeleteArguments, delete};
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

/// Creates the agents of the jobs, with one registry of metrics.
pub(crate) fn agents(jobs: Vec<Job>) -> Result<(Vec<Agent>, Metrics), Failure> {
    let metrics = Metrics::new(SERVICE.name, SERVICE.version, option_env!("BUILD_COMMIT"));
    let failed = |error| Failure::new(crate::failure::Stage::Connect, Exit::Failed, anyhow::Error::new(error));
    let (agent, store) =
        (AgentMetrics::register(&metrics).map_err(failed)?, ObjectStoreMetrics::register(&metrics).map_err(failed)?);
    crate::store::start_at_zero(&store);
    jobs.iter().for_each(|job| agent.start_at_zero(&job.name));
    Ok((jobs.into_iter().map(|job| Agent::new(job, agent.clone(), store.clone())).collect(), metrics))
}

/// Writes the metrics of a one-shot command to the textfile, if one is configured.
pub(crate) struct Left {
    metrics: Metrics,
    file: Option<Textfile>,
}

impl Left {
    /// Writes the previous values, and zeros for the rest: Prometheus must see a counter rise at its first failure.
    pub fn begin(agents: &[Agent], metrics: Metrics) -> Self {
        let path = agents.iter().find_map(|agent| agent.job.process.textfile.as_deref());
        let mut left = Self { metrics, file: path.map(Textfile::new) };
        left.write();
        left
    }

    /// Called after each job, whether it succeeded or not: the age of the newest backup matters most. An unreachable store delays
    /// it no longer than `check`.
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
            tracing::error!(error = error.to_string(), path = %file.path().display(), "failed to write the metrics textfile");
        }
    }
}

/// Whether a command of [`each`] writes metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaves {
    Metrics,
    /// A read-only command that anyone may run: it must not write the textfile.
    Nothing,
}

/// Runs a command for each job, even after failures. Returns the first failure as the status.
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
