//! The clock step that tokio-cron-scheduler misses. It is the reason why `backup serve` has its own loop; see
//! `docs/decisions/0015-backup-schedules.md`. `schedule::tests` show that the loop handles the same step.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio_cron_scheduler::{
    Job, JobScheduler, SimpleJobCode, SimpleMetadataStore, SimpleNotificationCode, SimpleNotificationStore,
};

const EVERY_SECOND: &str = "* * * * * *";
/// How far the clock was ahead before it was corrected.
const AHEAD: Duration = Duration::from_secs(24 * 60 * 60);
const DEADLINE: Duration = Duration::from_secs(30);

fn counting() -> (Job, Arc<AtomicU32>) {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let job = Job::new(EVERY_SECOND, move |_, _| {
        counted.fetch_add(1, Relaxed);
    });
    (job.unwrap(), runs)
}

/// The scheduler computes a job's next time once, from the clock of that moment, and stores it. If the clock was a day ahead then
/// and is corrected, the stored time is a day away, and nothing computes it again: a day without a backup. The test puts that
/// time into the store, since a test cannot set the machine's clock.
#[tokio::test]
async fn the_cron_library_runs_no_job_after_a_clock_was_set_back() {
    let store = SimpleMetadataStore::default();
    let jobs = Arc::clone(&store.data);
    let mut scheduler = JobScheduler::new_with_storage_and_code(
        Box::new(store),
        Box::new(SimpleNotificationStore::default()),
        Box::new(SimpleJobCode::default()),
        Box::new(SimpleNotificationCode::default()),
        100,
    )
    .await
    .unwrap();
    let ((before, runs_before), (after, runs_after)) = (counting(), counting());
    let id = scheduler.add(before).await.unwrap();
    jobs.write().await.get_mut(&id).unwrap().next_tick += AHEAD.as_secs();
    scheduler.add(after).await.unwrap();
    scheduler.start().await.unwrap();
    let deadline = Instant::now() + DEADLINE;
    while runs_after.load(Relaxed) < 3 {
        assert!(Instant::now() < deadline, "the job that was added after the step did not run");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(runs_before.load(Relaxed), 0, "the library computes the next time again: use it in `backup serve`");
    scheduler.shutdown().await.unwrap();
}
