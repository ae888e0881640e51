//! This module provides a fixed number of reusable buffers for parts. A caller waits for a free one. A slow store therefore slows
//! the dump down instead of filling the memory.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use bytes::Bytes;

/// Buffers of one size. Clones share them.
#[derive(Debug, Clone)]
pub struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    part_bytes: usize,
    free: Mutex<Free>,
    given_back: Condvar,
}

#[derive(Debug)]
struct Free {
    buffers: Vec<Vec<u8>>,
    /// Number of buffers not allocated yet.
    unmade: u32,
    closed: bool,
}

/// A buffer that is being filled. Dropping it, or the [`Bytes`] made from it, returns it to the pool.
#[derive(Debug)]
pub struct Part {
    bytes: Vec<u8>,
    pool: Pool,
}

impl Pool {
    pub fn new(part_bytes: usize, parts: u32) -> Self {
        let free = Free { buffers: Vec::new(), unmade: parts, closed: false };
        Self(Arc::new(Inner { part_bytes, free: Mutex::new(free), given_back: Condvar::new() }))
    }

    pub fn part_bytes(&self) -> usize {
        self.0.part_bytes
    }

    /// An empty buffer. Blocks the thread until one is free. Returns `None` after the pool is closed.
    pub fn take(&self) -> Option<Part> {
        let mut free = self.0.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if free.closed {
                return None;
            }
            let bytes = free.buffers.pop().or_else(|| {
                free.unmade = free.unmade.checked_sub(1)?;
                Some(Vec::with_capacity(self.0.part_bytes))
            });
            if let Some(bytes) = bytes {
                return Some(Part { bytes, pool: self.clone() });
            }
            free = self.0.given_back.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends all waits, because the attempt is over.
    pub fn close(&self) {
        self.0.free.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.0.given_back.notify_all();
    }
}

impl Part {
    /// Copies as many bytes as fit, and returns their number.
    pub fn fill(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.pool.part_bytes() - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..taken]);
        taken
    }

    pub fn is_full(&self) -> bool {
        self.bytes.len() == self.pool.part_bytes()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        self.pool.0.free.lock().unwrap_or_else(PoisonError::into_inner).buffers.push(bytes);
        self.pool.0.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_waits_for_a_buffer_and_reuses_it() {
        let pool = Pool::new(4, 2);
        let (mut first, second) = (pool.take().unwrap(), pool.take().unwrap());
        assert_eq!((first.fill(b"abcdef"), first.is_full(), second.is_empty()), (4, true, true));
        let waiting = std::thread::spawn({
            let pool = pool.clone();
            move || pool.take().map(|part| part.is_empty())
        });
        let bytes = first.freeze();
        assert_eq!(&bytes[..], b"abcd");
        assert!(!waiting.is_finished());
        drop(bytes);
        assert_eq!(waiting.join().unwrap(), Some(true));
        drop(second);
    }

    #[test]
    fn a_closed_pool_ends_all_waits() {
        let pool = Pool::new(4, 2);
        let _taken = (pool.take(), pool.take());
        let waiting = std::thread::spawn({
            let pool = pool.clone();
            move || pool.take().is_none()
        });
        pool.close();
        assert!(waiting.join().unwrap());
    }
}
