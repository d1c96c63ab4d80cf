//! Parquet's hybrid of run lengths and packed bits: how levels and places in a dictionary are written.
//!
//! # Source
//! The Parquet format, "Run Length Encoding / Bit-Packing Hybrid (RLE = 3)".

/// Values that are packed together.
const GROUP: usize = 8;
/// So many bits have eight values at most: places in a dictionary are bounded far below.
const WIDTH_MAX: u8 = 16;

/// Bits of numbers up to `greatest`.
pub(super) fn width(greatest: u32) -> u8 {
    (u32::BITS - greatest.leading_zeros()) as u8
}

/// Appends the values, each below `2^width`. A reader knows how many there are.
pub(super) fn encode(values: &[u32], width: u8, out: &mut Vec<u8>) {
    assert!(
        width <= WIDTH_MAX,
        "a dictionary has fewer values than need {width} bits"
    );
    let mut packed = 0;
    let mut at = 0;
    while let Some(first) = values.get(at) {
        let rest = values.get(at..).unwrap_or_default();
        let run = rest.iter().take_while(|value| *value == first).count();
        // Packed values come in whole groups, but for the last: a run gives what the group before it lacks.
        let lacking = (GROUP - (at - packed) % GROUP) % GROUP;
        if run < lacking + GROUP {
            at += run;
            continue;
        }
        pack(
            values.get(packed..at + lacking).unwrap_or_default(),
            width,
            out,
        );
        self::run(*first, run - lacking, width, out);
        at += run;
        packed = at;
    }
    pack(values.get(packed..).unwrap_or_default(), width, out);
}

/// Appends one value so many times.
pub(super) fn run(value: u32, count: usize, width: u8, out: &mut Vec<u8>) {
    write_number((count as u64) << 1, out);
    let bytes = usize::from(width).div_ceil(8);
    out.extend_from_slice(value.to_le_bytes().get(..bytes).unwrap_or_default());
}

/// Appends values bit by bit, the last group filled up with zeros.
fn pack(values: &[u32], width: u8, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    write_number((values.len().div_ceil(GROUP) as u64) << 1 | 1, out);
    for group in values.chunks(GROUP) {
        let mut bits = 0_u128;
        for (value, place) in group.iter().zip(0_u32..) {
            bits |= u128::from(*value) << (place * u32::from(width));
        }
        let bytes = bits.to_le_bytes();
        out.extend_from_slice(bytes.get(..usize::from(width)).unwrap_or_default());
    }
}

/// Appends a number as LEB128.
pub(super) fn write_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads as the format says.
    fn decode(mut bytes: &[u8], width: u8, count: usize) -> Vec<u32> {
        let mut values = Vec::new();
        while values.len() < count {
            let mut header = 0_usize;
            for shift in (0..).step_by(7) {
                let (byte, rest) = bytes.split_first().unwrap();
                bytes = rest;
                header |= usize::from(byte & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            if header & 1 == 0 {
                let (value, rest) = bytes.split_at(usize::from(width).div_ceil(8));
                bytes = rest;
                let value = value
                    .iter()
                    .rev()
                    .fold(0, |all, byte| all << 8 | u32::from(*byte));
                assert!(header > 0, "a run of nothing");
                values.extend(std::iter::repeat_n(value, header >> 1));
                assert!(values.len() <= count);
            } else {
                let (packed, rest) = bytes.split_at((header >> 1) * usize::from(width));
                bytes = rest;
                for place in 0..(header >> 1) * GROUP {
                    let bit = |bit: usize| {
                        let at = place * usize::from(width) + bit;
                        u32::from(packed[at / 8] >> (at % 8) & 1) << bit
                    };
                    values.push((0..usize::from(width)).map(bit).sum());
                }
                // Only the last group may be filled up.
                assert!(
                    values.len() < count + GROUP && (values.len() <= count || bytes.is_empty())
                );
                values.truncate(count);
            }
        }
        assert!(bytes.is_empty());
        values
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_read(width in 0..=WIDTH_MAX, runs in proptest::collection::vec((any::<u32>(), 1..40_usize), 0..30)) {
            let mask = (1_u32 << width) - 1;
            let values: Vec<u32> = runs.iter().flat_map(|(value, count)| std::iter::repeat_n(value & mask, *count)).collect();
            let mut out = Vec::new();
            encode(&values, width, &mut out);
            prop_assert_eq!(decode(&out, width, values.len()), values);
        }
    }

    #[test]
    fn widths_and_runs_are_the_least() {
        assert_eq!([0, 1, 2, 3, 4, 255, 256].map(width), [0, 1, 2, 2, 3, 8, 9]);
        let mut out = Vec::new();
        encode(&[5; 10_000], 3, &mut out);
        assert_eq!(out, [0xa0, 0x9c, 1, 5]);
    }
}
