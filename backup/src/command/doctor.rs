//! `backup doctor`: what failed attempts left, gaps, doubtful records. Settles what no run will need any more.

use super::{Output, each};
use crate::{
    config::Job,
    failure::{Exit, Failure, Stage},
    layout::BackupId,
    lease::Lease,
    run,
};
use jiff::Timestamp;

/// # Errors
/// When records are missing or not believed, which only a person can judge.
pub async fn doctor(jobs: Vec<Job>, output: Output) -> Result<(), Exit> {
    each(jobs, output, async |agent| {
        let id = BackupId::new(Timestamp::now(), rand::random());
        let lease = Lease::take(&agent.lock_store, &agent.layout, &id, &run::host(), agent.job.limits.lease).await?;
        let found = async {
            let catalogue = agent.catalogue().await?;
            for settled in run::settle_orphans(agent, &catalogue).await? {
                output.say(
                    format!("{settled} vanished without a word: given up, its objects removed"),
                    &serde_json::json!({"settled": settled}),
                );
            }
            let gaps = catalogue.gaps();
            for gap in &gaps {
                output.say(format!("attempt number {gap} has no record: somebody removed it"), &serde_json::json!({"gap": gap}));
            }
            for doubtful in &catalogue.doubtful {
                output.say(
                    format!("{}: {}", doubtful.key, doubtful.fault),
                    &serde_json::json!({"doubtful": doubtful.key, "fault": doubtful.fault.to_string()}),
                );
            }
            if gaps.is_empty() && catalogue.doubtful.is_empty() {
                output.say("nothing else to settle", &serde_json::json!({"healthy": true}));
                return Ok(());
            }
            let told = "records are missing or not believed; look who may write to the bucket";
            Err(Failure::told(Stage::Catalogue, Exit::Damaged, told))
        }
        .await;
        run::release(lease).await;
        found
    })
    .await
}
