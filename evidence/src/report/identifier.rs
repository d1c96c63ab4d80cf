//! UUIDs that follow from what they name, so that the same report has the same ones.

use sha1::{Digest as _, Sha1};

/// The name space of ours: a random UUID, chosen once.
const NAME_SPACE: [u8; 16] = [
    0x6f, 0x1b, 0x1d, 0x0c, 0x3a, 0x52, 0x4e, 0x0b, 0x9c, 0x4d, 0x5e, 0x7a, 0x21, 0x88, 0xd3, 0x40,
];

/// A UUID of version 5.
///
/// # Source
/// RFC 9562, section 5.5.
pub(super) fn uuid(name: &str) -> String {
    let digest = Sha1::new()
        .chain_update(NAME_SPACE)
        .chain_update(name)
        .finalize();
    let mut bytes = [0_u8; 16];
    for (place, byte) in bytes.iter_mut().zip(digest) {
        *place = byte;
    }
    let number = u128::from_be_bytes(bytes);
    let number = number & !(0xf << 76) | 0x5 << 76;
    let number = number & !(0x3 << 62) | 0x2 << 62;
    let part = |shift: u32, digits: u32| (number >> shift) & ((1 << (digits * 4)) - 1);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        part(96, 8),
        part(80, 4),
        part(64, 4),
        part(48, 4),
        part(0, 12)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_of_python() {
        // str(uuid.uuid5(uuid.UUID("6f1b1d0c-3a52-4e0b-9c4d-5e7a2188d340"), "é"))
        assert_eq!(uuid("é"), "e8f7ce1e-6ef5-5a9d-95ca-eaed816f1e70");
    }
}
