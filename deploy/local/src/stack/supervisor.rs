//! The supervisor, supervisord: its configuration, its start and end, and orders to it.

use std::{
    fmt::Write as _,
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use local_parts::{Launch, find_program, log_tail};
use rustix::{
    io::Errno,
    process::{Pid, Signal, geteuid, kill_process},
};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

use super::layout::StackLayout;

/// Timeout for an answer of supervisord, and for its end after it has stopped every part.
const DEADLINE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(100);
/// Longer than the exchange's own deadline for a shutdown.
const STOP_SECONDS: u32 = 30;
const LOG_SIZE: &str = "20MB";
/// The longest path of a socket that the kernel takes, with room for the suffix that supervisord adds.
const SOCKET_PATH_LIMIT: usize = 90;

/// One run's supervisord.
pub struct Supervisor {
    configuration: PathBuf,
    pid_file: PathBuf,
    logs: PathBuf,
}

impl Supervisor {
    /// Writes the configuration. supervisord starts no part on its own, since `up` starts them in order and waits for
    /// each. The parts end in the reverse of the given order.
    pub fn configure(layout: &StackLayout, parts: &[Launch]) -> Result<Self> {
        let folder = layout.folder.to_string_lossy();
        let socket = layout.folder.join("supervisor.sock");
        let socket = if socket.as_os_str().len() <= SOCKET_PATH_LIMIT {
            socket
        } else {
            std::env::temp_dir().join(format!("exchange-{:08x}.sock", rand::random::<u32>()))
        };
        let mut text = format!(
            "[supervisord]\nlogfile={folder}/logs/supervisord.log\npidfile={folder}/supervisord.pid\nchildlogdir={folder}/logs\n{user}\n\
             [unix_http_server]\nfile={socket}\nchmod=0700\n\n\
             [rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\n\
             [supervisorctl]\nserverurl=unix://{socket}\n",
            folder = percent(&folder),
            socket = percent(&socket.to_string_lossy()),
            // Without this, supervisord warns root at each start.
            user = if is_root() { "user=root\n" } else { "" },
        );
        for (position, part) in parts.iter().enumerate() {
            // Not supervisord's own setting for the environment, which cannot hold every value.
            let command: Vec<_> =
                part.command_line_with_environment().iter().map(|word| quoted(&word.to_string_lossy())).collect();
            write!(
                text,
                "\n[program:{name}]\ncommand={command}\ndirectory={folder}\npriority={position}\nautostart=false\nautorestart=true\n\
                 startsecs=1\nstopsignal={signal}\nstopwaitsecs={STOP_SECONDS}\nredirect_stderr=true\nstdout_logfile={log}\n\
                 stdout_logfile_maxbytes={LOG_SIZE}\nstdout_logfile_backups=1\n",
                name = part.name,
                command = percent(&command.join(" ")),
                folder = percent(&folder),
                signal = part.stop_signal.name(),
                log = percent(&layout.log(part.name).to_string_lossy()),
            )?;
        }
        let configuration = layout.supervisor_configuration();
        // It holds the secrets of this run.
        write_private(&configuration, &text)?;
        Ok(Self { configuration, pid_file: layout.supervisor_pid_file(), logs: layout.folder.join("logs") })
    }

    /// The supervisor that is already running.
    pub fn of(layout: &StackLayout) -> Self {
        let logs = layout.folder.join("logs");
        Self { configuration: layout.supervisor_configuration(), pid_file: layout.supervisor_pid_file(), logs }
    }

    /// Sends a part a signal.
    pub async fn signal(&self, part: &str, signal: &str) -> Result<()> {
        let asked = self.command("supervisorctl")?.args(["signal", signal, part]).output().await.context("asking supervisord")?;
        let answer = String::from_utf8_lossy(&asked.stdout);
        anyhow::ensure!(asked.status.success(), "failed to signal {part}: {}", answer.trim());
        Ok(())
    }

    /// Starts supervisord in the background, where it outlives this process.
    pub async fn start_in_background(&self) -> Result<()> {
        let started = self.command("supervisord")?.stdin(Stdio::null()).status().await.context("starting supervisord")?;
        anyhow::ensure!(started.success(), "supervisord did not start ({started})");
        self.answers().await
    }

    /// Starts supervisord as a child that ends, with every part, when this process does.
    pub async fn start_as_child(&self, log: &Path) -> Result<Child> {
        let log = File::options().create(true).append(true).open(log).context("opening supervisord's log")?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--"])
            .arg(find_program("supervisord")?)
            .arg("-n")
            .arg("-c")
            .arg(&self.configuration)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("sharing supervisord's log")?)
            .stderr(log)
            .spawn()
            .context("starting supervisord")?;
        self.answers().await?;
        Ok(child)
    }

    /// Starts a part and returns its process id.
    pub async fn start(&self, part: &str) -> Result<u32> {
        let started = self.command("supervisorctl")?.args(["start", part]).output().await.context("asking supervisord")?;
        if !started.status.success() {
            let answer = String::from_utf8_lossy(&started.stdout);
            bail!("{part} does not start: {}. {}", answer.trim(), log_tail(&self.logs.join(format!("{part}.log"))));
        }
        let asked = self.command("supervisorctl")?.args(["pid", part]).output().await.context("asking supervisord")?;
        let answer = String::from_utf8_lossy(&asked.stdout);
        answer.trim().parse().with_context(|| format!("supervisord returned no process id of {part}: {answer}"))
    }

    async fn answers(&self) -> Result<()> {
        let end = Instant::now() + DEADLINE;
        while !self.command("supervisorctl")?.arg("pid").output().await.is_ok_and(|answer| answer.status.success()) {
            anyhow::ensure!(
                Instant::now() < end,
                "supervisord does not answer; see supervisord.log next to {}",
                self.configuration.display()
            );
            sleep(POLL).await;
        }
        Ok(())
    }

    fn command(&self, program: &str) -> Result<Command> {
        let mut command = Command::new(find_program(program)?);
        command.arg("-c").arg(&self.configuration);
        Ok(command)
    }

    /// Ends supervisord and every part below it.
    pub async fn stop(&self) -> Result<()> {
        if let Some(pid) = running(&self.pid_file, &self.configuration) {
            stop(pid).await?;
        }
        Ok(())
    }
}

