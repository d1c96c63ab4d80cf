//! Ranges and multiranges: bounds masked, never an invalid range.

use proptest::prelude::*;

use super::*;

const INT4RANGE: u32 = 3904;
const NUMRANGE: u32 = 3906;
const TSRANGE: u32 = 3908;
const TSTZRANGE: u32 = 3910;
const DATERANGE: u32 = 3912;
const INT8RANGE: u32 = 3926;
const INT4MULTIRANGE: u32 = 4451;
const NUMMULTIRANGE: u32 = 4532;
const DATEMULTIRANGE: u32 = 4535;

#[test]
fn bounds_are_masked() {
    let thousands = round("1000");
    for (type_oid, value, expected) in [
        (INT4RANGE, "[1234,5678)", "[1000,5000)"),
        (INT4RANGE, "[-5678,-1234)", "[-5000,-1000)"),
        (INT4RANGE, "[-5,5678)", "[0,5000)"),
        (INT4RANGE, "[1234,)", "[1000,)"),
        (INT4RANGE, "(,5678)", "(,5000)"),
        (INT4RANGE, "(,)", "(,)"),
        (
            INT8RANGE,
            "[9876543210123,9876543219999)",
            "[9876543210000,9876543219000)",
        ),
        (NUMRANGE, "(1234.5,5678.9]", "(1000,5000]"),
        (NUMRANGE, "[1234.5,1999]", "[1000,1000]"),
        // Nothing would lie between the bounds.
        (NUMRANGE, "[1234.5,1999)", "NULL"),
        (NUMRANGE, "(1234.5,1999)", "NULL"),
        (INT4RANGE, "[1234,1235)", "NULL"),
        (INT4RANGE, "[-5,5)", "NULL"),
        // Particular values.
        (INT4RANGE, "empty", "NULL"),
        (NUMRANGE, "[1234,NaN]", "NULL"),
        (NUMRANGE, "[1234,Infinity]", "NULL"),
        (INT4MULTIRANGE, "{[1234,5678)}", "{[1000,5000)}"),
        (
            INT4MULTIRANGE,
            "{(,1234),[5678,7890),[9999,)}",
            "{(,1000),[5000,7000),[9000,)}",
        ),
        (INT4MULTIRANGE, "{[12,34),[56,78)}", "NULL"),
        // They would touch.
        (INT4MULTIRANGE, "{[1234,5678),[5700,7890)}", "NULL"),
        (NUMMULTIRANGE, "{[1.5,2345],(2500,9000)}", "NULL"),
        (INT4MULTIRANGE, "{}", "NULL"),
    ] {
        check(&thousands, type_oid, value, expected);
    }
    for (type_oid, value, expected) in [
        (
            DATERANGE,
            "[1815-12-10,1852-11-27)",
            "[1815-12-01,1852-11-01)",
        ),
        (DATERANGE, "[1815-12-10,1815-12-12)", "NULL"),
        (DATERANGE, "[1815-12-10,infinity)", "NULL"),
        (
            TSRANGE,
            "[\"1815-12-10 13:14:15\",\"1852-11-27 10:00:00\")",
            "[\"1815-12-01 00:00:00\",\"1852-11-01 00:00:00\")",
        ),
        (
            TSTZRANGE,
            "(\"1815-12-10 13:14:15+01\",)",
            "(\"1815-12-01 00:00:00+00\",)",
        ),
        (
            DATEMULTIRANGE,
            "{[1815-12-10,1816-01-03),[1816-02-02,1852-11-27)}",
            "{[1815-12-01,1816-01-01),[1816-02-01,1852-11-01)}",
        ),
    ] {
        check(&truncate(DateUnit::Month), type_oid, value, expected);
    }
}

#[test]
fn other_transforms_leave_nothing() {
    for transform in every_transform() {
        for (type_oid, value) in [
            (INT4RANGE, "[1234,567890)"),
            (INT4MULTIRANGE, "{[1234,567890)}"),
            (DATERANGE, "[1815-12-10,1852-11-27)"),
        ] {
            let masked = run(&transform, value.as_bytes(), type_oid, Format::Text);
            let is_carried = carries(&transform, type_oid) == Carries::Yes
                && !matches!(transform, Transform::Redact | Transform::Null);
            assert_eq!(masked.is_some(), is_carried, "{transform} on {value}");
        }
    }
    assert_eq!(carries(&round("1000"), INT4RANGE), Carries::Yes);
    assert_eq!(
        carries(&truncate(DateUnit::Year), DATEMULTIRANGE),
        Carries::Yes
    );
    for type_oid in [INT4RANGE, INT4MULTIRANGE] {
        let carried = carries(&Transform::Tokenize, type_oid);
        assert!(matches!(carried, Carries::Becomes(Instead::Null, _)));
    }
}

#[test]
fn what_is_no_range_becomes_null() {
    for value in [
        "",
        "[",
        "[1",
        "[1,",
        "[1234,5678",
        "[1234,5678) ",
        "[1234,5678)x",
        "[1234;5678)",
        "[1234,5678,9)",
        "{1234,5678}",
        "[,5678)",
        "[1234,]",
        "[\"1234\"\"\",5678)",
        "[\"12\\\\34\",5678)",
        "[\"\",5678)",
        "[ 1234,5678)",
        "[x,5678)",
        "Empty",
    ] {
        check(&round("1000"), INT4RANGE, value, "NULL");
        check(
            &round("1000"),
            INT4MULTIRANGE,
            &format!("{{{value}}}"),
            "NULL",
        );
    }
    for value in [
        "{[1,2000)",
        "[1,2000)",
        "{[1,2000),}",
        "{[1,2000)[3000,4000)}",
        "{,[1,2000)}",
    ] {
        check(&round("1000"), INT4MULTIRANGE, value, "NULL");
    }
}

