//! Properties of masks over every transform, type and format.

use proptest::prelude::*;

use super::*;

/// The bytes of a type's binary format, where they are always as many.
const fn binary_bytes(type_oid: u32) -> Option<usize> {
    match type_oid {
        21 => Some(2),
        23 | 700 | 1082 => Some(4),
        20 | 701 | 1083 | 1114 | 1184 => Some(8),
        1266 => Some(12),
        2950 => Some(16),
        _ => None,
    }
}

fn transform() -> impl Strategy<Value = Transform> {
    prop_oneof![
        proptest::sample::select(every_transform()),
        any::<u16>().prop_map(Transform::Last),
        (0_u16..8).prop_map(Transform::First),
        (1_u64..1_000_000_000).prop_map(|whole| round(&whole.to_string())),
    ]
}

/// Any bytes, and bytes that come closer to values.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        "[0-9.:+ BC-]{0,30}".prop_map(String::into_bytes),
        "-?[0-9]{1,30}([.][0-9]{1,20})?".prop_map(String::into_bytes),
        "[0-9]{4,7}-(0[1-9]|1[0-2])-[0-2][0-9]( [012][0-9]:[0-5][0-9]:[0-5][0-9]([+-]1[0-9])?)?( BC)?"
            .prop_map(String::into_bytes),
        any::<String>().prop_map(String::into_bytes),
    ]
}

fn type_oid() -> impl Strategy<Value = u32> {
    prop_oneof![
        9 => proptest::sample::select(CARRYING_TYPES).prop_map(|carrying| carrying.oid),
        1 => any::<u32>(),
    ]
}

