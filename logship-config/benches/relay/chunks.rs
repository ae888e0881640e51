//! This module builds chunks as Fluent Bit sends them: lines of the exchange with the fields of the pipeline, ids, gzip.

use std::{fmt::Write as _, io::Write as _};

use anyhow::Result;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

/// Documents of one chunk.
pub const DOCUMENTS: usize = 3_000;
pub const STREAM: &str = "logs-exchange.app-default";

/// Returns `count` different chunks, compressed as by Fluent Bit (zlib's level 6).
pub fn make(count: usize) -> Result<Vec<Bytes>> {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    (0..count).map(|_| gzip(&chunk(&mut chance, DOCUMENTS))).collect()
}

/// Returns `count` chunks of `lines` documents each.
pub fn small(count: usize, lines: usize) -> Result<Vec<Bytes>> {
    let mut chance = Chance(0x2545_f491_4f6c_dd1d);
    (0..count).map(|_| gzip(&chunk(&mut chance, lines))).collect()
}

fn gzip(plain: &str) -> Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(plain.as_bytes())?;
    Ok(encoder.finish()?.into())
}

fn chunk(chance: &mut Chance, documents: usize) -> String {
    let mut text = String::new();
    for number in 0..documents {
        let id = chance.hex(32);
        let (second, millisecond) = (number / 100 % 60, number % 1_000);
        let message = match chance.below(4) {
            0 => format!("order {} of account {} is accepted", chance.below(1 << 40), chance.below(100_000)),
            1 => format!("trade {} at {}.{:02}", chance.below(1 << 40), chance.below(70_000), chance.below(100)),
            2 => "market data was loaded again: the tables have caught up with the state".to_owned(),
            _ => format!("took a snapshot of {} events in {} ms", chance.below(1 << 30), chance.below(5_000)),
        };
        // Writing into a text cannot fail.
        let _ = writeln!(text, "{{\"create\":{{\"_index\":\"{STREAM}\",\"_id\":\"{id}\"}}}}");
        let _ = writeln!(
            text,
            "{{\"@timestamp\":\"2026-11-27T09:14:{second:02}.{millisecond:03}Z\",\"time\":\"2026-11-27T09:14:{second:02}.{:09}Z\",\
             \"stream\":\"stdout\",\"log.file.path\":\"/var/log/containers/exchange-{}_trading_main-{}.log\",\"log.offset\":{},\
             \"log.level\":\"info\",\"message\":\"{message}\",\"log.logger\":\"exchange::engine\",\"event.duration\":{},\
             \"trace.id\":\"{}\",\"span.id\":\"{}\",\"service.name\":\"exchange\",\"service.version\":\"0.1.0\",\
             \"process.thread.name\":\"tokio-runtime-worker\",\"kubernetes\":{{\"pod_name\":\"exchange-{}\",\"namespace_name\":\"trading\",\
             \"container_name\":\"main\",\"host\":\"node-1\",\"labels\":{{\"app.kubernetes.io/name\":\"exchange\"}}}}}}",
            chance.below(1_000_000_000),
            chance.below(3),
            "c0ffee12".repeat(8),
            number * 400,
            chance.below(10_000_000),
            chance.hex(32),
            chance.hex(16),
            chance.below(3),
        );
    }
    text
}

/// Marsaglia's xorshift64: the chunks are equal on every machine.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }

    fn hex(&mut self, digits: usize) -> String {
        let text: String = std::iter::repeat_with(|| format!("{:016x}", self.next())).take(digits.div_ceil(16)).collect();
        text[..digits].to_owned()
    }
}
