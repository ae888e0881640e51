//! This module opens sessions that write or compare rows. It adds the settings of writers to those that every session pins.

use std::sync::Arc;

use bytes::Bytes;
use sqlx::{AssertSqlSafe, Connection as _, Executor, PgConnection};
use tokio::sync::mpsc;

use super::RestoreError;
use crate::{
    config::SourceSettings,
    session::{literal, pin, pin_rows},
    wire::{Connection, ConnectionBreaker, RawRow, WireError},
};

/// A session with the pinned settings, in UTF-8, for everything except rows.
pub async fn connect(database: &SourceSettings) -> Result<PgConnection, RestoreError> {
    let session = PgConnection::connect_with(&database.options()).await;
    let mut session = session.map_err(|error| RestoreError::connecting(database, &error))?;
    session.execute(AssertSqlSafe(pin())).await.map_err(RestoreError::asking("setting up a session"))?;
    Ok(session)
}

/// A session in the database's own encoding: names and rows pass unchanged, whatever their bytes. Dropping it, or a call in it,
/// ends it.
pub struct RestoreSession {
    connection: Option<Connection>,
    breaker: Arc<ConnectionBreaker>,
}

/// Input of a COPY: bytes of rows, and `None` at the end. Without the final `None`, the rows are not committed.
pub type RowsSender = mpsc::Sender<Option<Bytes>>;
pub type RowsReceiver = mpsc::Receiver<Option<Bytes>>;

/// Cuts the connection of a dropped call, since its thread blocks on the connection.
struct CutOnDrop(Option<Arc<ConnectionBreaker>>);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        if let Some(breaker) = &self.0 {
            breaker.cut();
        }
    }
}

impl RestoreSession {
    pub async fn open(database: &SourceSettings) -> Result<Self, RestoreError> {
        let place = database.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let mut breaker = None;
            let mut connection = Connection::open(&place, |reached| breaker = Some(reached))?;
            connection.query(&pin_rows())?;
            let breaker = breaker.ok_or_else(|| WireError::Protocol("the connection was not established".into()))?;
            Ok::<_, WireError>(Self { connection: Some(connection), breaker: Arc::new(breaker) })
        });
        let opened = opened.await.map_err(|_| RestoreError::Interrupted)?;
        opened.map_err(|error| RestoreError::connecting_by_wire(database, &error))
    }

    /// Runs statements, and returns the rows of all of them.
    pub async fn query(&mut self, statements: impl Into<Vec<u8>>) -> Result<Vec<RawRow>, WireError> {
        let statements = statements.into();
        self.with(move |connection| connection.query_raw(&statements)).await
    }

    /// Runs a `COPY … FROM STDIN` with the received rows, and returns their number.
    pub async fn copy_in(&mut self, statement: Vec<u8>, mut rows: RowsReceiver) -> Result<u64, WireError> {
        self.with(move |connection| {
            connection.begin_copy_in(&statement)?;
            loop {
                match rows.blocking_recv() {
                    Some(Some(bytes)) => connection.copy_row_bytes(&bytes)?,
                    Some(None) => return connection.end_copy_in(),
                    None => return Err(WireError::Protocol("the rows ended without an end marker".into())),
                }
            }
        })
        .await
    }

    async fn with<Done: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Connection) -> Result<Done, WireError> + Send + 'static,
    ) -> Result<Done, WireError> {
        let lost = || WireError::Protocol("the session was lost".into());
        let mut connection = self.connection.take().ok_or_else(lost)?;
        let mut guard = CutOnDrop(Some(Arc::clone(&self.breaker)));
        let worked = tokio::task::spawn_blocking(move || {
            let done = work(&mut connection);
            (connection, done)
        });
        let (connection, done) = worked.await.map_err(|_| lost())?;
        guard.0 = None;
        self.connection = Some(connection);
        done
    }
}

/// Opens writers to a database that no other client uses yet.
pub async fn connect_all(
    database: &SourceSettings,
    count: usize,
    maintenance_memory: Option<&str>,
) -> Result<Vec<RestoreSession>, RestoreError> {
    let mut settings =
        String::from("SET synchronous_commit = off; SET check_function_bodies = off; SET client_min_messages = warning;");
    if let Some(memory) = maintenance_memory {
        settings += &format!("SET maintenance_work_mem = {};", literal(memory));
    }
    let mut sessions = Vec::with_capacity(count);
    for _ in 0..count.max(1) {
        let mut session = RestoreSession::open(database).await?;
        session.query(settings.clone()).await.map_err(RestoreError::by_wire("setting up a session"))?;
        sessions.push(session);
    }
    Ok(sessions)
}
