//! Which operating-system account the scratch server runs as. PostgreSQL refuses root, so root lends it an ordinary one.

use std::{fs, io, path::Path};

/// Accounts to lend, the first that exists.
const LENT: [&str; 2] = ["postgres", "nobody"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    pub user: u32,
    pub group: u32,
}

impl Account {
    /// `None` when this process is not root: the server runs as whoever runs it.
    ///
    /// # Errors
    /// When this is root and there is no account to lend.
    pub fn unprivileged() -> io::Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let accounts = fs::read_to_string("/etc/passwd")?;
        let account = LENT.iter().find_map(|name| find(&accounts, name));
        account.map(Some).ok_or_else(|| io::Error::other(format!("this is root, and there is none of the accounts {LENT:?}")))
    }

    pub fn own(self, path: &Path) -> io::Result<()> {
        std::os::unix::fs::chown(path, Some(self.user), Some(self.group))
    }
}

fn find(accounts: &str, name: &str) -> Option<Account> {
    let mut fields =
        accounts.lines().map(|line| line.split(':')).find_map(|mut fields| (fields.next()? == name).then_some(fields))?;
    Some(Account { user: fields.nth(1)?.parse().ok()?, group: fields.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts = "postgresql:x:1:2::/:\npostgres:x:101:104:,,,:/var/lib:/bin/bash\n";
        assert_eq!(find(accounts, "postgres"), Some(Account { user: 101, group: 104 }));
        assert_eq!(find(accounts, "nobody"), None);
    }
}
