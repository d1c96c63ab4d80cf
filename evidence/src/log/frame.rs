//! Frames: how one record lies in a segment. Bytes in, bytes out; must never touch a file or guess at damaged bytes.
//!
//! `length u32 | crc32 u32 | sequence u64 | payload`, little-endian. `length` is the payload's; the CRC-32 (IEEE)
//! covers sequence and payload. What a payload says is not known here (`entry`).

use crate::error::Damage;

/// Bytes of `length`, `crc32` and `sequence`.
pub(crate) const FRAME_HEADER_BYTES: usize = 16;

/// Largest payload. A statement's text is capped at 1 MB upstream of us; escapes may grow it six times. An append
/// beyond it is refused, a length beyond it in a segment is damage.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One frame, decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// Its dense sequence.
    pub(crate) sequence: u64,
    /// The record's bytes.
    pub(crate) payload: &'a [u8],
    /// Bytes the whole frame takes.
    pub(crate) bytes: usize,
}

/// Leaves room for a frame's header; the payload is appended behind it. Gives where the frame begins.
pub(crate) fn begin(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
    start
}

/// Fills in the header of a frame that [`begin`] began. The caller has checked that its payload is within [`PAYLOAD_BYTES_MAX`],
/// which fits a u32.
pub(crate) fn finish(frame: &mut [u8], sequence: u64) {
    let Some((lengths, checked)) = frame.split_first_chunk_mut::<8>() else {
        return;
    };
    let Some((sequence_bytes, payload)) = checked.split_first_chunk_mut::<8>() else {
        return;
    };
    *sequence_bytes = sequence.to_le_bytes();
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let checksum = crc32fast::hash(checked);
    let (length_bytes, checksum_bytes) = lengths.split_at_mut(4);
    length_bytes.copy_from_slice(&length.to_le_bytes());
    checksum_bytes.copy_from_slice(&checksum.to_le_bytes());
}

/// Decodes the frame at the start of `bytes`.
pub(crate) fn decode(bytes: &[u8]) -> Result<Frame<'_>, Damage> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or(Damage::FrameShort)?;
    let (crc, rest) = rest.split_first_chunk::<4>().ok_or(Damage::FrameShort)?;
    let (sequence, behind) = rest.split_first_chunk::<8>().ok_or(Damage::FrameShort)?;
    let length = u32::from_le_bytes(*length);
    let payload_bytes = length as usize;
    if payload_bytes > PAYLOAD_BYTES_MAX {
        return Err(Damage::FrameLength { length });
    }
    let payload = behind.get(..payload_bytes).ok_or(Damage::FrameShort)?;
    let checked = rest.get(..8 + payload_bytes).unwrap_or_default();
    if crc32fast::hash(checked) != u32::from_le_bytes(*crc) {
        return Err(Damage::FrameChecksum);
    }
    Ok(Frame {
        sequence: u64::from_le_bytes(*sequence),
        payload,
        bytes: FRAME_HEADER_BYTES + payload_bytes,
    })
}

/// Whether a whole frame of a later sequence begins anywhere in `bytes`: then what lies before it is damage in the
/// middle, not a torn tail. Bounded by the segment's size; the sequence is tested before any checksum is computed.
pub(crate) fn later_frame_follows(
    bytes: &[u8],
    sequence_expected: u64,
    sequences_max: u64,
) -> bool {
    let later =
        sequence_expected.saturating_add(1)..=sequence_expected.saturating_add(sequences_max);
    (1..bytes.len()).any(|start| {
        let candidate = bytes.get(start..).unwrap_or_default();
        let sequence = candidate
            .get(8..FRAME_HEADER_BYTES)
            .and_then(|b| b.first_chunk::<8>());
        sequence.is_some_and(|s| later.contains(&u64::from_le_bytes(*s)))
            && decode(candidate).is_ok()
    })
}

/// A whole frame.
#[cfg(test)]
pub(crate) fn encode(sequence: u64, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let _ = begin(&mut frame);
    frame.extend_from_slice(payload);
    finish(&mut frame, sequence);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip_and_truncation_at_every_byte(sequence: u64, payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = encode(sequence, &payload);
            prop_assert_eq!(decode(&bytes), Ok(Frame { sequence, payload: &payload, bytes: bytes.len() }));
            for end in 0..bytes.len() {
                prop_assert_eq!(decode(&bytes[..end]), Err(Damage::FrameShort));
            }
        }

        #[test]
        fn every_flipped_bit_is_seen(sequence: u64, payload in proptest::collection::vec(any::<u8>(), 0..60)) {
            let bytes = encode(sequence, &payload);
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                prop_assert!(decode(&flipped).is_err(), "bit {} went unseen", bit);
            }
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode(&bytes);
            let _ = later_frame_follows(&bytes, 0, u64::MAX);
        }
    }

    #[test]
    fn a_later_frame_is_found_behind_garbage() {
        let mut bytes = vec![0xff; 33];
        bytes.extend(encode(6, b"later"));
        assert!(later_frame_follows(&bytes, 5, 100));
        assert!(
            !later_frame_follows(&bytes, 6, 100),
            "the same sequence is not later"
        );
        assert!(
            !later_frame_follows(&bytes[..40], 5, 100),
            "half a frame is no frame"
        );
    }
}
