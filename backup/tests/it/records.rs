//! Records that were forged, replayed, truncated or removed; a wrong clock; killed runs; hooks.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use backup::{
    catalogue::Catalogue,
    failure::Exit,
    layout::BackupId,
    manifest::{
        self, Abandoned, Manifest, Start, Verification,
        sign::{SignedKind, Signing},
    },
    prune::prune_backups,
    run::Agent,
    store::Replace,
};
use jiff::{SignedDuration, Timestamp};
use local_parts::find_program;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sqlx::Executor;

use crate::{
    agent::{agent, agent_in, take},
    faulty_store::{FaultyStore, StoreFault},
    kept::NEWEST,
    program::{ended, program},
    store_faults::nothing_is_left_behind,
    support::{SIGNING_SEED, database, random, store_settings},
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

/// A copy under another name, as if taken by the holder of `signing`.
async fn plant(agent: &Agent, signing: &Signing, like: &Manifest, started_at: jiff::Timestamp, sequence: u64) -> BackupId {
    let id = BackupId::new(started_at, 7);
    let start = Start {
        format: 1,
        id: id.clone(),
        job: like.job.clone(),
        started_at,
        sequence,
        epoch: 1,
        host: "elsewhere".into(),
        keep_newest: None,
    };
    put(agent, &agent.layout.start(&id), signing.seal(SignedKind::Start, &start).unwrap()).await;
    let mut manifest = Manifest { id: id.clone(), started_at, finished_at: started_at, sequence, ..like.clone() };
    manifest.databases.iter_mut().for_each(|database| database.snapshot_at = started_at);
    let outcome = manifest::AttemptEnd::Committed(Box::new(manifest));
    put(agent, &agent.layout.manifest(&id), signing.seal(SignedKind::Outcome, &outcome).unwrap()).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_records_are_reported_and_ignored() {
    let agent = small().await;
    let (first, second) = (take(&agent).await.unwrap(), take(&agent).await.unwrap());
    let genuine = agent.store.get(&agent.layout.manifest(&second.id), 1 << 20).await.unwrap().to_vec();
    let replayed = agent.store.get(&agent.layout.manifest(&first.id), 1 << 20).await.unwrap().to_vec();
    let stranger = Signing::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
    let changed = String::from_utf8(genuine.clone()).unwrap().replacen("\"rows\":100", "\"rows\":999", 1).into_bytes();
    let outcome = manifest::AttemptEnd::Committed(Box::new(second.clone()));
    let forged = stranger.seal(SignedKind::Outcome, &outcome).unwrap();
    let cut = genuine[..genuine.len() / 2].to_vec();
    let key = agent.layout.manifest(&second.id);
    let mut newest = first.id.clone();
    for (what, bytes) in
        [("replayed", replayed), ("changed", changed), ("a stranger's", forged), ("cut", cut), ("empty", Vec::new())]
    {
        put(&agent, &key, bytes).await;
        let catalogue = agent.catalogue().await.unwrap();
        assert_eq!(doubts(&catalogue), [key.as_str()], "{what}");
        assert_eq!(catalogue.newest().unwrap().0.id, newest, "{what}: the trusted backup is the newest");
        assert_eq!(catalogue.find(Some(&second.id)).unwrap_err().exit, Exit::Damaged, "{what}");
        assert_eq!(prune_backups(&agent, false).await.unwrap_err().exit, Exit::Refused, "{what}");
        // A foreign record must not prevent the next backup, or remove the objects of the untrusted one.
        let third = take(&agent).await.unwrap();
        newest = third.id;
        assert_eq!(agent.catalogue().await.unwrap().newest().unwrap().0.id, newest, "{what}");
        assert!(!agent.store.list(&agent.layout.data(&second.id)).await.unwrap().is_empty(), "{what}");
    }
    put(&agent, &key, genuine).await;
    assert!(agent.catalogue().await.unwrap().doubtful.is_empty());
}

/// Commands that use the newest backup report a newer untrusted one, the reason, and the next action.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_untrusted_backup_is_reported() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int)").await.unwrap();
    let store = store_settings().await;
    let agent = agent_in(&source, &store, &[]);
    let (first, second) = (take(&agent).await.unwrap(), take(&agent).await.unwrap());
    let stranger = Signing::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
    let outcome = manifest::AttemptEnd::Committed(Box::new(second.clone()));
    let genuine = agent.store.get(&agent.layout.manifest(&second.id), 1 << 20).await.unwrap().to_vec();
    put(&agent, &agent.layout.manifest(&second.id), stranger.seal(SignedKind::Outcome, &outcome).unwrap()).await;
    let server = find_program("initdb").unwrap().parent().unwrap().display().to_string();
    let call = |more: &[(&str, &str)], arguments: &[&str]| {
        let changes = [&[("BACKUP_SERVER_FOLDER", server.as_str())], more].concat();
        let output = program(&source, &store, &changes, &[&["--output", "json"], arguments].concat()).output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {log}");
        // An archive is not JSON output.
        let lines: Vec<serde_json::Value> =
            String::from_utf8_lossy(&output.stdout).lines().map_while(|line| serde_json::from_str(line).ok()).collect();
        (log, lines)
    };
    let passed_over = |lines: &[serde_json::Value]| -> Option<(String, String)> {
        let told = lines.iter().find_map(|line| line.get("passed_over").filter(|told| !told.is_null()))?;
        Some((told["taken"].as_str()?.to_owned(), told["newer"].as_str()?.to_owned()))
    };
    let expected = Some((first.id.to_string(), second.id.to_string()));
    let to = format!("believed_{:08x}", random());
    for (arguments, answers) in [
        (&["show"][..], true),
        (&["verify", "--no-record"], true),
        (&["restore", "--to", &to, "--no-owner", "--no-privileges"], true),
        (&["export"], false),
    ] {
        let (log, lines) = call(&[], arguments);
        for part in [second.id.as_str(), "is not trusted", "add its public key", "BACKUP_TRUSTED_KEYS", "name it"] {
            assert!(log.contains(part), "{arguments:?}: no {part:?}: {log}");
        }
        assert_eq!(passed_over(&lines), expected.clone().filter(|_| answers), "{arguments:?}: {lines:?}");
    }
    let (log, lines) = call(&[], &["show", first.id.as_str()]);
    assert!(!log.contains("not trusted") && passed_over(&lines).is_none(), "no warning if the user named the backup: {log}");
    let (log, lines) = call(&[("BACKUP_TRUSTED_KEYS", &stranger.public_key())], &["show"]);
    assert!(!log.contains("not trusted") && lines[0]["manifest"]["id"] == second.id.as_str(), "{log}");

    // A backup that is the newest verified one only because of the untrusted record of a drill.
    put(&agent, &agent.layout.manifest(&second.id), genuine).await;
    let record = async |manifest: &Manifest, signing: &Signing| {
        let verification = drilled(manifest, manifest.finished_at, true);
        let key = agent.layout.verification(&manifest.id, manifest.finished_at, random());
        put(&agent, &key, signing.seal(SignedKind::Verification, &verification).unwrap()).await;
    };
    record(&first, &Signing::parse(SIGNING_SEED).unwrap()).await;
    let (log, _) = call(&[], &["export", "--verified"]);
    assert!(!log.contains("not trusted"), "{log}");
    record(&second, &stranger).await;
    let (log, _) = call(&[], &["export", "--verified"]);
    assert!(log.contains("is not trusted") && log.contains(&format!("verified/{}/", second.id)), "{log}");
    let (log, _) = call(&[], &["export"]);
    assert!(!log.contains("not trusted"), "the untrusted record concerns drills only: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_backup_does_not_depend_on_a_clock() {
    let agent = small().await;
    let first = take(&agent).await.unwrap();
    let signing = Signing::parse(SIGNING_SEED).unwrap();
    // Taken while the clock was a year ahead; then the clock was corrected.
    let ahead = first.started_at.checked_add(jiff::SignedDuration::from_hours(24 * 365)).unwrap();
    let odd = plant(&agent, &signing, &first, ahead, 2).await;
    let third = take(&agent).await.unwrap();
    assert!(third.id < odd && third.sequence == 3, "{} {}", third.id, third.sequence);
    assert_eq!(agent.catalogue().await.unwrap().newest().unwrap().0.id, third.id);
    let refused = prune_backups(&agent, false).await.unwrap_err();
    assert!(refused.exit == Exit::Refused && refused.to_string().contains("clock"), "{refused}");
    // The clock was behind: by its name it is older, by its number it is newer.
    let behind = first.started_at.checked_sub(jiff::SignedDuration::from_hours(48)).unwrap();
    let late = plant(&agent, &signing, &first, behind, 4).await;
    let catalogue = agent.catalogue().await.unwrap();
    assert_eq!(catalogue.newest().unwrap().0.id, late);
    let in_order: Vec<_> = catalogue.in_order().map(|(id, _)| id).collect();
    assert_eq!(in_order, [&first.id, &odd, &third.id, &late], "the order of `list`");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_record_is_reported() {
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
    assert!(status == 65 && text.contains("attempt number 2 has no record") && text.contains("but no record"), "{text}");
}

/// Removals by retention from the middle are not gaps.
#[tokio::test(flavor = "multi_thread")]
async fn a_removal_by_retention_is_not_a_gap() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int)").await.unwrap();
    let store = store_settings().await;
    let mut weekly = NEWEST.to_vec();
    weekly.retain(|(name, _)| *name != "BACKUP_KEEP_WEEKLY");
    weekly.push(("BACKUP_KEEP_WEEKLY", "4"));
    let agent = agent_in(&source, &store, &weekly);
    let (like, signing) = (take(&agent).await.unwrap(), Signing::parse(SIGNING_SEED).unwrap());
    let prefixes = [agent.layout.start(&like.id), agent.layout.manifest(&like.id), agent.layout.data(&like.id)];
    for prefix in prefixes {
        let objects = agent.store.list(&prefix).await.unwrap().into_iter().map(|object| (object.key, None));
        agent.store.delete(&objects.collect::<Vec<_>>()).await.unwrap();
    }
    // Two of one week, two of another, and one of this hour.
    let today: Timestamp = Timestamp::now().strftime("%Y-%m-%dT00:00:00Z").to_string().parse().unwrap();
    let mut planted = Vec::new();
    for (number, (days, hours)) in (1..).zip([(15, 1), (15, 2), (8, 1), (8, 2)]) {
        let at = today.checked_sub(SignedDuration::from_hours(days * 24 - hours)).unwrap();
        planted.push(plant(&agent, &signing, &like, at, number).await);
    }
    planted.push(plant(&agent, &signing, &like, Timestamp::now(), 5).await);
    let doctor = || ended(program(&source, &store, &weekly, &["doctor"]), &store);
    assert_eq!(doctor().0, 0);
    assert_eq!(prune_backups(&agent, false).await.unwrap().remove, [planted[0].clone(), planted[2].clone()]);
    let (status, text) = doctor();
    assert_eq!(status, 0, "{text}");
}

fn drilled(manifest: &Manifest, finished_at: Timestamp, passed: bool) -> Verification {
    Verification {
        format: 1,
        id: manifest.id.clone(),
        started_at: finished_at,
        finished_at,
        passed,
        program_version: "0".into(),
        server_version: "15".into(),
        restore_seconds: 1.0,
        rows_compared: 1,
        tables_compared: 1,
        assertions: Vec::new(),
        faults: Vec::new(),
        left_out: Vec::new(),
    }
}

/// The last drill counts, independent of its record's name.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_whose_last_drill_failed_is_not_verified() {
    let agent = small().await;
    let manifest = take(&agent).await.unwrap();
    let at = |minute: i64| manifest.finished_at.checked_add(SignedDuration::from_mins(minute)).unwrap();
    let drill = async |name: i64, finished: i64, passed: bool| {
        let verification = drilled(&manifest, at(finished), passed);
        let key = agent.layout.verification(&manifest.id, at(name), random());
        agent.record(SignedKind::Verification, &key, &verification).await.unwrap();
        let catalogue = agent.catalogue().await.unwrap();
        let (_, attempt) = catalogue.newest().unwrap();
        let times: Vec<_> = attempt.verifications.iter().map(|verification| verification.finished_at).collect();
        assert!(times.is_sorted(), "{times:?}");
        assert_eq!(catalogue.newest_verified().is_some(), attempt.verified().is_some());
        attempt.verified().map(|verification| verification.finished_at)
    };
    assert_eq!(drill(5, 1, true).await, Some(at(1)));
    assert_eq!(drill(4, 2, false).await, None, "it passed once and failed later");
    assert_eq!(drill(3, 3, true).await, Some(at(3)));
    // Two drills that end within one second, with different results.
    assert_eq!(drill(3, 4, false).await, None);
    assert_eq!(agent.catalogue().await.unwrap().newest().unwrap().1.verifications.len(), 4);
}

