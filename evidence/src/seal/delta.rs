//! Integers as what each is more than the one before: how numbers and times are written, most of which grow by little.
//!
//! # Source
//! The Parquet format, "Delta Encoding (DELTA_BINARY_PACKED = 5)".

use super::hybrid::write_number;

/// Differences of a block, whose least is written once.
const BLOCK: usize = 256;
/// Parts of a block, each with as many bits as its own greatest needs.
const PARTS: usize = 4;
const PART: usize = BLOCK / PARTS;

/// Appends the integers.
pub(super) fn encode(integers: &[i64], out: &mut Vec<u8>) {
    write_number(BLOCK as u64, out);
    write_number(PARTS as u64, out);
    write_number(integers.len() as u64, out);
    let first = integers.first().copied().unwrap_or_default();
    write_number(zigzag(first), out);
    let mut before = first;
    let mut block = [0_i64; BLOCK];
    for next in integers.get(1..).unwrap_or_default().chunks(BLOCK) {
        // Differences wrap around, as a reader's sums do.
        for (difference, integer) in block.iter_mut().zip(next) {
            *difference = integer.wrapping_sub(before);
            before = *integer;
        }
        write_block(block.get(..next.len()).unwrap_or_default(), out);
    }
}

fn write_block(differences: &[i64], out: &mut Vec<u8>) {
    let least = differences.iter().copied().min().unwrap_or_default();
    write_number(zigzag(least), out);
    let above = |difference: &i64| difference.wrapping_sub(least).cast_unsigned();
    let mut widths = [0_u8; PARTS];
    for (width, part) in widths.iter_mut().zip(differences.chunks(PART)) {
        let all = part.iter().map(above).fold(0, |all, one| all | one);
        *width = (u64::BITS - all.leading_zeros()) as u8;
    }
    out.extend_from_slice(&widths);
    for (width, part) in widths.iter().zip(differences.chunks(PART)) {
        pack(part.iter().map(above), *width, out);
    }
}

/// Appends a part's values bit by bit, filled up with zeros.
fn pack(values: impl Iterator<Item = u64>, width: u8, out: &mut Vec<u8>) {
    let end = out.len() + usize::from(width) * PART / 8;
    let (mut bits, mut filled) = (0_u128, 0_u32);
    for value in values {
        bits |= u128::from(value) << filled;
        filled += u32::from(width);
        if filled >= u64::BITS {
            out.extend_from_slice(&(bits as u64).to_le_bytes());
            bits >>= u64::BITS;
            filled -= u64::BITS;
        }
    }
    out.extend_from_slice(&(bits as u64).to_le_bytes());
    out.resize(end, 0);
}

fn zigzag(integer: i64) -> u64 {
    (integer << 1 ^ integer >> 63).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_number(bytes: &mut &[u8]) -> u64 {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let (byte, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        number
    }

    fn read_signed(bytes: &mut &[u8]) -> i64 {
        let number = read_number(bytes);
        (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
    }

    /// Reads as the format says.
    fn decode(mut bytes: &[u8]) -> Vec<i64> {
        let bytes = &mut bytes;
        let (block, parts) = (read_number(bytes) as usize, read_number(bytes) as usize);
        assert!(block.is_multiple_of(128) && (block / parts).is_multiple_of(32));
        let count = read_number(bytes) as usize;
        let mut integers = vec![read_signed(bytes)];
        while integers.len() < count {
            let least = read_signed(bytes);
            let (widths, rest) = bytes.split_at(parts);
            *bytes = rest;
            for width in widths {
                if integers.len() >= count {
                    break;
                }
                let (packed, rest) = bytes.split_at(usize::from(*width) * (block / parts) / 8);
                *bytes = rest;
                for place in 0..block / parts {
                    let bit = |bit: usize| {
                        let at = place * usize::from(*width) + bit;
                        u64::from(packed[at / 8] >> (at % 8) & 1) << bit
                    };
                    let above: u64 = (0..usize::from(*width)).map(bit).sum();
                    let difference = least.wrapping_add(above.cast_signed());
                    integers.push(integers.last().unwrap().wrapping_add(difference));
                }
            }
        }
        assert!(bytes.is_empty());
        integers.truncate(count);
        integers
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_read(
            integers in proptest::collection::vec(prop_oneof![any::<i64>(), 0..300_i64, Just(i64::MIN), Just(i64::MAX)], 0..600),
        ) {
            let mut out = Vec::new();
            encode(&integers, &mut out);
            prop_assert_eq!(decode(&out), integers);
        }
    }

    #[test]
    fn what_grows_evenly_takes_five_bytes_a_block() {
        let integers: Vec<i64> = (0..=1280).map(|number| 7 + number * 3).collect();
        let mut out = Vec::new();
        encode(&integers, &mut out);
        assert_eq!(out.len(), 6 + 5 * 5);
        assert_eq!(decode(&out), integers);
    }
}
