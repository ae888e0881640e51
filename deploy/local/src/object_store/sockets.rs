//! SeaweedFS puts sockets into `/tmp`, whatever its folder is, and leaves them there when it is killed.

use std::{
    fs,
    io::ErrorKind,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

const FOLDER: &str = "/tmp";
const PREFIX: &str = "seaweedfs-";

/// The sockets of a server on these ports.
pub(super) fn of(ports: &[(&str, u16)]) -> Vec<PathBuf> {
    ports.iter().map(|(role, port)| Path::new(FOLDER).join(format!("{PREFIX}{role}-{port}.sock"))).collect()
}

/// Removes the sockets of a server that has ended.
pub(super) fn remove(sockets: &[PathBuf]) {
    for socket in sockets {
        // The server may have removed it, or never made it.
        let _ = fs::remove_file(socket);
    }
}

/// A younger socket may belong to a server that is about to listen on it.
const OLD: Duration = Duration::from_secs(30);

/// Removes the sockets that no server listens on any more.
pub(super) fn remove_abandoned() {
    for entry in fs::read_dir(FOLDER).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(".sock") && is_old(&entry, OLD) && is_abandoned(&entry.path()) {
            // Another process may remove it at the same moment.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_old(socket: &fs::DirEntry, age: Duration) -> bool {
    let written = socket.metadata().and_then(|metadata| metadata.modified());
    written.is_ok_and(|written| written.elapsed().is_ok_and(|elapsed| elapsed >= age))
}

fn is_abandoned(socket: &Path) -> bool {
    UnixStream::connect(socket).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixListener, process::Command};

    use super::*;

    #[test]
    fn only_sockets_that_are_old_and_without_a_listener_go() {
        let path = |name: &str| Path::new(FOLDER).join(format!("{PREFIX}test-{name}-{}.sock", std::process::id()));
        let old = |name: &str| {
            let touched = Command::new("touch").args(["-d", "1 hour ago"]).arg(path(name)).status().unwrap();
            assert!(touched.success());
        };
        let listening = UnixListener::bind(path("live")).unwrap();
        drop((UnixListener::bind(path("dead")).unwrap(), UnixListener::bind(path("young")).unwrap()));
        old("live");
        old("dead");
        remove_abandoned();
        assert!(path("live").exists() && path("young").exists() && !path("dead").exists());
        drop(listening);
        remove(&[path("live"), path("young"), path("dead")]);
        assert!(!path("live").exists() && !path("young").exists());
    }
}
