//! Sessions that write rows or compare them: the settings that every session pins, and what only a writer wants.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::RestoreFault;
use crate::{
    config::Source,
    session::{literal, pin},
};

/// A session with the pinned settings.
pub async fn connect(database: &Source) -> Result<PgConnection, RestoreFault> {
    let session = PgConnection::connect_with(&database.options()).await;
    let mut session = session.map_err(|error| RestoreFault::connecting(database, &error))?;
    session.execute(AssertSqlSafe(pin())).await.map_err(RestoreFault::asking("setting up a session"))?;
    Ok(session)
}

/// Writers into a database that nobody else uses yet.
pub async fn connect_all(
    database: &Source,
    count: usize,
    maintenance_memory: Option<&str>,
) -> Result<Vec<PgConnection>, RestoreFault> {
    let mut settings =
        String::from("SET synchronous_commit = off; SET check_function_bodies = off; SET client_min_messages = warning;");
    if let Some(memory) = maintenance_memory {
        settings += &format!("SET maintenance_work_mem = {};", literal(memory));
    }
    let mut sessions = Vec::with_capacity(count);
    for _ in 0..count.max(1) {
        let mut session = connect(database).await?;
        session.execute(AssertSqlSafe(settings.clone())).await.map_err(RestoreFault::asking("setting up a session"))?;
        sessions.push(session);
    }
    Ok(sessions)
}
