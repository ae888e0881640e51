//! Records that somebody forged, replayed, cut or removed; a clock that was wrong; runs that were killed; hooks.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use backup::{
    catalogue::Catalogue,
    failure::Exit,
    layout::BackupId,
    manifest::{
        self, Manifest, Start,
        sign::{Kind, Signing},
    },
    prune::prune,
    run::Agent,
    store::Replace,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sqlx::Executor;

use crate::{
    agent::{agent, agent_in, take},
    program::{ended, program},
    store_faults::nothing_is_left_behind,
    support::{SIGNING_SEED, database, store_settings},
};

const DEADLINE: Duration = Duration::from_secs(60);

async fn small() -> Agent {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 100)").await.unwrap();
    agent(&source, &[]).await
}

async fn put(agent: &Agent, key: &str, bytes: Vec<u8>) {
    agent.store.put(key, bytes.into(), Replace::Yes).await.unwrap();
}

fn doubts(catalogue: &Catalogue) -> Vec<&str> {
    catalogue.doubtful.iter().map(|doubtful| doubtful.key.as_str()).collect()
}

/// As if it had been taken under another name, by the holder of `signing`.
async fn plant(agent: &Agent, signing: &Signing, like: &Manifest, started_at: jiff::Timestamp, sequence: u64) -> BackupId {
    let id = BackupId::new(started_at, 7);
    let start =
        Start { format: 1, id: id.clone(), job: like.job.clone(), started_at, sequence, epoch: 1, host: "elsewhere".into() };
    put(agent, &agent.layout.start(&id), signing.seal(Kind::Start, &start).unwrap()).await;
    let mut manifest = Manifest { id: id.clone(), started_at, finished_at: started_at, sequence, ..like.clone() };
    manifest.databases.iter_mut().for_each(|database| database.snapshot_at = started_at);
    let outcome = manifest::Outcome::Committed(Box::new(manifest));
    put(agent, &agent.layout.manifest(&id), signing.seal(Kind::Outcome, &outcome).unwrap()).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_not_ours_are_told_and_never_followed() {
    let agent = small().await;
    let (first, second) = (take(&agent).await.unwrap(), take(&agent).await.unwrap());
    let genuine = agent.store.get(&agent.layout.manifest(&second.id), 1 << 20).await.unwrap().to_vec();
    let replayed = agent.store.get(&agent.layout.manifest(&first.id), 1 << 20).await.unwrap().to_vec();
    let stranger = Signing::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
    let changed = String::from_utf8(genuine.clone()).unwrap().replacen("\"rows\":100", "\"rows\":999", 1).into_bytes();
    let outcome = manifest::Outcome::Committed(Box::new(second.clone()));
    let forged = stranger.seal(Kind::Outcome, &outcome).unwrap();
    let cut = genuine[..genuine.len() / 2].to_vec();
    let key = agent.layout.manifest(&second.id);
    let mut newest = first.id.clone();
    for (what, bytes) in
        [("replayed", replayed), ("changed", changed), ("a stranger's", forged), ("cut", cut), ("empty", Vec::new())]
    {
        put(&agent, &key, bytes).await;
        let catalogue = agent.catalogue().await.unwrap();
        assert_eq!(doubts(&catalogue), [key.as_str()], "{what}");
        assert_eq!(catalogue.newest().unwrap().0.id, newest, "{what}: the one that is believed is the newest");
        assert_eq!(catalogue.find(Some(&second.id)).unwrap_err().exit, Exit::Damaged, "{what}");
        assert_eq!(prune(&agent, false).await.unwrap_err().exit, Exit::Refused, "{what}");
        // Nothing that a stranger wrote keeps the next night from its backup, or costs the doubtful one its objects.
        let third = take(&agent).await.unwrap();
        newest = third.id;
        assert_eq!(agent.catalogue().await.unwrap().newest().unwrap().0.id, newest, "{what}");
        assert!(!agent.store.list(&agent.layout.data(&second.id)).await.unwrap().is_empty(), "{what}");
    }
    put(&agent, &key, genuine).await;
    assert!(agent.catalogue().await.unwrap().doubtful.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_newest_is_not_a_clocks_to_say() {
    let agent = small().await;
    let first = take(&agent).await.unwrap();
    let signing = Signing::parse(SIGNING_SEED).unwrap();
    // Taken while the clock was a year ahead; then it was set right.
    let ahead = first.started_at.checked_add(jiff::SignedDuration::from_hours(24 * 365)).unwrap();
    let odd = plant(&agent, &signing, &first, ahead, 2).await;
    let third = take(&agent).await.unwrap();
    assert!(third.id < odd && third.sequence == 3, "{} {}", third.id, third.sequence);
    assert_eq!(agent.catalogue().await.unwrap().newest().unwrap().0.id, third.id);
    let refused = prune(&agent, false).await.unwrap_err();
    assert!(refused.exit == Exit::Refused && refused.to_string().contains("clock"), "{refused}");
    // A clock that was behind: it is older by its number, not by its name.
    let behind = first.started_at.checked_sub(jiff::SignedDuration::from_hours(48)).unwrap();
    let late = plant(&agent, &signing, &first, behind, 4).await;
    let catalogue = agent.catalogue().await.unwrap();
    assert_eq!(catalogue.newest().unwrap().0.id, late);
    let in_order: Vec<_> = catalogue.in_order().map(|(id, _)| id).collect();
    assert_eq!(in_order, [&first.id, &odd, &third.id, &late], "what the program lists");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_missing_is_missed() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int)").await.unwrap();
    let store = store_settings().await;
    let agent = agent_in(&source, &store, &[]);
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(take(&agent).await.unwrap());
    }
    let doctor = || ended(program(&source, &store, &[], &["doctor"]), &store);
    assert_eq!(doctor().0, 0);
    let gone = [agent.layout.start(&taken[1].id), agent.layout.manifest(&taken[1].id)].map(|key| (key, None));
    agent.store.delete(&gone).await.unwrap();
    let (status, text) = doctor();
    assert!(
        status == 65 && text.contains("attempt number 2 has no record") && text.contains("of which no record is left"),
        "{text}"
    );
}

/// The seed says when the run is killed; whenever that is, the next one succeeds and leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_at_any_moment_costs_nothing_but_itself() {
    const KILLS: u64 = 8;
    let (source, mut session) = database().await;
    let rows = "CREATE TABLE noise (a text); INSERT INTO noise SELECT (SELECT string_agg(encode(sha512((n * 100 + k)::text::bytea), 'base64'), '') \
                FROM generate_series(1, 40) k) FROM generate_series(1, 4000) n; SELECT lo_from_bytea(0, '\\x01')";
    session.execute(rows).await.unwrap();
    let store = store_settings().await;
    let agent = agent_in(&source, &store, &[("BACKUP_LEASE", "1s")]);
    let start =
        |arguments: &[&str]| program(&source, &store, &[("BACKUP_LEASE", "1s"), ("BACKUP_PRUNE_AFTER_RUN", "false")], arguments);
    let begun = Instant::now();
    take(&agent).await.unwrap();
    let whole = begun.elapsed();
    let mut good = 1;
    for seed in 0..KILLS {
        let after = whole.mul_f64(StdRng::seed_from_u64(seed).random_range(0.0..1.1));
        let mut child = start(&["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(after).await;
        let _ = child.kill();
        let survived = child.wait().unwrap().success();
        let before = agent.catalogue().await.unwrap();
        // Killed after its last request, it has committed although it could not say so.
        let committed = before.backups().count();
        assert!(committed >= good + usize::from(survived), "seed {seed}: a backup is lost, or was told and is none");
        let begun = Instant::now();
        while let Err(failure) = take(&agent).await {
            assert!(failure.exit == Exit::Busy && begun.elapsed() < DEADLINE, "seed {seed}: {failure}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        nothing_is_left_behind(&agent).await;
        good = agent.catalogue().await.unwrap().backups().count();
        assert_eq!(good, committed + 1, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_run_before_and_after_and_are_told_how_it_went() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int)").await.unwrap();
    let (store, folder) = (store_settings().await, tempfile::tempdir().unwrap());
    let note = folder.path().join("note");
    let after = format!("echo \"$BACKUP_OUTCOME $BACKUP_ID $BACKUP_REASON\" >> {}", note.display());
    let run = |before: &str| {
        let changes = [("BACKUP_HOOK_BEFORE", before), ("BACKUP_HOOK_AFTER", after.as_str()), ("BACKUP_HOOK_TIMEOUT", "1s")];
        ended(program(&source, &store, &changes, &["run"]), &store)
    };
    assert_eq!(run("true").0, 0);
    for (before, told) in [("exit 3", "exit status: 3"), ("/bin/sleep 60", "took longer than 1 s")] {
        let (status, text) = run(before);
        assert!(status == 1 && text.contains(told), "{text}");
    }
    let told = std::fs::read_to_string(&note).unwrap();
    let lines: Vec<_> = told.lines().collect();
    assert!(
        lines.len() == 3 && lines[0].starts_with("committed 20") && lines[1].starts_with("failed ") && lines[1].contains("hook"),
        "{told}"
    );
    assert_eq!(agent_in(&source, &store, &[]).catalogue().await.unwrap().attempts.len(), 1, "a failed hook begins nothing");
}
