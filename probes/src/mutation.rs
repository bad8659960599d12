//! Inputs made of seeds, the same ones for the same number: changed here and there, cut, doubled, and joined.

/// Bytes and texts that parsers treat in a way of their own.
const TELLING: &[&[u8]] = &[
    b"\0",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b",",
    b";",
    b":",
    b"=",
    b".",
    b"..",
    b"/",
    b"//",
    b"/../",
    b"%2f",
    b"%2e",
    b"%00",
    b"%",
    b"?",
    b"#",
    b"\\",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b"null",
    b"-1",
    b"1e400",
    b"18446744073709551616",
    b"\xff",
    b"\xc3\xa9",
    b"\xc0\xae",
    b"\x7f",
    b"Bearer ",
    b"Token ",
    b"x-api-key: ",
    b"authorization: ",
    b"tk_live_",
    b"http://",
    b"https://",
    b":443",
    b"acme",
    b"globex",
    b"\x80\0\0\0",
    b"\xff\xff\xff\xff",
];

const LONGEST: usize = 4096;

/// Makes inputs, one after the other.
#[derive(Debug)]
pub struct Mutation {
    seeds: Vec<Vec<u8>>,
    state: u64,
}

impl Mutation {
    /// Inputs from these seeds.
    #[must_use]
    pub fn of(seeds: Vec<Vec<u8>>, number: u64) -> Self {
        Self { seeds, state: number }
    }

    /// The next input: one in sixteen is noise, the others are seeds with a few changes.
    pub fn input(&mut self) -> Vec<u8> {
        if self.seeds.is_empty() || self.below(16) == 0 {
            let length = self.below(64);
            return (0..length).map(|_| self.byte()).collect();
        }
        let mut input = self.seed();
        for _ in 0..1 + self.below(6) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        let end = at + self.below((input.len() - at).min(32) + 1);
        match self.below(8) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => {
                let copy = input[at..end].to_vec();
                input.splice(at..at, copy);
            }
            3 | 4 => {
                let telling = TELLING[self.below(TELLING.len())];
                let replaced = if self.below(2) == 0 { at } else { end };
                input.splice(at..replaced, telling.iter().copied());
            }
            5 => {
                let other = self.seed();
                input.truncate(at);
                input.extend(&other[at.min(other.len())..]);
            }
            _ => {
                let byte = if self.below(2) == 0 { 1 << self.below(8) } else { self.byte() };
                if let Some(place) = input.get_mut(at) {
                    *place ^= byte;
                }
            }
        }
    }

    fn seed(&mut self) -> Vec<u8> {
        let number = self.below(self.seeds.len());
        self.seeds[number].clone()
    }

    fn byte(&mut self) -> u8 {
        self.number() as u8
    }

    fn below(&mut self, end: usize) -> usize {
        (self.number() % end as u64) as usize
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
    fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