/// An attempt that fails before its first record is still recorded, with the number that it would have had.
#[tokio::test(flavor = "multi_thread")]
async fn an_early_failure_holds_retention_back() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int)").await.unwrap();
    let store = store_settings().await;
    let agent = agent_in(&source, &store, &NEWEST);
    let (first, second) = (take(&agent).await.unwrap(), take(&agent).await.unwrap());
    let forbidding = FaultyStore::before(&store, |request| {
        if request.method == "PUT" && request.target.contains("/starts/") {
            StoreFault::Answer(403, "AccessDenied")
        } else {
            StoreFault::Pass
        }
    })
    .await;
    let failure = take(&agent_in(&source, &forbidding.settings, &NEWEST)).await.unwrap_err();
    assert_eq!(failure.exit, Exit::Forbidden, "{failure}");
    let catalogue = agent.catalogue().await.unwrap();
    let (newest, attempt) = catalogue.in_order().next_back().unwrap();
    assert!(attempt.start.is_none() && attempt.sequence() == Some(3) && *newest != second.id, "{attempt:?}");
    assert_eq!(catalogue.next_sequence(), 4);
    assert_eq!(catalogue.gaps(u32::MAX), Vec::<u64>::new());
    assert_eq!(prune_backups(&agent, false).await.unwrap_err().exit, Exit::Refused);
    let fourth = take(&agent).await.unwrap();
    assert_eq!(fourth.sequence, 4);
    assert_eq!(prune_backups(&agent, false).await.unwrap().remove, [first.id, second.id]);
    let left: Vec<_> = agent.catalogue().await.unwrap().attempts.into_keys().collect();
    assert_eq!(left, [fourth.id], "failures older than every remaining backup are removed");
}

