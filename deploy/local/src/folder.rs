//! Folders that a part can use and that do not outlive their run.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::account::OperatingAccount;

/// Where folders go when the account of a part cannot reach the usual place.
const REACHABLE: &str = "/var/tmp";

/// A folder; a throwaway one is removed when this is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    throwaway: bool,
}

impl Folder {
    /// A folder that stays, created when absent.
    pub fn kept(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(Self { path, throwaway: false })
    }

    /// A folder that stays, for a part that runs as an ordinary account. Below a folder that only root may enter, such
    /// as `/root`, the path becomes a link to an empty folder of the system's temporary place.
    pub fn kept_within_reach(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let parent = path.parent().context("the folder of a part has no parent")?;
        fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
        if OperatingAccount::unprivileged()?.is_none() || reachable_by_all(&parent.join("any")) {
            return Self::kept(path);
        }
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        let target = temporary_home()?.join(format!("kept-{:016x}", hasher.finish()));
        if target.exists() {
            fs::remove_dir_all(&target).with_context(|| format!("clearing {}", target.display()))?;
        }
        fs::create_dir(&target).with_context(|| format!("creating {}", target.display()))?;
        std::os::unix::fs::symlink(&target, &path).with_context(|| format!("linking {}", path.display()))?;
        Ok(Self { path: target, throwaway: false })
    }

    /// A new folder in the system's temporary place. Those of processes that are gone are removed on the way, since
    /// a killed process removes nothing.
    pub fn throwaway(name: &str) -> Result<Self> {
        let home = temporary_home()?;
        sweep(&home);
        let path = home.join(format!("{}-{name}-{:08x}", std::process::id(), rand::random::<u32>()));
        fs::create_dir(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(Self { path, throwaway: true })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the account of a part the owner of the folder. A caller that is root still has access.
    pub(crate) fn give_to(&self, account: Option<OperatingAccount>) -> Result<()> {
        let Some(account) = account else { return Ok(()) };
        anyhow::ensure!(
            reachable_by_all(&self.path),
            "{} lies below a folder that only its owner may enter, and the server must not run as root: \
             run as an ordinary user, or move the project to a folder that everybody may enter",
            self.path.display()
        );
        account.own(&self.path).with_context(|| format!("changing the owner of {}", self.path.display()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.throwaway {
            // What cannot be removed now is swept by a later run.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Default place of the folders of this user's parts.
fn temporary_home() -> Result<PathBuf> {
    let base = std::env::temp_dir();
    let base = if reachable_by_all(&base.join("any")) { base } else { REACHABLE.into() };
    let home = base.join(format!("local-parts-{}", rustix::process::geteuid().as_raw()));
    fs::create_dir_all(&home).with_context(|| format!("creating {}", home.display()))?;
    Ok(home)
}

/// Whether every folder on the way to `path` may be entered by everybody; `path` itself need not exist.
fn reachable_by_all(path: &Path) -> bool {
    const ENTER: u32 = 0o001;
    let may_enter = |folder: &Path| fs::metadata(folder).is_ok_and(|metadata| metadata.permissions().mode() & ENTER != 0);
    let parent = path.parent().and_then(|parent| fs::canonicalize(parent).ok());
    parent.is_some_and(|parent| parent.ancestors().all(may_enter))
}

fn sweep(home: &Path) {
    let owner = |name: &str| name.split('-').next().and_then(|process| process.parse::<u32>().ok());
    let gone = |entry: &fs::DirEntry| {
        entry.file_name().to_str().and_then(owner).is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists())
    };
    let entries: io::Result<Vec<_>> = fs::read_dir(home).and_then(Iterator::collect);
    for entry in entries.unwrap_or_default().iter().filter(|entry| gone(entry)) {
        // Another process may sweep at the same moment.
        let _ = fs::remove_dir_all(entry.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_folders_are_deleted_also_after_a_kill() {
        let folder = Folder::throwaway("test").unwrap();
        let home = folder.path().parent().unwrap().to_owned();
        // No process has this number: it is above the kernel's limit.
        let left = home.join("99999999-left-behind");
        fs::create_dir_all(left.join("data")).unwrap();
        let next = Folder::throwaway("test").unwrap();
        assert!(!left.exists() && folder.path().exists() && next.path() != folder.path());
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_below_a_private_one_is_not_reachable() {
        let folder = Folder::throwaway("reach").unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        assert!(reachable_by_all(&inner));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!reachable_by_all(&inner));
    }

    #[test]
    fn a_part_of_root_gets_a_folder_that_it_can_reach() {
        let folder = Folder::throwaway("reach").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let wanted = folder.path().join("postgres");
        let kept = Folder::kept_within_reach(&wanted).unwrap();
        fs::write(kept.path().join("data"), "x").unwrap();
        assert_eq!(fs::read_to_string(wanted.join("data")).unwrap(), "x");
        let lent = OperatingAccount::unprivileged().unwrap();
        assert_eq!(lent.is_some(), kept.path() != wanted);
        kept.give_to(lent).unwrap();
        if lent.is_some() {
            fs::remove_dir_all(kept.path()).unwrap();
        }
    }
}
