//! Which operating-system account a part runs as. PostgreSQL refuses root, so root lends it an ordinary account.

use std::{fs, io, path::Path};

use anyhow::{Context, Result};

/// Accounts to lend, the first that exists.
const LENT: [&str; 2] = ["postgres", "nobody"];

/// An account that a part runs as instead of the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperatingAccount {
    pub user: u32,
    pub group: u32,
}

impl OperatingAccount {
    /// `None` if this process is not root: then parts run as its user.
    pub fn unprivileged() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let accounts = fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
        let account = LENT.iter().find_map(|name| find(&accounts, name));
        account
            .map(Some)
            .with_context(|| format!("running as root, and /etc/passwd has no account of {LENT:?}; run as an ordinary user"))
    }

    pub fn own(self, path: &Path) -> io::Result<()> {
        std::os::unix::fs::chown(path, Some(self.user), Some(self.group))
    }
}

fn find(accounts: &str, name: &str) -> Option<OperatingAccount> {
    let line = accounts.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut numbers = line.split(':').skip(2);
    Some(OperatingAccount { user: numbers.next()?.parse().ok()?, group: numbers.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_numbers_of_an_account() {
        let accounts = "root:x:0:0:root:/root:/bin/bash\npostgresql:x:1:2::/:\npostgres:x:101:104:,,,:/var/lib:/bin/bash\n";
        assert_eq!(find(accounts, "postgres"), Some(OperatingAccount { user: 101, group: 104 }));
        assert_eq!(find(accounts, "nobody"), None);
    }
}
