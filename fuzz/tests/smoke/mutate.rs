//! Inputs made of other inputs.

/// Most inputs that others are made of.
const MAX_POOL: usize = 256;
/// Longest input that is made.
const MAX_LEN: usize = 8192;
/// Numbers at which readers tend to trip.
const TRICKY: [u8; 12] = [0, 1, 2, 4, 16, 32, 63, 64, 127, 128, 192, 255];

/// Makes the same inputs of the same seed and corpus every time.
#[derive(Debug)]
pub(crate) struct Mutator {
    state: u64,
    pool: Vec<Vec<u8>>,
}

impl Mutator {
    pub(crate) fn new(seed: u64, pool: Vec<Vec<u8>>) -> Self {
        Self { state: seed, pool }
    }

    /// An input that got far: others are made of it from now on.
    pub(crate) fn keep(&mut self, bytes: Vec<u8>) {
        if self.pool.len() < MAX_POOL {
            self.pool.push(bytes);
        } else {
            let at = self.below(MAX_POOL);
            self.pool[at] = bytes;
        }
    }

    /// One of the pool, changed in one to four places.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let mut bytes = self.one();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes);
        }
        bytes.truncate(MAX_LEN);
        bytes
    }

    fn one(&mut self) -> Vec<u8> {
        let at = self.below(self.pool.len());
        self.pool.get(at).cloned().unwrap_or_default()
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        let until = (at + 1 + self.below(32)).min(bytes.len());
        match self.below(9) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at.min(until)..until)),
            2 => {
                let part = bytes.get(at..until).unwrap_or_default().to_vec();
                bytes.splice(at..at, part);
            }
            3 => {
                let other = self.one();
                let from = self.below(other.len());
                let part = other.get(from..).unwrap_or_default().to_vec();
                bytes.splice(at.., part);
            }
            4 => {
                let value = self.byte();
                let many = self.below(40);
                bytes.splice(at..at, vec![value; many]);
            }
            5 => self.set(bytes, at, |old, _| old.wrapping_add(1)),
            6 => self.set(bytes, at, |old, _| old.wrapping_sub(1)),
            7 => {
                let bit = self.below(8);
                self.set(bytes, at, |old, _| old ^ 1 << bit);
            }
            _ => self.set(bytes, at, |_, new| new),
        }
    }

    fn set(&mut self, bytes: &mut [u8], at: usize, new: impl Fn(u8, u8) -> u8) {
        let value = self.byte();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = new(*byte, value);
        }
    }

    fn byte(&mut self) -> u8 {
        let any = self.next_u64().to_be_bytes()[0];
        if self.below(2) == 0 { any } else { TRICKY[self.below(TRICKY.len())] }
    }

    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).unwrap();
        usize::try_from(self.next_u64() % limit).unwrap()
    }

    /// SplitMix64.
    fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
