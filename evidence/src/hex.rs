//! Lower-case hex of 32 bytes, both ways, without an allocation.

/// Digits of a digest in hex.
const DIGITS: usize = 64;

/// 32 bytes in lower-case hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HexDigest([u8; DIGITS]);

impl HexDigest {
    /// The digits.
    pub(crate) fn as_str(&self) -> &str {
        // The digits are ASCII: this can't fail.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The digits, as ASCII.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<[u8; 32]> for HexDigest {
    fn from(bytes: [u8; 32]) -> Self {
        let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
        let mut digits = [0; DIGITS];
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
        Self(digits)
    }
}

/// 32 bytes from 64 lower-case hex digits.
pub(crate) fn parse(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let digits: &[u8; DIGITS] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 32];
    for (byte, [high, low]) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_and_nothing_but_the_one_spelling() {
        let bytes: [u8; 32] = std::array::from_fn(|place| (place as u8).wrapping_mul(37));
        let digits = HexDigest::from(bytes);
        assert!(digits.as_str().starts_with("00254a6f94b9de03"));
        assert_eq!(parse(digits.as_str()), Some(bytes));
        for other in [
            digits.as_str().to_uppercase(),
            digits.as_str()[1..].to_owned(),
            format!("{}0", digits.as_str()),
            format!("{}é", &digits.as_str()[2..]),
            String::new(),
        ] {
            assert_eq!(parse(&other), None, "{other}");
        }
    }
}
