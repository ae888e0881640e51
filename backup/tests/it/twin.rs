//! A slow, simple writer of backups that shares no code with the agent's writer: pg_dump, a COPY of each table, small pieces,
//! small objects. Its backups must be restored, and damaged ones must be rejected.

use std::{collections::BTreeMap, io::Write, process::Command};

use backup::{
    archive,
    checksum::RowChecksum,
    config::SourceSettings,
    dump::LARGE_OBJECT_CHUNK_BYTES,
    layout::{BackupId, Layout},
    manifest::{
        AttemptEnd, Blob, Compression, DatabaseContents, Encryption, FORMAT, Globals, LaneObject, LargeObjects, Manifest,
        ManifestDatabase, ManifestServer, Piece, Table, Totals, sign::SignedKind,
    },
    session::pin,
    store::{Replace, Store},
};
use futures::TryStreamExt;
use jiff::Timestamp;
use local_parts::find_program;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::{random, signing};

/// How it splits its output.
#[derive(Clone)]
pub struct Shape {
    pub piece_bytes: usize,
    pub object_bytes: u64,
    pub recipients: Vec<age::x25519::Recipient>,
    /// Like `--role`: the role that dumps.
    pub globals: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self { piece_bytes: 3000, object_bytes: 2048, recipients: Vec::new(), globals: true }
    }
}

pub struct Twin<'a> {
    store: &'a Store,
    shape: Shape,
    pub layout: Layout,
    id: BackupId,
    lane: Vec<u8>,
}

/// Writes a backup of the databases and returns its manifest.
pub async fn write(store: &Store, databases: &[SourceSettings], shape: Shape) -> Manifest {
    let id = BackupId::new(Timestamp::now(), random());
    let mut twin = Twin { store, shape, layout: Layout::new("backups", "test"), id, lane: Vec::new() };
    let manifest = twin.manifest(databases).await;
    twin.put_manifest(&manifest).await;
    manifest
}

