//! Free ports of the loopback address.
//!
//! - Two calls, also of different processes at the same time, return different ports as long as both processes run.
//! - The kernel gives no other program such a port by chance: they are below the range of connections and of port 0.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};

/// Lowest port that this module returns; well-known servers listen below.
const LOWEST: u16 = 10_240;
/// The first port of the range that the kernel uses for connections and for port 0.
const KERNELS: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// Linux's default for it.
const KERNELS_LOWEST: u16 = 32_768;
/// Fewer are not enough for many tests at the same time.
const MIN_RANGE: u16 = 1_000;
const ATTEMPTS: usize = 10_000;

/// One socket with an abstract name for each port that this process has returned. The kernel removes the name when the process ends.
static CLAIMS: Mutex<Vec<UnixDatagram>> = Mutex::new(Vec::new());

/// `N` different ports that are free now. A program that does not use this function may still take one before it is used: who starts a
/// server on one tries again with others when it ends at once.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let end = fs::read_to_string(KERNELS).ok().and_then(|text| text.split_whitespace().next()?.parse().ok());
    let end: u16 = end.unwrap_or(KERNELS_LOWEST);
    ensure!(end >= LOWEST + MIN_RANGE, "{KERNELS} begins at {end}: set it to begin at {KERNELS_LOWEST}, as is the default");
    let mut ports = [0; N];
    for port in &mut ports {
        *port = (0..ATTEMPTS)
            .map(|_| rand::random_range(LOWEST..end))
            .find(|port| claim(*port))
            .with_context(|| format!("found no free port from {LOWEST} to {end}; end programs that listen there"))?;
    }
    Ok(ports)
}

/// `false`: another process uses it or will.
fn claim(port: u16) -> bool {
    let name = SocketAddr::from_abstract_name(format!("local-parts port {port}"));
    let Some(claim) = name.ok().and_then(|name| UnixDatagram::bind_addr(&name).ok()) else { return false };
    let is_free =
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok();
    if is_free {
        CLAIMS.lock().unwrap_or_else(PoisonError::into_inner).push(claim);
    }
    is_free
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Without the claims, 600 of some 22,000 ports contain the same port twice almost surely.
    #[test]
    fn no_port_is_returned_twice() {
        let ports: Vec<u16> = (0..20).flat_map(|_| free_ports::<30>().unwrap()).collect();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len());
    }

    #[test]
    fn a_port_of_a_listening_server_is_not_returned() {
        let [port] = free_ports::<1>().unwrap();
        let _server = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        CLAIMS.lock().unwrap().retain(|claim| {
            claim.local_addr().unwrap().as_abstract_name() != Some(format!("local-parts port {port}").as_bytes())
        });
        assert!(!claim(port));
    }
}
