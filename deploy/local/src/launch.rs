//! How a part is started: program, arguments, environment, account. A process here and a line for a supervisor are
//! made from the same launch.

use std::{ffi::OsString, path::PathBuf};

use crate::account::OperatingAccount;

/// Everything needed to start one part.
#[derive(Debug, Clone)]
pub struct Launch {
    pub name: &'static str,
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    pub environment: Vec<(String, String)>,
    pub(crate) account: Option<OperatingAccount>,
    /// Its standard input stays open and silent; otherwise it is empty.
    pub(crate) open_input: bool,
    /// Ends the part at once and cleanly enough. The kernel sends it too when the parent dies.
    pub stop_signal: StopSignal,
}

/// Signals that end a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    Interrupt,
    Quit,
    Terminate,
    Kill,
}

impl StopSignal {
    /// As `setpriv` and supervisors write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "INT",
            Self::Quit => "QUIT",
            Self::Terminate => "TERM",
            Self::Kill => "KILL",
        }
    }
}

impl Launch {
    /// A part that runs as the caller.
    pub fn new<Argument: Into<OsString>>(
        name: &'static str,
        program: PathBuf,
        arguments: impl IntoIterator<Item = Argument>,
        environment: Vec<(String, String)>,
        stop_signal: StopSignal,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { name, program, arguments, environment, account: None, open_input: false, stop_signal }
    }

    /// For a part that ends when its input does.
    #[must_use]
    pub fn with_open_input(self) -> Self {
        Self { open_input: true, ..self }
    }

    /// The command line, through `setpriv` (util-linux, on every Debian), which arranges that the part ends with its
    /// parent and lends the account, and then becomes the part itself.
    pub fn command_line(&self) -> Vec<OsString> {
        self.words([])
    }

    /// The same for a supervisor, with the environment in it through `env`.
    pub fn command_line_with_environment(&self) -> Vec<OsString> {
        let assignments = self.environment.iter().map(|(name, value)| format!("{name}={value}").into());
        self.words(std::iter::once("env".into()).chain(assignments))
    }

    fn words(&self, before_program: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["setpriv".into(), "--pdeathsig".into(), self.stop_signal.name().into()];
        if let Some(account) = self.account {
            words.extend([
                format!("--reuid={}", account.user).into(),
                format!("--regid={}", account.group).into(),
                "--clear-groups".into(),
            ]);
        }
        words.push("--".into());
        words.extend(before_program);
        words.push(self.program.clone().into());
        words.extend(self.arguments.iter().cloned());
        words
    }
}
