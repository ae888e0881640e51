//! This module selects the operating-system account of the scratch server. PostgreSQL refuses to run as root, so root uses an
//! ordinary account.

use std::{fs, io, path::Path};

/// Ordinary accounts, in order of preference.
const LENT: [&str; 2] = ["postgres", "nobody"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrillAccount {
    pub user: u32,
    pub group: u32,
}

impl DrillAccount {
    /// Returns `None` if this process is not root: the server then runs as the same user.
    ///
    /// # Errors
    /// Returns an error if this is root and none of the accounts exists.
    pub fn unprivileged() -> io::Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let accounts = fs::read_to_string("/etc/passwd")?;
        let account = LENT.iter().find_map(|name| find(&accounts, name));
        account
            .map(Some)
            .ok_or_else(|| io::Error::other(format!("this process runs as root, and none of the accounts {LENT:?} exists")))
    }

    pub fn own(self, path: &Path) -> io::Result<()> {
        std::os::unix::fs::chown(path, Some(self.user), Some(self.group))
    }
}

fn find(accounts: &str, name: &str) -> Option<DrillAccount> {
    let mut fields =
        accounts.lines().map(|line| line.split(':')).find_map(|mut fields| (fields.next()? == name).then_some(fields))?;
    Some(DrillAccount { user: fields.nth(1)?.parse().ok()?, group: fields.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_full_name() {
        let accounts = "postgresql:x:1:2::/:\npostgres:x:101:104:,,,:/var/lib:/bin/bash\n";
        assert_eq!(find(accounts, "postgres"), Some(DrillAccount { user: 101, group: 104 }));
        assert_eq!(find(accounts, "nobody"), None);
    }
}
