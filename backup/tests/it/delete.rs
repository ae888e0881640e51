//! One backup is deleted by its name, unless it is the one that a restore would need.

use backup::{
    manifest::{Manifest, sign::SignedKind},
    prune::prune_backups,
    run::Agent,
    store::Replace,
};
use sqlx::Executor;

use crate::{
    agent::{agent_in, take},
    kept::NEWEST,
    program::{ended, program},
    restore::reader,
    support::{database, signing, store_settings},
    verify::{drill, options, scratch},
};

async fn verified(agent: &Agent, manifest: &Manifest) {
    let verdict = drill(&reader(&agent.store, manifest), &options(scratch(), &[])).await;
    assert!(verdict.passed, "{:?}", verdict.faults);
    let key = agent.layout.verification(&manifest.id, verdict.finished_at, 1);
    let bytes = signing().seal(SignedKind::Verification, &verdict).unwrap();
    agent.store.put(&key, bytes.into(), Replace::No).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_deleted_by_its_name() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 1000)").await.unwrap();
    let store = store_settings().await;
    let agent = agent_in(&source, &store, &NEWEST);
    let say = |arguments: &[&str]| ended(program(&source, &store, &NEWEST, arguments), &store);

    let (status, text) = say(&["delete", "20200101T000000Z-00000000"]);
    assert!(status == 66 && text.contains("does not exist"), "{status}: {text}");
    let first = take(&agent).await.unwrap();
    let (status, text) = say(&["delete", first.id.as_str()]);
    assert!(status == 73 && text.contains("only complete backup") && text.contains("--force"), "{status}: {text}");
    verified(&agent, &first).await;
    let (second, third) = (take(&agent).await.unwrap(), take(&agent).await.unwrap());
    let (status, text) = say(&["delete", first.id.as_str()]);
    assert!(status == 73 && text.contains("newest verified backup"), "{status}: {text}");
    assert!(!agent.store.list(&agent.layout.data(&first.id)).await.unwrap().is_empty(), "a refusal deletes nothing");

    let (status, text) = say(&["delete", second.id.as_str()]);
    assert!(status == 0 && text.contains(&format!("{}  deleted", second.id)), "{status}: {text}");
    assert!(agent.store.list(&agent.layout.data(&second.id)).await.unwrap().is_empty());
    let (status, text) = say(&["restore", second.id.as_str()]);
    assert!(status == 66 && text.contains("abandoned"), "{status}: {text}");
    let (_, text) = say(&["list"]);
    assert!(text.lines().any(|line| line.starts_with(second.id.as_str()) && line.contains("failed")), "{text}");
    // Its number is not a gap, and retention still works.
    assert_eq!(say(&["doctor"]).0, 0, "{}", say(&["doctor"]).1);
    assert_eq!(say(&["prune", "--dry-run"]).0, 0);

    let (status, text) = say(&["delete", first.id.as_str(), "--force"]);
    assert_eq!(status, 0, "{text}");
    let ids: Vec<_> = agent.catalogue().await.unwrap().backups().map(|(manifest, _)| manifest.id.clone()).collect();
    assert_eq!(ids, [third.id]);
}

/// Retention removed the second of three backups when it retained one. The setting was raised later.
#[tokio::test(flavor = "multi_thread")]
async fn a_raised_count_makes_no_gap_of_removed_backups() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int)").await.unwrap();
    let store = store_settings().await;
    let agent = agent_in(&source, &store, &NEWEST);
    let first = take(&agent).await.unwrap();
    verified(&agent, &first).await;
    let (second, third) = (take(&agent).await.unwrap(), take(&agent).await.unwrap());
    assert_eq!(prune_backups(&agent, false).await.unwrap().remove, [second.id]);
    let raised = [&[("BACKUP_KEEP_LAST", "10")], &NEWEST[1..]].concat();
    let (status, text) = ended(program(&source, &store, &raised, &["doctor"]), &store);
    assert_eq!(status, 0, "{text}");
    // A record that retention could not have removed is still reported.
    take(&agent_in(&source, &store, &raised)).await.unwrap();
    let records = [agent.layout.start(&third.id), agent.layout.manifest(&third.id)].map(|key| (key, None));
    agent.store.delete(&records).await.unwrap();
    let (status, text) = ended(program(&source, &store, &raised, &["doctor"]), &store);
    assert!(status == 65 && text.contains("attempt number 3 has no record"), "{status}: {text}");
}
