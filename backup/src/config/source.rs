//! This module represents the address of a PostgreSQL server in three forms: for sqlx, for the COPY connections, and for the
//! client tools' environment. The password must not appear in a command line or an error.

use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use service_kit::config::{Secret, SettingsReader};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

/// How the server's identity is verified (libpq's `sslmode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsMode {
    Disable,
    /// TLS if the server supports it, without verification.
    #[default]
    Prefer,
    /// TLS without verification.
    Require,
    VerifyCa,
    VerifyFull,
}

impl TlsMode {
    const ALL: [(&'static str, Self); 5] = [
        ("disable", Self::Disable),
        ("prefer", Self::Prefer),
        ("require", Self::Require),
        ("verify-ca", Self::VerifyCa),
        ("verify-full", Self::VerifyFull),
    ];

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, mode)| *mode == self).map_or("prefer", |(name, _)| name)
    }
}

/// A path that cannot exist. libpq warns about a password file that is not a plain file.
const NO_PASSWORD_FILE: &str = "/dev/null/none";

/// Not every tool overrides the timeouts that a database or a role may set.
const TOOL_OPTIONS: &str = "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0";

/// A server and the role that connects to it.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// A host name or address. A path that begins with `/` is a folder of Unix sockets.
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Option<Secret>,
    /// Default database of connections.
    pub database: String,
    pub tls: TlsMode,
    /// Trusted certificates, PEM; `None`: the system's.
    pub root_certificates: Option<PathBuf>,
    /// Our own certificate and its key, PEM; `None`: the role logs in with a password or without one.
    pub client_certificate: Option<ClientCertificate>,
    /// Settings of every session from its start, before the server runs any trigger of the database.
    pub startup: Vec<(&'static str, &'static str)>,
}

