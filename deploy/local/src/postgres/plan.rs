//! From options to a data folder and a command line.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use super::PostgresOptions;
use crate::{
    account::OperatingAccount,
    binaries,
    folder::Folder,
    launch::{Launch, StopSignal},
    ports::free_ports,
};

/// Longest path of a socket in its folder that the kernel takes, with room for PostgreSQL's file name.
const SOCKET_FOLDER_LIMIT: usize = 85;
const SUPERUSER: &str = "postgres";

/// A server that is ready to be started, by this process or by a supervisor.
#[derive(Debug, Clone)]
pub struct PostgresPlan {
    pub launch: Launch,
    pub port: u16,
    password: String,
    data: PathBuf,
    settings: Vec<(String, String)>,
}

impl PostgresPlan {
    /// Creates the data in `folder` if it is empty.
    pub async fn prepare(folder: &Folder, options: &PostgresOptions) -> Result<Self> {
        let account = OperatingAccount::unprivileged()?;
        folder.give_to(account)?;
        let data = folder.path().join("data");
        let password_file = folder.path().join("password");
        if !data.join("PG_VERSION").exists() {
            write_private(&password_file, &hex::encode(rand::random::<[u8; 16]>()), account)?;
            create_data(&data, &password_file, account, options).await?;
        }
        let password = fs::read_to_string(&password_file).with_context(|| format!("reading {}", password_file.display()))?;
        let port = match options.port {
            Some(port) => port,
            None => free_ports::<1>()?[0],
        };
        let launch = Launch {
            name: "postgres",
            program: binaries::find("postgres")?,
            arguments: Vec::new(),
            environment: options.environment.clone(),
            account,
            open_input: false,
            stop_signal: StopSignal::Quit,
        };
        let mut plan = Self { launch, port, password, data, settings: settings(folder, options) };
        plan.launch.arguments = plan.arguments();
        Ok(plan)
    }

    /// The address of a database, for the superuser.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    pub(super) fn password(&self) -> &str {
        &self.password
    }

    pub(super) fn take_another_port(&mut self) -> Result<()> {
        self.port = free_ports::<1>()?[0];
        self.launch.arguments = self.arguments();
        Ok(())
    }

    fn arguments(&self) -> Vec<OsString> {
        let settings = self.settings.iter().flat_map(|(name, value)| ["-c".into(), format!("{name}={value}").into()]);
        ["-D".into(), self.data.clone().into(), "-p".into(), self.port.to_string().into()].into_iter().chain(settings).collect()
    }
}

fn settings(folder: &Folder, options: &PostgresOptions) -> Vec<(String, String)> {
    let sockets = folder.path().to_string_lossy();
    // A path that is too long for the kernel, or that PostgreSQL would take for two: then TCP must do.
    let sockets =
        if sockets.len() <= SOCKET_FOLDER_LIMIT && !sockets.contains(',') { sockets.into_owned() } else { String::new() };
    let ours = [
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", sockets.as_str()),
        ("unix_socket_permissions", "0700"),
        // In the data folder, not in the machine's shared memory: nothing is left when the server is killed.
        ("dynamic_shared_memory_type", "mmap"),
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("log_line_prefix", "%m [%p] %q%u@%d "),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
    ];
    ours.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).chain(options.settings.iter().cloned()).collect()
}

pub(super) fn write_private(path: &Path, text: &str, account: Option<OperatingAccount>) -> Result<()> {
    const OWNER_ONLY: u32 = 0o600;
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(OWNER_ONLY)).context("restricting access to the password file")?;
    account.map_or(Ok(()), |account| account.own(path)).context("changing the owner of the password file")
}

async fn create_data(
    data: &Path,
    password_file: &Path,
    account: Option<OperatingAccount>,
    options: &PostgresOptions,
) -> Result<()> {
    let mut arguments: Vec<OsString> =
        ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--username"].map(Into::into).to_vec();
    arguments.extend([SUPERUSER.into(), "--pwfile".into(), password_file.into(), "-D".into(), data.into()]);
    if !options.is_durable() {
        arguments.push("--no-sync".into());
    }
    if options.checksums {
        arguments.push("--data-checksums".into());
    }
    let launch = Launch {
        name: "initdb",
        program: binaries::find("initdb")?,
        arguments,
        environment: Vec::new(),
        account,
        open_input: false,
        stop_signal: StopSignal::Kill,
    };
    let words = launch.command_line();
    let folder = data.parent().context("a data folder has a parent")?;
    let output = Command::new(&words[0])
        .args(&words[1..])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .await
        .context("running initdb")?;
    ensure!(
        output.status.success(),
        "initdb failed in {} ({}): {}{}",
        folder.display(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