/// The age of a failed attempt's record depends on its number, not on its name.
#[tokio::test(flavor = "multi_thread")]
async fn records_of_failed_attempts_expire_by_number() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int)").await.unwrap();
    let agent = agent_in(&source, &store_settings().await, &NEWEST);
    let (like, signing) = (take(&agent).await.unwrap(), Signing::parse(SIGNING_SEED).unwrap());
    let at = |hours: i64| like.started_at.checked_add(SignedDuration::from_hours(hours)).unwrap();
    let kept = plant(&agent, &signing, &like, at(0), 12).await;
    let newest = plant(&agent, &signing, &like, at(0).checked_add(SignedDuration::from_secs(1)).unwrap(), 14).await;
    let failed = async |started_at: Timestamp, sequence: u64| {
        let id = BackupId::new(started_at, 9);
        let abandoned =
            Abandoned { format: 1, id: id.clone(), sequence: Some(sequence), at: started_at, reason: "a test".into() };
        let record = signing.seal(SignedKind::Outcome, &manifest::AttemptEnd::Abandoned(abandoned)).unwrap();
        put(&agent, &agent.layout.manifest(&id), record).await;
        id
    };
    let (older, between) = (failed(at(5), 11).await, failed(at(-5), 13).await);
    let keep_two = agent_in(&source, &agent.job.store, &[NEWEST.as_slice(), &[("BACKUP_KEEP_LAST", "2")]].concat());
    assert_eq!(prune_backups(&keep_two, false).await.unwrap().remove, [like.id]);
    let left: Vec<_> = agent.catalogue().await.unwrap().in_order().map(|(id, _)| id.clone()).collect();
    assert_eq!(left, [kept, between, newest], "{older} is older than every backup");
}