/// The process id of a supervisord that runs with this very configuration. `None` if another program now has the id.
pub fn running(pid_file: &Path, configuration: &Path) -> Option<u32> {
    let pid: u32 = fs::read_to_string(pid_file).ok()?.trim().parse().ok()?;
    let command_line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let ours = command_line.split(|byte| *byte == 0).any(|word| word == configuration.as_os_str().as_encoded_bytes());
    ours.then_some(pid)
}

/// Ends a supervisord, which ends its parts one after the other, and waits until it is gone.
pub async fn stop(pid: u32) -> Result<()> {
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw).context("a process id")?;
    match kill_process(process, Signal::TERM) {
        // It may have ended at this moment.
        Ok(()) | Err(Errno::SRCH) => {}
        Err(error) => return Err(error).context("stopping supervisord"),
    }
    let end = Instant::now() + DEADLINE;
    while is_running(pid) {
        if Instant::now() >= end {
            bail!("supervisord, process {pid}, does not end; see its log");
        }
        sleep(POLL).await;
    }
    Ok(())
}

/// Whether a process runs; one that has ended and waits to be asked for does not.
pub fn is_running(pid: u32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The state follows the name, which is in brackets and may contain any character.
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

pub fn write_private(path: &Path, text: &str) -> Result<()> {
    const OWNER_ONLY: u32 = 0o600;
    fs::write(path, "").with_context(|| format!("creating {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(OWNER_ONLY))
        .with_context(|| format!("restricting access to {}", path.display()))?;
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

fn is_root() -> bool {
    geteuid().is_root()
}

/// A word for supervisord's shell-like splitting. A `;` or `#` after a space would begin a comment, whatever quotes are
/// round it: the quotes are closed and opened again between the two.
fn quoted(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace(';', "\"\";").replace('#', "\"\"#"))
}

/// supervisord expands `%`.
fn percent(text: &str) -> String {
    text.replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use local_parts::{Folder, StopSignal};

    use super::{
        super::layout::{DEFAULT_PORT_BASE, StackLayout},
        *,
    };

    fn shell(name: &'static str, script: &str, word: &str) -> Launch {
        let environment = vec![("SAID".to_owned(), word.to_owned())];
        Launch::new(name, find_program("sh").unwrap(), ["-c", script, "sh", word], environment, StopSignal::Terminate)
    }

    /// Words reach a part as they are, its end is seen, and all ends with the supervisor.
    #[tokio::test]
    async fn keeps_parts_and_ends_them() {
        const WORD: &str = r#"100 %d "quoted" \ 'x' ; $HOME"#;
        let folder = Folder::throwaway("super visor").unwrap();
        let layout = StackLayout { folder: folder.path().to_owned(), ..StackLayout::new(DEFAULT_PORT_BASE, None).unwrap() };
        fs::create_dir(folder.path().join("logs")).unwrap();
        let script = r#"printf '%s\n%s\n' "$1" "$SAID"; exec sleep 600"#;
        let parts = [shell("stays", script, WORD), shell("ends", "echo no disk; exit 1", "")];
        let supervisor = Supervisor::configure(&layout, &parts).unwrap();
        supervisor.start_in_background().await.unwrap();
        let pid = running(&layout.supervisor_pid_file(), &layout.supervisor_configuration()).unwrap();

        let part = supervisor.start("stays").await.unwrap();
        assert!(is_running(part));
        assert_eq!(fs::read_to_string(layout.log("stays")).unwrap(), format!("{WORD}\n{WORD}\n"));
        let error = supervisor.start("ends").await.unwrap_err().to_string();
        assert!(error.contains("ends does not start") && error.contains("no disk"), "{error}");

        supervisor.stop().await.unwrap();
        assert!(!is_running(part) && !is_running(pid));
        assert_eq!(running(&layout.supervisor_pid_file(), &layout.supervisor_configuration()), None);
        supervisor.stop().await.unwrap();
    }

    #[test]
    fn a_number_that_another_program_has_is_none_of_ours() {
        let folder = Folder::throwaway("pid").unwrap();
        let pid_file = folder.path().join("pid");
        fs::write(&pid_file, std::process::id().to_string()).unwrap();
        assert_eq!(running(&pid_file, &folder.path().join("supervisord.conf")), None);
    }
}