/// A range of integers in binary format.
fn binary(flags: u8, bounds: &[i32]) -> Vec<u8> {
    let mut out = vec![flags];
    for bound in bounds {
        out.extend([&4_i32.to_be_bytes()[..], &bound.to_be_bytes()].concat());
    }
    out
}

fn several(ranges: &[Vec<u8>]) -> Vec<u8> {
    let mut out = u32::try_from(ranges.len()).unwrap().to_be_bytes().to_vec();
    for range in ranges {
        out.extend(u32::try_from(range.len()).unwrap().to_be_bytes());
        out.extend(range);
    }
    out
}

#[test]
fn the_binary_format_too() {
    let masked = |value: &[u8], type_oid| run(&round("1000"), value, type_oid, Format::Binary);
    for (flags, bounds, expected) in [
        (0x02, &[1234, 5678][..], Some(&[1000, 5000][..])),
        (0x02 | 0x10, &[1234], Some(&[1000])),
        (0x08, &[5678], Some(&[5000])),
        (0x08 | 0x10, &[], Some(&[])),
        (0x02 | 0x04, &[1234, 1999], Some(&[1000, 1000])),
        (0x02, &[1234, 1999], None),
        // Empty; a missing bound that is inclusive; an unknown flag; more and fewer bounds than there are.
        (0x01, &[], None),
        (0x02 | 0x08, &[5678], None),
        (0x80 | 0x02, &[1234, 5678], None),
        (0x02, &[1234, 5678, 9], None),
        (0x02, &[1234], None),
    ] {
        let expected = expected.map(|bounds| binary(flags, bounds));
        assert_eq!(
            masked(&binary(flags, bounds), INT4RANGE),
            expected,
            "{flags:x} {bounds:?}"
        );
    }
    let whole = binary(0x02, &[1234, 5678]);
    let both = several(&[whole.clone(), binary(0x02, &[7890, 9999])]);
    let expected = several(&[binary(0x02, &[1000, 5000]), binary(0x02, &[7000, 9000])]);
    assert_eq!(masked(&both, INT4MULTIRANGE), Some(expected));
    let touching = several(&[whole.clone(), binary(0x02, &[5700, 9999])]);
    assert_eq!(masked(&touching, INT4MULTIRANGE), None);
    assert_eq!(masked(&several(&[]), INT4MULTIRANGE), None);
    for (value, type_oid) in [(whole, INT4RANGE), (both, INT4MULTIRANGE)] {
        for end in 0..value.len() {
            assert_eq!(masked(&value[..end], type_oid), None, "cut at {end}");
        }
        let longer = [&value[..], b"x"].concat();
        assert_eq!(masked(&longer, type_oid), None);
    }
}

proptest! {
    /// Both formats give the same range, and its bounds are the masked bounds in order.
    #[test]
    fn ranges_are_masked_as_their_bounds(one in any::<i32>(), other in any::<i32>(), step in 2_u32..5_000_000) {
        prop_assume!(one != other);
        let (low, high) = (one.min(other), one.max(other));
        let transform = round(&step.to_string());
        let step = i32::try_from(step).unwrap();
        let (lower, upper) = (low - low % step, high - high % step);
        let text = run(&transform, format!("[{low},{high})").as_bytes(), INT4RANGE, Format::Text);
        let in_binary = run(&transform, &binary(0x02, &[low, high]), INT4RANGE, Format::Binary);
        if lower == upper {
            prop_assert_eq!((text, in_binary), (None, None));
        } else {
            prop_assert!(lower < upper);
            prop_assert_eq!(text, Some(format!("[{lower},{upper})").into_bytes()));
            prop_assert_eq!(in_binary, Some(binary(0x02, &[lower, upper])));
        }
    }

    /// Ranges of a multirange stay apart and in order, or there is none.
    #[test]
    fn several_ranges_stay_apart(bounds in proptest::collection::btree_set(-50_000..50_000_i32, 2..8), step in 2_u32..5_000) {
        let bounds: Vec<i32> = bounds.into_iter().collect();
        let pairs = bounds.chunks_exact(2);
        let texts: Vec<String> = pairs.map(|pair| format!("[{},{})", pair[0], pair[1])).collect();
        let value = format!("{{{}}}", texts.join(","));
        if let Some(masked) = run(&round(&step.to_string()), value.as_bytes(), INT4MULTIRANGE, Format::Text) {
            let masked = String::from_utf8(masked).unwrap();
            let numbers: Vec<i32> = masked
                .split(|byte: char| "{}[),".contains(byte))
                .filter_map(|number| number.parse().ok())
                .collect();
            prop_assert_eq!(numbers.len(), bounds.len() / 2 * 2);
            prop_assert!(numbers.is_sorted_by(|one, next| one < next), "{}", masked);
        }
    }

    #[test]
    fn any_text_gives_a_range(text in "[\\[\\](),\"{}0-9 ]{0,24}") {
        for type_oid in [INT4RANGE, INT4MULTIRANGE] {
            if let Some(masked) = run(&round("3"), text.as_bytes(), type_oid, Format::Text) {
                prop_assert!(run(&round("3"), &masked, type_oid, Format::Text).is_some());
            }
        }
    }
}
