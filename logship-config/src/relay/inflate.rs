//! This module decompresses a body within a size limit.

use std::io::Read;

use flate2::bufread::MultiGzDecoder;

/// The end of a gzip member contains its size, modulo 2³² (RFC 1952, section 2.3.1).
const SIZE_BYTES: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    #[error("the body inflates to more than LOGSHIP_RELAY_BODY_LIMIT ({limit} bytes); send smaller chunks, or raise it")]
    TooLarge { limit: usize },
    #[error("the body is not gzip ({0}); send the complete body in the format named by Content-Encoding")]
    Broken(String),
}

/// Returns the size stated at the end of a gzip body. It must not be trusted.
pub fn size_hint(gzip: &[u8]) -> usize {
    gzip.last_chunk::<SIZE_BYTES>().map_or(0, |size| u32::from_le_bytes(*size) as usize)
}

/// # Errors
/// Returns an error if it is not gzip, is cut short, or inflates to more than `limit` bytes.
pub fn inflate(gzip: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    // Only a hint: the size is neither trusted nor necessarily the total.
    let mut plain = Vec::with_capacity(size_hint(gzip).min(limit) + 1);
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = MultiGzDecoder::new(gzip).take(bound).read_to_end(&mut plain);
    read.map_err(|error| InflateError::Broken(error.to_string()))?;
    if plain.len() > limit { Err(InflateError::TooLarge { limit }) } else { Ok(plain) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn inflates_one_member_or_several_up_to_the_limit() {
        let plain = vec![b'x'; 10_000];
        assert_eq!(inflate(&gzip(&plain), 10_000).unwrap(), plain);
        assert_eq!(inflate(&[gzip(b"one "), gzip(b"two")].concat(), 100).unwrap(), b"one two");
        assert_eq!(inflate(&gzip(&plain), 9_999), Err(InflateError::TooLarge { limit: 9_999 }));
    }

    #[test]
    fn a_gzip_bomb_is_refused_at_the_limit() {
        // 64 MiB of zeros in 64 KiB.
        let bomb = gzip(&vec![0; 64 << 20]);
        assert_eq!(inflate(&bomb, 1 << 20), Err(InflateError::TooLarge { limit: 1 << 20 }));
    }

    #[test]
    fn a_body_that_is_not_gzip_or_cut_is_broken() {
        let whole = gzip(b"a document");
        let mut damaged = whole.clone();
        // The checksum is before the size.
        let checksum = damaged.len() - 2 * SIZE_BYTES;
        damaged[checksum] ^= 1;
        for broken in [&b""[..], b"plain", &whole[..whole.len() - 1], &whole[..12], &damaged] {
            assert!(matches!(inflate(broken, 1_000), Err(InflateError::Broken(_))), "{broken:?}");
        }
    }
}
