//! This module is the identity of a client in counts: the key of its address. It must not count.
//!
//! - Every map that counts or limits by a client's address has this key. A raw address would let a client choose its key.
//! - An IPv6 client owns its /64, so that is the key.
//! - An IPv4 client has one key in each spelling: itself, mapped (`::ffff:0:0/96`), and behind a NAT64 gateway of the operator
//!   (`64:ff9b::/96`, RFC 6052).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

const IPV6_PREFIX: u128 = !0 << 64;
/// Prefix of IPv4 addresses that a NAT64 gateway translates: the high 96 bits.
const NAT64: u128 = 0x0064_ff9b << 96;
const LOW_32: u128 = 0xffff_ffff;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressKey(IpAddr);

impl AddressKey {
    /// Of clients that share one count because the table is full.
    pub const SHARED: Self = Self(IpAddr::V6(Ipv6Addr::UNSPECIFIED));

    pub fn new(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) if u128::from(address) & !LOW_32 == NAT64 => {
                IpAddr::V4(Ipv4Addr::from((u128::from(address) & LOW_32) as u32))
            }
            IpAddr::V6(address) => IpAddr::V6((u128::from(address) & IPV6_PREFIX).into()),
            address => address,
        })
    }

    /// For the wire: IPv4 as a mapped address.
    pub fn to_bits(self) -> u128 {
        match self.0 {
            IpAddr::V4(address) => address.to_ipv6_mapped().into(),
            IpAddr::V6(address) => address.into(),
        }
    }

    pub fn from_bits(bits: u128) -> Self {
        Self::new(IpAddr::V6(Ipv6Addr::from(bits)))
    }
}

impl fmt::Display for AddressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_one_key_in_every_spelling() {
        let key = |text: &str| AddressKey::new(text.parse().unwrap());
        let same = [
            ("2001:db8:0:7::1", "2001:db8:0:7:ffff:ffff:ffff:ffff"),
            ("203.0.113.7", "::ffff:203.0.113.7"),
            ("203.0.113.7", "64:ff9b::203.0.113.7"),
            ("::ffff:cb00:7107", "203.0.113.7"),
        ];
        for (one, other) in same {
            assert_eq!(key(one), key(other), "{one} {other}");
        }
        let different = [
            ("2001:db8:0:7::1", "2001:db8:0:8::1"),
            ("203.0.113.7", "203.0.113.8"),
            ("64:ff9b::203.0.113.7", "64:ff9b::203.0.113.8"),
            ("64:ff9b:1::203.0.113.7", "203.0.113.7"),
            ("::203.0.113.7", "203.0.113.7"),
        ];
        for (one, other) in different {
            assert_ne!(key(one), key(other), "{one} {other}");
        }
        for text in ["203.0.113.7", "::ffff:203.0.113.7", "2001:db8::9", "::", "64:ff9b::1.2.3.4"] {
            assert_eq!(AddressKey::from_bits(key(text).to_bits()), key(text), "{text}");
        }
        assert_eq!(
            (key("2001:db8::9").to_string(), key("::ffff:1.2.3.4").to_string()),
            ("2001:db8::/64".into(), "1.2.3.4".into())
        );
    }
}