impl Twin<'_> {
    async fn manifest(&mut self, databases: &[SourceSettings]) -> Manifest {
        let started_at = Timestamp::now();
        let mut described = Vec::new();
        for (number, database) in databases.iter().enumerate() {
            described.push(self.database(number, database).await);
        }
        let globals = match self.shape.globals {
            true => Some(Globals { script: self.globals(&databases[0]).await, role_passwords: true }),
            false => None,
        };
        let mut objects = Vec::new();
        let object_bytes = self.shape.object_bytes;
        for (number, bytes) in std::mem::take(&mut self.lane).chunks(usize::try_from(object_bytes).unwrap()).enumerate() {
            let key = self.layout.lane_object(&self.id, 0, u32::try_from(number).unwrap());
            objects.push(self.put(key, bytes).await);
        }
        Manifest {
            format: FORMAT,
            id: self.id.clone(),
            job: "test".into(),
            sequence: 1,
            program_version: "0".into(),
            started_at,
            finished_at: Timestamp::now(),
            server: ManifestServer {
                version_number: server_version(&databases[0]).await,
                version: String::new(),
                system_identifier: None,
                standby: false,
                client: String::new(),
            },
            compression: Compression { algorithm: "zstd".into(), level: 1 },
            encryption: (!self.shape.recipients.is_empty()).then(|| Encryption {
                algorithm: "age".into(),
                recipients: self.shape.recipients.iter().map(ToString::to_string).collect(),
            }),
            object_bytes,
            databases: described,
            globals,
            lanes: BTreeMap::from([(0, objects)]),
            totals: Totals::default(),
            failed: Vec::new(),
            left_out: Vec::new(),
            warnings: Vec::new(),
        }
    }

    pub async fn put_manifest(&self, manifest: &Manifest) {
        let record = signing().seal(SignedKind::Outcome, &AttemptEnd::Committed(Box::new(manifest.clone()))).unwrap();
        self.store.put(&self.layout.manifest(&self.id), record.into(), Replace::No).await.unwrap();
    }

    async fn database(&mut self, number: usize, source: &SourceSettings) -> ManifestDatabase {
        let dumped = tool("pg_dump", source, &["--format=custom", "--compress=0", "--encoding=UTF8"]);
        let toc = archive::Contents::read(&mut dumped.as_slice()).unwrap();
        let mut session = PgConnection::connect_with(&source.options()).await.unwrap();
        session.execute(AssertSqlSafe(pin())).await.unwrap();
        let mut tables = Vec::new();
        for entry in toc.entries.iter().filter(|entry| entry.is_table_data()) {
            tables.push(self.table(&mut session, entry).await);
        }
        let large_objects = self.large_objects(&mut session).await;
        let contents = DatabaseContents {
            format: FORMAT,
            backup: self.id.clone(),
            database: source.database.clone(),
            tables,
            large_objects,
        };
        let total = |count: fn(&Table) -> u64| contents.tables.iter().map(count).sum();
        ManifestDatabase {
            name: source.database.clone(),
            snapshot_at: Timestamp::now(),
            wal_position: None,
            tables: contents.tables.len() as u64,
            rows: total(|table| table.rows),
            large_objects: contents.large_objects.as_ref().map_or(0, |objects| objects.objects),
            raw_bytes: total(|table| table.raw_bytes),
            toc: self.blob(self.layout.toc(&self.id, number), &toc.to_bytes()).await,
            contents: self.blob(self.layout.contents(&self.id, number), &serde_json::to_vec(&contents).unwrap()).await,
        }
    }

    async fn table(&mut self, session: &mut PgConnection, entry: &archive::Entry) -> Table {
        let target = entry.copy_target().unwrap();
        let only = [b"ONLY ", target.relation.as_slice()].concat();
        let statement = format!("COPY ({}) TO STDOUT", String::from_utf8(target.select_from(&only, "")).unwrap());
        let (mut checksum, mut pieces, mut raw_bytes) = (RowChecksum::default(), Vec::new(), 0);
        let (mut rows, mut text) = (0, Vec::new());
        let mut copied = session.copy_out_raw(&statement).await.unwrap();
        // Each message is a row.
        while let Some(row) = copied.try_next().await.unwrap() {
            checksum.add(&row);
            raw_bytes += row.len() as u64;
            rows += 1;
            text.extend_from_slice(&row);
            if text.len() >= self.shape.piece_bytes {
                pieces.push(self.piece(&std::mem::take(&mut text), std::mem::take(&mut rows)));
            }
        }
        if rows > 0 {
            pieces.push(self.piece(&text, rows));
        }
        Table {
            dump_id: entry.dump_id,
            oid: 0,
            schema: entry.namespace.to_string(),
            name: entry.tag.to_string(),
            columns: Vec::new(),
            copied_to: None,
            rows: checksum.rows,
            raw_bytes,
            checksum: checksum.text(),
            pieces,
        }
    }

    async fn large_objects(&mut self, session: &mut PgConnection) -> Option<LargeObjects> {
        let found: Vec<(i64, Vec<u8>)> =
            sqlx::query_as("SELECT oid::int8, lo_get(oid) FROM pg_largeobject_metadata ORDER BY oid")
                .fetch_all(session)
                .await
                .unwrap();
        let mut objects = LargeObjects {
            objects: found.len() as u64,
            raw_bytes: 0,
            checksum: RowChecksum::default().text(),
            pieces: Vec::new(),
        };
        let (mut chunks, mut text, mut checksum) = (0, Vec::new(), RowChecksum::default());
        for (oid, bytes) in &found {
            let mut offset = 0_u64;
            for chunk in bytes.chunks(LARGE_OBJECT_CHUNK_BYTES).chain(bytes.is_empty().then_some(&[][..])) {
                let begin = text.len();
                text.extend(u32::try_from(*oid).unwrap().to_be_bytes());
                text.extend(offset.to_be_bytes());
                text.extend(u32::try_from(chunk.len()).unwrap().to_be_bytes());
                text.extend(chunk);
                checksum.add(&text[begin..]);
                offset += chunk.len() as u64;
                chunks += 1;
            }
            objects.raw_bytes += bytes.len() as u64;
            // All chunks of an object are in one piece.
            if text.len() >= self.shape.piece_bytes {
                objects.pieces.push(self.piece(&std::mem::take(&mut text), std::mem::take(&mut chunks)));
            }
        }
        if chunks > 0 {
            objects.pieces.push(self.piece(&text, chunks));
        }
        objects.checksum = checksum.text();
        (!found.is_empty()).then_some(objects)
    }

    fn piece(&mut self, raw: &[u8], rows: u64) -> Piece {
        let stored = self.sealed(raw);
        let offset = self.lane.len() as u64;
        self.lane.extend(&stored);
        Piece { lane: 0, offset, bytes: stored.len() as u64, sha256: sha256(&stored), raw_bytes: raw.len() as u64, rows }
    }

    async fn globals(&self, source: &SourceSettings) -> Blob {
        let script = tool("pg_dumpall", source, &["--globals-only"]);
        self.blob(self.layout.globals(&self.id), &script).await
    }

    async fn blob(&self, key: String, raw: &[u8]) -> Blob {
        let object = self.put(key, &self.sealed(raw)).await;
        Blob { key: object.key, bytes: object.bytes, sha256: object.sha256, raw_bytes: raw.len() as u64 }
    }

    async fn put(&self, key: String, bytes: &[u8]) -> LaneObject {
        self.store.put(&key, bytes.to_vec().into(), Replace::No).await.unwrap();
        LaneObject { key, bytes: bytes.len() as u64, sha256: sha256(bytes) }
    }

    fn sealed(&self, raw: &[u8]) -> Vec<u8> {
        let compressed = zstd::encode_all(raw, 1).unwrap();
        if self.shape.recipients.is_empty() {
            return compressed;
        }
        let recipients = self.shape.recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
        let mut sealed = Vec::new();
        let mut writer = age::Encryptor::with_recipients(recipients).unwrap().wrap_output(&mut sealed).unwrap();
        writer.write_all(&compressed).unwrap();
        writer.finish().unwrap();
        sealed
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Runs a client tool of this machine on a database.
pub fn tool(name: &str, source: &SourceSettings, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(find_program(name).unwrap()).args(arguments).envs(source.environment()).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

async fn server_version(source: &SourceSettings) -> u32 {
    let mut session = PgConnection::connect_with(&source.options()).await.unwrap();
    let version: i32 =
        sqlx::query_scalar("SELECT current_setting('server_version_num')::int4").fetch_one(&mut session).await.unwrap();
    u32::try_from(version).unwrap()
}
