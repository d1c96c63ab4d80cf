//! That no corruption ever passes for other content.

use proptest::prelude::*;

use super::*;

/// What a corruption does to some bytes.
fn corrupt(bytes: &[u8], changes: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (index, how, value) in changes {
        if bytes.is_empty() {
            break;
        }
        let at = index.index(bytes.len());
        match how % 5 {
            0 => bytes[at] ^= value | 1,
            1 => bytes.insert(at, *value),
            2 => drop(bytes.remove(at)),
            3 => bytes.truncate(at),
            _ => {
                let end = (at + usize::from(*value)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is done to a bundle, packed or unpacked: it is refused, or it is still the same content.
    #[test]
    fn no_corruption_passes_for_other_content(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<u8>()), 1..4),
        unpacked in any::<bool>(),
    ) {
        thread_local! {
            static GOOD: (House, Vec<u8>, String) = {
                let house = House::new();
                let signed = house.signed();
                let digest = verify(&signed, std::slice::from_ref(&house.trusted)).unwrap().digest().0.to_string();
                (house, signed, digest)
            };
        }
        GOOD.with(|(house, signed, digest)| {
            let corrupted = if unpacked {
                gzip(&corrupt(&tar(&entries(signed)), &changes))
            } else {
                corrupt(signed, &changes)
            };
            if let Ok(bundle) = verify(&corrupted, std::slice::from_ref(&house.trusted)) {
                prop_assert_eq!(&*bundle.digest().0, digest);
                prop_assert_eq!(bundle.terms().unwrap().sequence, 7);
            }
            Ok(())
        })?;
    }

    /// Bytes of anybody's are refused, never a panic.
    #[test]
    fn anything_is_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        prop_assert!(Contents::read(&bytes).is_err());
        prop_assert!(Contents::read(&gzip(&bytes)).is_err());
    }
}
