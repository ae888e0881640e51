//! This module is `exchange recover`: it builds a new database from object storage after the loss of the old one.
//!
//! - It validates everything that the database starts with before it changes anything: the list of objects, the snapshot, every batch
//!   after it, and the API keys.
//! - It writes the database in one transaction. An interrupted run leaves an empty database, and can be repeated.
//! - It writes nothing to the bucket. The first leader of the new database records the fork there.
//! - It must not touch a database that contains anything.

pub mod arguments;
mod plan;
mod tail;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use service_kit::metrics::Metrics;
use sqlx::{ConnectOptions, Connection};

use arguments::{RecoverArguments, show_time};
use plan::{BucketListing, RecoveryPlan};
use tail::Tail;

use crate::{
    api_key::Vault,
    config,
    db::{
        api_keys::ApiKey,
        archives::{self, Archive},
        jobs, migrate,
        recovered::{self, NewHistory},
        session,
    },
    journal_archive, key_objects,
    media::Media,
    metrics::ObjectStorageMetrics,
    shipped, snapshot,
};

/// The subcommand.
pub async fn run(settings: config::Recover, arguments: RecoverArguments) -> anyhow::Result<()> {
    let storage = ObjectStorageMetrics::register(&Metrics::new("exchange", env!("CARGO_PKG_VERSION"), None))?;
    let media = Media::new(&settings.object_storage, storage);
    let vault = Vault::new(&settings.key_encryption_key, settings.key_encryption_key_previous.as_slice());
    let mut connection =
        settings.database.options.connect().await.context("EXCHANGE_DATABASE_URL: the database did not answer")?;
    recovered::refuse_content(&mut connection).await?;
    let names = snapshot::list_snapshots(&media).await.context("EXCHANGE_S3_*: the bucket cannot be listed")?;
    let bucket = BucketListing {
        archives: journal_archive::list_archives(&media).await?,
        shipped: shipped::list_shipped(&media).await?.into_iter().map(|object| object.name).collect(),
        forks: shipped::forks(&media).await?,
    };
    let plan = RecoveryPlan::new(&bucket, arguments.until.sequence())?;
    let keys = RecoveredKeys::read(&media, &vault).await?;
    let tail = tail::read_tail(&media, &plan, &names, arguments.until).await?;
    check_uncertain(&media, &plan, &tail).await?;
    let newest_snapshot = names.last().map_or(0, |name| name.sequence as i64);
    let through = plan.known.max(newest_snapshot);
    let reached = tail.state.sequence() as i64;
    ensure!(reached > 0, "--until {}: no event of the journal is at or before that moment", arguments.until);

    migrate::apply(&mut connection).await?;
    let pool = session::pool(1).connect_with(settings.database.options).await?;
    jobs::migrate(&pool).await.context("failed to create the job queue's schema")?;
    let history = NewHistory {
        generation: plan.generation,
        sequence: reached,
        epoch: tail.epoch,
        base: tail.base,
        lost_through: through.max(reached),
        actor: &arguments.actor,
        reason: &format!("{} (until {})", arguments.reason, arguments.until),
    };
    recovered::write_recovered(&mut connection, &history, &tail.batches, &archive_rows(&plan, tail.base.0), &keys.rows).await?;
    connection.close().await.context("the database connection was lost after the recovery was committed")?;
    println!("{:#}", report(&plan, &tail, &keys, through));
    Ok(())
}

/// Objects written after a fork, below the snapshot: their content must lead to the chains in their names.
async fn check_uncertain(media: &Media, plan: &RecoveryPlan, tail: &Tail) -> anyhow::Result<()> {
    let old = plan.segments.iter().enumerate().filter(|(_, segment)| segment.uncertain && segment.first <= tail.base.0);
    for (index, segment) in old {
        let (Some(before), Some(after)) = (plan.chain_before(index), segment.chain) else { continue };
        let batches = journal_archive::read_unchecked(media, &segment.key).await?;
        ensure!(
            shipped::fold(before, &batches) == after,
            "{} does not continue the journal: it is of another history",
            segment.key
        );
    }
    Ok(())
}

/// The rows of the archive: every object with events up to the snapshot.
fn archive_rows(plan: &RecoveryPlan, through: i64) -> Vec<Archive> {
    let below = plan.segments.iter().filter(|segment| segment.first <= through);
    below
        .map(|segment| Archive {
            first_seq: segment.first,
            last_seq: segment.last.min(through),
            object_key: segment.key.clone(),
            checksum: archives::UNKNOWN_CHECKSUM,
        })
        .collect()
}

/// The API keys in the bucket.
struct RecoveredKeys {
    rows: Vec<ApiKey>,
    /// Revisions that the bucket proves to exist and does not contain.
    missing: Option<String>,
}

impl RecoveredKeys {
    async fn read(media: &Media, vault: &Vault) -> anyhow::Result<Self> {
        let (objects, last) = key_objects::newest(&key_objects::list_key_objects(media).await?);
        let mut rows = std::collections::BTreeMap::new();
        for name in &objects {
            let read = key_objects::read_keys(media, vault, *name).await.context(
                "the API keys in the bucket cannot be decrypted: set EXCHANGE_KEY_ENCRYPTION_KEY (and _PREVIOUS) to the keys of the \
                 exchange that wrote it, or set EXCHANGE_S3_BUCKET to the bucket of this exchange",
            )?;
            rows.extend(read.into_iter().map(|row| (row.api_key.clone(), row)));
        }
        let through = objects.last().map(|name| name.through);
        let missing = match through {
            None => Some("API keys: the bucket contains none; create them again".to_owned()),
            Some(through) if through < last => {
                Some(format!("API keys: changes with revisions {} to {last}; compare the keys with their owners", through + 1))
            }
            Some(_) => None,
        };
        Ok(Self { rows: rows.into_values().collect(), missing })
    }
}

fn report(plan: &RecoveryPlan, tail: &Tail, keys: &RecoveredKeys, known: i64) -> Value {
    let reached = tail.state.sequence() as i64;
    let revoked = keys.rows.iter().filter(|row| row.revoked_at.is_some()).count();
    let mut missing: Vec<String> = keys.missing.iter().cloned().collect();
    missing.push("statements requested before the loss: their files remain in the bucket; request them again".into());
    json!({
        "recoveredThrough": { "sequence": reached, "time": show_time(tail.state.now()) },
        "firstLostSequence": reached + 1,
        "knownLostThrough": (known > reached).then_some(known),
        "generation": plan.generation + 1,
        "snapshot": (tail.base.0 > 0).then_some(tail.base.0),
        "eventsAfterSnapshot": reached - tail.base.0,
        "objects": plan.segments.len(),
        "apiKeys": { "recovered": keys.rows.len(), "revoked": revoked },
        "missing": missing,
        "next": "start `exchange serve` and `exchange worker` with this database; history endpoints answer 503 until the worker has \
                 projected the archive",
    })
}