/// A type, two transforms of its family, and a value that is likely to be one of the type.
fn bins() -> impl Strategy<Value = (u32, Format, Transform, Transform, Vec<u8>)> {
    let granularity = || {
        (
            1_u32..400,
            proptest::sample::select(vec![0.25, 0.5, 1.0, 5.0, 100.0]),
        )
            .prop_map(|(count, unit)| round(&(f64::from(count) * unit).to_string()))
    };
    let unit = || proptest::sample::select(DateUnit::ALL).prop_map(truncate);
    let number = "-?[0-9]{1,9}([.][0-9]{1,4})?".prop_map(String::into_bytes);
    let date = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9])( BC)?".prop_map(String::into_bytes);
    let moment = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]) (0[0-9]|1[0-9]):[0-5][0-9]:[0-5][0-9][.][0-9]{1,6}"
        .prop_map(String::into_bytes);
    let micros = (-200_000_000_000_000_000_i64..700_000_000_000_000_000)
        .prop_map(|micros| micros.to_be_bytes().to_vec());
    prop_oneof![
        (
            Just(1700),
            Just(Format::Text),
            granularity(),
            granularity(),
            number
        ),
        (
            proptest::sample::select(vec![20, 701]),
            Just(Format::Binary),
            granularity(),
            granularity(),
            any::<[u8; 8]>().prop_map(|bytes| bytes.to_vec())
        ),
        (
            proptest::sample::select(vec![700, 701]),
            Just(Format::Text),
            granularity(),
            granularity(),
            any::<i32>().prop_map(|number| (f64::from(number) / 64.0).to_string().into_bytes())
        ),
        (Just(1082), Just(Format::Text), unit(), unit(), date),
        (Just(1114), Just(Format::Text), unit(), unit(), moment),
        (Just(1184), Just(Format::Binary), unit(), unit(), micros),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_bytes_panic_and_results_are_values(transform in transform(), value in value(), type_oid in type_oid()) {
        for format in FORMATS {
            let Some(masked) = run(&transform, &value, type_oid, format) else { continue };
            prop_assert!(Shape::of(type_oid).is_some());
            if format == Format::Text {
                let text = std::str::from_utf8(&masked).expect("UTF-8");
                prop_assert!(!text.contains('\0') || std::str::from_utf8(&value).is_ok_and(|value| value.contains('\0')));
                match type_oid {
                    20 | 21 | 23 => prop_assert!(text.parse::<i64>().is_ok()),
                    700 | 701 => prop_assert!(text.parse::<f64>().is_ok_and(f64::is_finite)),
                    1700 => prop_assert!(decimal::Decimal::from_text(text).is_some()),
                    114 | 3802 => prop_assert!(serde_json::from_str::<String>(text).is_ok()),
                    _ => {}
                }
            } else if let Some(bytes) = binary_bytes(type_oid) {
                prop_assert_eq!(masked.len(), bytes);
            }
        }
    }

    /// Rounding and truncating again changes nothing, and a coarser unit sees the same through a finer one: so the join of
    /// two tells nothing that either does not tell.
    #[test]
    fn coarser_sees_no_more_than_finer((type_oid, format, fine, coarse, value) in bins()) {
        let joined = fine.join(&coarse);
        // Where the finer one gives NULL there is nothing to see through it.
        if let (Some(masked), false) = (run(&fine, &value, type_oid, format), joined == Transform::Redact) {
            prop_assert_eq!(run(&fine, &masked, type_oid, format), Some(masked.clone()));
            let direct = run(&joined, &value, type_oid, format);
            prop_assert_eq!(direct, run(&joined, &masked, type_oid, format), "{} through {}", joined, fine);
        }
    }

    #[test]
    fn rounding_is_monotone_and_towards_zero(one in any::<i32>(), other in any::<i32>(), multiple in 2_i64..100_000) {
        let transform = round(&multiple.to_string());
        let masked = |number: i32, type_oid: u32| -> f64 {
            let text = run(&transform, number.to_string().as_bytes(), type_oid, Format::Text).expect("a number");
            String::from_utf8(text).expect("UTF-8").parse().expect("a number")
        };
        for type_oid in [20, 23, 701, 1700] {
            let (low, high) = (masked(one.min(other), type_oid), masked(one.max(other), type_oid));
            prop_assert!(low <= high);
            prop_assert!(low.abs() <= f64::from(one.min(other)).abs());
            prop_assert_eq!(low % f64::from(u32::try_from(multiple).unwrap()), 0.0);
        }
    }

    /// Numbers of one bin, and moments of one unit, are masked alike.
    #[test]
    fn bins_hide_what_is_in_them(bin in 0_i64..1_000_000, one in 0_i64..1_000, other in 0_i64..1_000) {
        for type_oid in [20, 701, 1700] {
            let masked = |offset: i64| run(&round("1000"), (bin * 1_000 + offset).to_string().as_bytes(), type_oid, Format::Text);
            prop_assert_eq!(masked(one), masked(other));
        }
        let moment = |offset: i64| run(&truncate(DateUnit::Hour), &(bin * 3_600_000_000 + offset * 3_600_000).to_be_bytes(), 1114, Format::Binary);
        prop_assert_eq!(moment(one), moment(other));
    }

    #[test]
    fn hidden_characters_change_nothing(count in 0_u16..6, kept in "[a-z]{6}", left in "[A-Z]{1,9}", right in "[A-Z]{1,9}") {
        // Two values that differ only in what is hidden are masked alike, whatever their lengths.
        let tail = |hidden: &str| run(&Transform::Last(count), format!("{hidden}{kept}").as_bytes(), TEXT, Format::Text);
        let head = |hidden: &str| run(&Transform::First(count), format!("{kept}{hidden}").as_bytes(), TEXT, Format::Text);
        let user = |hidden: &str| run(&Transform::KeepDomain, format!("{hidden}@{kept}").as_bytes(), TEXT, Format::Text);
        let fixed = |hidden: &str| run(&Transform::Redact, hidden.as_bytes(), TEXT, Format::Text);
        prop_assert_eq!(tail(&left), tail(&right));
        prop_assert_eq!(head(&left), head(&right));
        prop_assert_eq!(user(&left), user(&right));
        prop_assert_eq!(fixed(&left), fixed(&right));
    }

    #[test]
    fn the_raw_value_is_nowhere(transform in transform(), value in "[A-Za-z0-9]{12,30}(@[a-z]{3})?") {
        let keeps_all = match &transform {
            Transform::Last(count) | Transform::First(count) => usize::from(*count) >= value.len(),
            Transform::Constant(text) => text.contains(&value),
            _ => false,
        };
        for type_oid in [TEXT, 1042, 19, 114, 3802] {
            if let Some(masked) = run(&transform, value.as_bytes(), type_oid, Format::Text) {
                let shown = masked.windows(value.len()).any(|window| window == value.as_bytes());
                prop_assert!(!shown || keeps_all, "{} shows {}", transform, value);
            }
        }
    }

    #[test]
    fn keyed_results_rest_on_value_and_key(one in "[a-z0-9 ]{8,40}", other in "[a-z0-9 ]{8,40}") {
        let (first, second) = (keys(1), keys(2));
        for transform in [Transform::Hash, Transform::Tokenize] {
            let masked = |keys: &MaskKeys, value: &str, type_oid| run_with(Some(keys), &transform, value.as_bytes(), type_oid, Format::Text);
            let shown = masked(&first, &one, TEXT);
            prop_assert_eq!(&shown, &masked(&first, &one, 1043), "the same in every column");
            if shown.as_deref() != Some(REDACTED.as_bytes()) {
                prop_assert_ne!(&shown, &masked(&second, &one, TEXT));
                prop_assert_eq!(shown == masked(&first, &other, TEXT), one == other);
            }
        }
    }

    #[test]
    fn invalid_utf8_is_redacted(transform in transform(), tail in "[a-z@.]{0,12}") {
        prop_assume!(!matches!(transform, Transform::Null | Transform::Constant(_)));
        let mut value = vec![0xff];
        value.extend_from_slice(tail.as_bytes());
        prop_assert_eq!(run(&transform, &value, TEXT, Format::Text), Some(REDACTED.as_bytes().to_vec()));
    }
}
