//! This module logs in on a new connection, up to the server's readiness for queries.

use bytes::BytesMut;
use postgres_protocol::{
    authentication::{
        md5_hash,
        sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
    },
    message::{backend::Message, frontend},
};

use super::{Connection, Result, Stream, WireError, server_error};
use crate::config::SourceSettings;

/// Returns the server's process number.
pub(super) fn log_in(connection: &mut Connection, source: &SourceSettings) -> Result<i32> {
    let mut message = BytesMut::new();
    // No client encoding: the server may not be able to convert the database's encoding.
    let parameters = [("user", source.user.as_str()), ("database", source.database.as_str()), ("application_name", "backup")];
    let settings = source.startup.iter().copied();
    frontend::startup_message(parameters.into_iter().chain(settings), &mut message)?;
    connection.send(&message)?;
    let mut process = 0;
    loop {
        match connection.message()? {
            Message::AuthenticationOk => {}
            Message::AuthenticationCleartextPassword => {
                if !matches!(connection.stream, Stream::Tls(_)) {
                    let refusal = "the server requests the password in plain text, but the connection is not encrypted";
                    return Err(WireError::Refused(format!("{refusal}; use sslmode=require, or scram-sha-256 on the server")));
                }
                send_password(connection, password(source)?)?;
            }
            Message::AuthenticationMd5Password(body) => {
                let hash = md5_hash(source.user.as_bytes(), password(source)?, body.salt());
                send_password(connection, hash.as_bytes())?;
            }
            Message::AuthenticationSasl(body) => {
                use fallible_iterator::FallibleIterator;
                let known = body.mechanisms().any(|mechanism| Ok(mechanism == SCRAM_SHA_256))?;
                if !known {
                    return Err(WireError::Refused(
                        "the server requests an unsupported login method; supported are SCRAM-SHA-256, MD5 and password".into(),
                    ));
                }
                scram(connection, password(source)?)?;
            }
            Message::BackendKeyData(key) => process = key.process_id(),
            Message::ReadyForQuery(_) => return Ok(process),
            Message::ErrorResponse(error) => return Err(server_error(error.fields())),
            _ => {
                let refusal = "the server requests an unsupported login method; supported are SCRAM-SHA-256, MD5 and password";
                return Err(WireError::Refused(refusal.into()));
            }
        }
    }
}

fn password(source: &SourceSettings) -> Result<&[u8]> {
    let password = source.password.as_ref().map(|password| password.expose().as_bytes());
    password.ok_or_else(|| {
        WireError::Refused("the server requests a password, but the address contains none; add it to the address".into())
    })
}

fn send_password(connection: &mut Connection, password: &[u8]) -> Result<()> {
    let mut message = BytesMut::new();
    frontend::password_message(password, &mut message)?;
    connection.send(&message)
}

fn scram(connection: &mut Connection, password: &[u8]) -> Result<()> {
    let mut scram = ScramSha256::new(password, ChannelBinding::unsupported());
    let mut message = BytesMut::new();
    frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), &mut message)?;
    connection.send(&message)?;
    match connection.message()? {
        Message::AuthenticationSaslContinue(body) => scram.update(body.data())?,
        Message::ErrorResponse(error) => return Err(server_error(error.fields())),
        _ => return Err(WireError::Protocol("an incomplete login".into())),
    }
    message.clear();
    frontend::sasl_response(scram.message(), &mut message)?;
    connection.send(&message)?;
    match connection.message()? {
        Message::AuthenticationSaslFinal(body) => Ok(scram.finish(body.data())?),
        Message::ErrorResponse(error) => Err(server_error(error.fields())),
        _ => Err(WireError::Protocol("an incomplete login".into())),
    }
}