/// Files of a client certificate and its private key (libpq's `sslcert` and `sslkey`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl SourceSettings {
    /// Reads an address from the environment. Returns `None` if it is absent and not required, or invalid.
    pub(super) fn read(env: &mut SettingsReader, name: &str, required: bool, help: &str) -> Option<Self> {
        let url = if required { Some(env.secret(name, help)) } else { env.optional_secret(name, help) }?;
        if url.expose().is_empty() {
            return None; // reported by the reader
        }
        match Self::parse(&url) {
            Ok(source) => Some(source),
            Err(wrong) => {
                env.fault(name, wrong, "write it as postgres://user:password@host:5432/database?sslmode=verify-full");
                None
            }
        }
    }

    /// Parses a `postgres://` address. Errors must not repeat the text, which may contain a password.
    ///
    /// # Errors
    /// Returns the end of a sentence that begins with the setting's name.
    pub fn parse(url: &Secret) -> Result<Self, &'static str> {
        let url = Url::parse(url.expose()).map_err(|_| "is not the address of a PostgreSQL server")?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err("does not begin with postgres://");
        }
        let decoded =
            |text: &str| percent_decode_str(text).decode_utf8().map(|text| text.into_owned()).map_err(|_| "is not UTF-8");
        let user = decoded(url.username())?;
        if user.is_empty() {
            return Err("has no user");
        }
        let mut source = Self {
            host: decoded(url.host_str().unwrap_or_default())?,
            port: url.port().unwrap_or(5432),
            user,
            password: url.password().map(decoded).transpose()?.map(Secret::from),
            database: decoded(url.path().trim_start_matches('/'))?,
            tls: TlsMode::default(),
            root_certificates: None,
            client_certificate: None,
            startup: Vec::new(),
        };
        let (mut certificate, mut key) = (None, None);
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "host" => source.host = value.into_owned(),
                "port" => source.port = value.parse().map_err(|_| "has a port that is not a number")?,
                "sslrootcert" => source.root_certificates = Some(value.into_owned().into()),
                "sslcert" => certificate = Some(value.into_owned().into()),
                "sslkey" => key = Some(value.into_owned().into()),
                "sslmode" => {
                    let mode = TlsMode::ALL.iter().find(|(known, _)| *known == value);
                    source.tls = mode.ok_or("has an sslmode other than disable, prefer, require, verify-ca, verify-full")?.1;
                }
                _ => return Err("has a parameter other than host, port, sslmode, sslrootcert, sslcert, sslkey"),
            }
        }
        source.client_certificate = match (certificate, key) {
            (None, None) => None,
            (Some(_), Some(_)) if source.tls == TlsMode::Disable => return Err("has sslcert, but sslmode=disable"),
            (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
            _ => return Err("has only one of sslcert and sslkey"),
        };
        if source.host.is_empty() {
            return Err("has no host");
        }
        if source.database.is_empty() {
            source.database = "postgres".into();
        }
        Ok(source)
    }

    /// The same server and role with another database.
    pub fn with_database(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }

    pub fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// The Unix socket of a server on this machine.
    pub fn socket_path(&self) -> PathBuf {
        Path::new(&self.host).join(format!(".s.PGSQL.{}", self.port))
    }

    /// Options of sqlx connections, for everything except rows. They ignore `PG*` variables and the password file.
    pub fn options(&self) -> PgConnectOptions {
        let mut options = PgConnectOptions::new_without_pgpass()
            .port(self.port)
            .username(&self.user)
            .database(&self.database)
            .application_name("backup")
            .ssl_mode(match self.tls {
                TlsMode::Disable => PgSslMode::Disable,
                TlsMode::Prefer => PgSslMode::Prefer,
                TlsMode::Require => PgSslMode::Require,
                TlsMode::VerifyCa => PgSslMode::VerifyCa,
                TlsMode::VerifyFull => PgSslMode::VerifyFull,
            });
        if !self.startup.is_empty() {
            options = options.options(self.startup.iter().copied());
        }
        options = if self.is_socket() { options.socket(&self.host) } else { options.host(&self.host) };
        if let Some(password) = &self.password {
            options = options.password(password.expose());
        }
        if let Some(path) = &self.root_certificates {
            options = options.ssl_root_cert(path);
        }
        if let Some(own) = &self.client_certificate {
            options = options.ssl_client_cert(&own.certificate).ssl_client_key(&own.key);
        }
        options
    }

    /// Sets the address for a client tool. No `PG*` variable of this process (`PGHOSTADDR`, `PGSERVICE`, `PGOPTIONS`, ...)
    /// reaches the tool. Its messages are in English, since the agent parses them.
    #[expect(clippy::disallowed_methods, reason = "no setting is read; variables are removed from a child's environment")]
    pub fn prepare_tool(&self, command: &mut std::process::Command) {
        let inherited = std::env::vars_os().map(|(name, _)| name);
        for name in inherited.filter(|name| name.as_encoded_bytes().starts_with(b"PG")) {
            command.env_remove(name);
        }
        command.envs(self.environment()).env("PGOPTIONS", TOOL_OPTIONS).env("LC_ALL", "C");
    }

    /// Environment of pg_dump and the other tools: libpq reads these, and the process list does not show them.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("PGHOST", self.host.clone()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", self.user.clone()),
            ("PGDATABASE", self.database.clone()),
            ("PGSSLMODE", self.tls.name().to_owned()),
            ("PGAPPNAME", "backup".to_owned()),
            // Settings of this process must not direct the tools elsewhere.
            ("PGPASSFILE", NO_PASSWORD_FILE.to_owned()),
        ];
        if let Some(password) = &self.password {
            variables.push(("PGPASSWORD", password.expose().to_owned()));
        }
        if let Some(path) = &self.root_certificates {
            variables.push(("PGSSLROOTCERT", path.display().to_string()));
        }
        if let Some(own) = &self.client_certificate {
            variables.push(("PGSSLCERT", own.certificate.display().to_string()));
            variables.push(("PGSSLKEY", own.key.display().to_string()));
        }
        variables
    }

    /// `host:port/database`, for messages.
    pub fn place(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.database)
    }
}
