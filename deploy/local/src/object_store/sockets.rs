//! SeaweedFS puts sockets into `/tmp`, whatever its folder is, and leaves them there when it is killed.

use std::{fs, io::ErrorKind, os::unix::net::UnixStream, path::Path};

const FOLDER: &str = "/tmp";
const PREFIX: &str = "seaweedfs-";

/// Removes the sockets that no server listens on any more.
pub(super) fn remove_abandoned() {
    for entry in fs::read_dir(FOLDER).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(".sock") && is_abandoned(&entry.path()) {
            // Another process may remove it at the same moment.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_abandoned(socket: &Path) -> bool {
    UnixStream::connect(socket).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_sockets_without_a_listener_go() {
        let path = |name: &str| Path::new(FOLDER).join(format!("{PREFIX}test-{name}-{}.sock", std::process::id()));
        let listening = UnixListener::bind(path("live")).unwrap();
        drop(UnixListener::bind(path("dead")).unwrap());
        remove_abandoned();
        assert!(path("live").exists() && !path("dead").exists());
        drop(listening);
        remove_abandoned();
        assert!(!path("live").exists());
    }
}
