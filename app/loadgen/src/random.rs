//! This module generates numbers from a seed. It must not generate a secret.
//!
//! The same seed must produce the same workload on every machine and with every release of every library. Therefore this module
//! does not use a random crate.

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `bound - 1`; a `bound` of 0 counts as 1.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.next() as u128 * if bound == 0 { 1 } else { bound } as u128) >> 64) as u64
    }

    /// `low` to `high`, both inclusive.
    pub const fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low) as u64 + 1) as i64
    }

    /// True in `percent` of 100 cases.
    pub const fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A separate stream of numbers for one client.
    pub const fn fork(&mut self) -> Self {
        Self(self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_and_bounds() {
        // The reference implementation's first outputs for seed 1234567.
        let mut random = Random::new(1_234_567);
        assert_eq!((random.next(), random.next()), (6_457_827_717_110_365_317, 3_203_168_211_198_807_973));
        let mut seen = [false; 5];
        for _ in 0..200 {
            seen[(random.between(-2, 2) + 2) as usize] = true;
        }
        assert_eq!(seen, [true; 5]);
    }
}