/// The seed determines when the run is killed. The next run must succeed and leave nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_at_any_moment_affects_no_other_run() {
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
        let before_it = good;
        let after = whole.mul_f64(StdRng::seed_from_u64(seed).random_range(0.0..1.1));
        let mut child = start(&["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(after).await;
        let _ = child.kill();
        let survived = child.wait().unwrap().success();
        let before = agent.catalogue().await.unwrap();
        // A run killed after its last request has committed, although it could not report that.
        let committed = before.backups().count();
        assert!(committed >= good + usize::from(survived), "seed {seed}: a backup is lost, or was reported but does not exist");
        let begun = Instant::now();
        while let Err(failure) = take(&agent).await {
            assert!(failure.exit == Exit::Busy && begun.elapsed() < DEADLINE, "seed {seed}: {failure}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        nothing_is_left_behind(&agent).await;
        good = agent.catalogue().await.unwrap().backups().count();
        // Its last request may have been in flight when the catalogue was read.
        let late = good == committed + 2 && !survived && committed == before_it;
        assert!(good == committed + 1 || late, "seed {seed}: {good} backups, and {committed} before");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_run_before_and_after_with_the_outcome() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int)").await.unwrap();
    let (store, folder) = (store_settings().await, tempfile::tempdir().unwrap());
    let note = folder.path().join("note");
    // A hook may call the program itself, with the same environment.
    let listed = folder.path().join("listed");
    let after = format!(
        "echo \"$BACKUP_OUTCOME $BACKUP_ID $BACKUP_REASON\" >> {}; {} list > {} || echo no list >> {}",
        note.display(),
        env!("CARGO_BIN_EXE_backup"),
        listed.display(),
        note.display()
    );
    let run = |before: &str| {
        let changes = [("BACKUP_HOOK_BEFORE", before), ("BACKUP_HOOK_AFTER", after.as_str()), ("BACKUP_HOOK_TIMEOUT", "5s")];
        ended(program(&source, &store, &changes, &["run"]), &store)
    };
    assert_eq!(run("true").0, 0);
    for (before, told) in [("exit 3", "exit status: 3"), ("/bin/sleep 60", "took longer than 5 s")] {
        let (status, text) = run(before);
        assert!(status == 1 && text.contains(told), "{text}");
    }
    let told = std::fs::read_to_string(&note).unwrap();
    let lines: Vec<_> = told.lines().collect();
    assert!(
        lines.len() == 3 && lines[0].starts_with("committed 20") && lines[1].starts_with("failed ") && lines[1].contains("hook"),
        "{told}"
    );
    let listed = std::fs::read_to_string(&listed).unwrap();
    assert!(listed.starts_with("20") && listed.contains("committed"), "{listed}");
    assert_eq!(agent_in(&source, &store, &[]).catalogue().await.unwrap().attempts.len(), 1, "a failed hook starts no attempt");
}
