//! The transforms in words: the one source of the language's reference.
//!
//! Never says what masks don't do: every example is run, and every list of types compared, by this file's tests.

/// What the reference says of a transform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransformDescription {
    /// Its words in the language.
    pub name: &'static str,
    /// What follows them, with what it may be; empty where nothing does.
    pub argument: &'static str,
    /// What it does.
    pub about: &'static str,
    /// The types that carry it; arrays of them do too, and ranges carry what keeps their bounds in order. For all others the mask is refused where the schema is known; where it isn't, JSON documents
    /// and texts are redacted, and everything else becomes NULL.
    pub types: Carriers,
    /// Values before and after.
    pub examples: &'static [Example],
}

/// The types that carry a transform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carriers {
    /// Every type.
    Every,
    /// These, by their names in SQL.
    These(&'static [&'static str]),
}

/// A value before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// The transform as it is written.
    pub transform: &'static str,
    /// The type's name in SQL.
    pub type_name: &'static str,
    /// The value in text format.
    pub value: &'static str,
    /// What it becomes in text format; `None` is NULL.
    pub masked: Option<&'static str>,
}

/// The secret behind the keyed examples.
pub const EXAMPLE_SECRET: &[u8] = b"an example secret, of 32 bytes or more";

const TEXTS: &[&str] = &["text", "varchar", "char", "name"];

/// All transforms, in the order of the reference.
pub const DESCRIPTIONS: &[TransformDescription] = &[
    TransformDescription {
        name: "redact",
        argument: "",
        about: "Replaces the value by a fixed text, or by NULL where the type is no text or JSON.",
        types: Carriers::Every,
        examples: &[
            example("redact", "text", "ada@example.com", Some("[redacted]")),
            example(
                "redact",
                "jsonb",
                "{\"iban\": \"DE89\"}",
                Some("\"[redacted]\""),
            ),
            example("redact", "integer", "52000", None),
        ],
    },
    TransformDescription {
        name: "null",
        argument: "",
        about: "Replaces the value by NULL, so that not even its presence shows.",
        types: Carriers::Every,
        examples: &[example("null", "text", "ada@example.com", None)],
    },
    TransformDescription {
        name: "last",
        argument: "N, from 1 to 65535",
        about: "Keeps the last N characters behind seven stars; a text of N characters or fewer is redacted.",
        types: Carriers::These(TEXTS),
        examples: &[
            example("last 4", "text", "123-45-6789", Some("*******6789")),
            example("last 4", "text", "6789", Some("[redacted]")),
        ],
    },
    TransformDescription {
        name: "first",
        argument: "N, from 1 to 65535",
        about: "Keeps the first N characters before seven stars; a text of N characters or fewer is redacted.",
        types: Carriers::These(TEXTS),
        examples: &[example(
            "first 6",
            "varchar",
            "4111111111111111",
            Some("411111*******"),
        )],
    },
    TransformDescription {
        name: "keep domain",
        argument: "",
        about: "Keeps the domain of an e-mail address; what is no address is redacted.",
        types: Carriers::These(TEXTS),
        examples: &[
            example(
                "keep domain",
                "text",
                "ada@example.com",
                Some("***@example.com"),
            ),
            example("keep domain", "text", "call ada", Some("[redacted]")),
        ],
    },
    TransformDescription {
        name: "hash",
        argument: "",
        about: "Replaces the value by a keyed hash of it (HMAC-SHA256, 128 bits): equal values have equal hashes, so that joins and counts still work, and nobody without the key can compute one.",
        types: Carriers::These(&["text", "varchar", "char", "name", "uuid", "bytea"]),
        examples: &[
            example(
                "hash",
                "text",
                "ada@example.com",
                Some("3dd1f132194f74f5424d76f9aadf4305"),
            ),
            example(
                "hash",
                "uuid",
                "6f1c9a52-2f4e-4a7b-9d57-0c8f6a3be111",
                Some("4acf5766-6009-8faa-b521-62cb58e72405"),
            ),
        ],
    },
    TransformDescription {
        name: "tokenize",
        argument: "",
        about: "Replaces digits by digits and ASCII letters by letters of the same case, each at its place (FF1 of NIST SP 800-38G, keyed): equal values have equal tokens, different ones different tokens. What has other letters, more than 256 characters, or a form of which there are fewer than 1,000,000 values (five digits, four letters) is redacted, or NULL for integers.",
        types: Carriers::These(&["text", "varchar", "char", "name", "integer", "bigint"]),
        examples: &[
            example(
                "tokenize",
                "text",
                "4111-1111-1111-1111",
                Some("5135-2906-5414-5080"),
            ),
            example("tokenize", "text", "Ada Lovelace", Some("Idl Ulvjpacb")),
            example("tokenize", "bigint", "4915112345678", Some("7039803378295")),
            example("tokenize", "text", "1815", Some("[redacted]")),
        ],
    },
    TransformDescription {
        name: "round to",
        argument: "N, a number above 0 with at most nine decimals; for whole numbers a whole number from 2",
        about: "Keeps the multiple of N towards zero; NaN and infinities become NULL, and so does a float that would need more digits than its type holds.",
        types: Carriers::These(&[
            "smallint",
            "integer",
            "bigint",
            "numeric",
            "real",
            "double precision",
        ]),
        examples: &[
            example("round to 1000", "integer", "52890", Some("52000")),
            example("round to 0.5", "numeric", "-7.90", Some("-7.5")),
        ],
    },
    TransformDescription {
        name: "truncate date",
        argument: "year, quarter, month, week, day or hour; for a date not day or hour, for a time only hour",
        about: "Keeps the start of the unit (a week starts on Monday); moments with a time zone are truncated and shown in UTC. What is not in the form of DateStyle ISO becomes NULL.",
        types: Carriers::These(&["date", "timestamp", "timestamptz", "time", "timetz"]),
        examples: &[
            example(
                "truncate date month",
                "date",
                "1815-12-10",
                Some("1815-12-01"),
            ),
            example(
                "truncate date week",
                "timestamp",
                "2024-02-29 23:59:59.5",
                Some("2024-02-26 00:00:00"),
            ),
            example(
                "truncate date day",
                "timestamptz",
                "2024-03-01 00:30:00+02",
                Some("2024-02-29 00:00:00+00"),
            ),
            example("truncate date hour", "time", "10:20:30", Some("10:00:00")),
        ],
    },
    TransformDescription {
        name: "constant",
        argument: "a text in quotes; for other types than texts and JSON one that the type reads",
        about: "Replaces the value by that text; NULL stays NULL.",
        types: Carriers::These(&[
            "text",
            "varchar",
            "char",
            "name",
            "json",
            "jsonb",
            "smallint",
            "integer",
            "bigint",
            "numeric",
            "real",
            "double precision",
            "date",
            "timestamp",
            "timestamptz",
            "time",
            "timetz",
            "uuid",
        ]),
        examples: &[
            example(
                "constant \"hidden\"",
                "text",
                "ada@example.com",
                Some("hidden"),
            ),
            example(
                "constant \"1900-01-01\"",
                "date",
                "1815-12-10",
                Some("1900-01-01"),
            ),
            example("constant \"hidden\"", "date", "1815-12-10", None),
        ],
    },
];

const fn example(
    transform: &'static str,
    type_name: &'static str,
    value: &'static str,
    masked: Option<&'static str>,
) -> Example {
    Example {
        transform,
        type_name,
        value,
        masked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        mask::{self, CARRYING_TYPES, Carries, Format, MaskKeys, Masked},
        transform::{DateUnit, Transform},
    };

    /// Every transform that the examples write.
    fn written() -> Vec<Transform> {
        let round = |text: &str| Transform::RoundTo(text.parse().expect("a granularity"));
        let mut all = vec![
            Transform::Redact,
            Transform::Null,
            Transform::Last(4),
            Transform::First(6),
            Transform::KeepDomain,
            Transform::Hash,
            Transform::Tokenize,
            round("1000"),
            round("0.5"),
            Transform::Constant("hidden".into()),
            Transform::Constant("1900-01-01".into()),
        ];
        all.extend(DateUnit::ALL.iter().copied().map(Transform::TruncateDate));
        all
    }

    /// The words of the variant, so that a new one can't be left out.
    const fn name(transform: &Transform) -> &'static str {
        match transform {
            Transform::Redact => "redact",
            Transform::Null => "null",
            Transform::Last(_) => "last",
            Transform::First(_) => "first",
            Transform::KeepDomain => "keep domain",
            Transform::Constant(_) => "constant",
            Transform::Hash => "hash",
            Transform::Tokenize => "tokenize",
            Transform::RoundTo(_) => "round to",
            Transform::TruncateDate(_) => "truncate date",
        }
    }

    fn type_oid(name: &str) -> u32 {
        let named = CARRYING_TYPES.iter().find(|carrying| carrying.name == name);
        named.expect("a carrying type").oid
    }

    #[test]
    fn every_transform_is_described() {
        for transform in written() {
            let described = DESCRIPTIONS
                .iter()
                .filter(|description| description.name == name(&transform));
            assert_eq!(described.count(), 1, "{transform}");
        }
    }

    #[test]
    fn examples_are_what_masks_do() {
        let keys = MaskKeys::new("example", EXAMPLE_SECRET).expect("keys");
        let mut wrong = Vec::new();
        for description in DESCRIPTIONS {
            assert!(!description.examples.is_empty(), "{}", description.name);
            for example in description.examples {
                let transform = written()
                    .into_iter()
                    .find(|transform| transform.to_string() == example.transform)
                    .unwrap_or_else(|| {
                        panic!("`{}` is not among the transforms", example.transform)
                    });
                assert_eq!(name(&transform), description.name);
                let mut out = Vec::new();
                let masked = mask::apply(
                    &transform,
                    Some(&keys),
                    example.value.as_bytes(),
                    type_oid(example.type_name),
                    Format::Text,
                    &mut out,
                );
                let out = String::from_utf8(out).expect("UTF-8");
                let masked = (masked == Masked::Value).then_some(&*out);
                if masked != example.masked {
                    wrong.push(format!("{example:?} gives {masked:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn lists_of_types_are_what_masks_say() {
        for description in DESCRIPTIONS {
            let mut transforms = written();
            transforms.extend(
                [
                    "7",
                    "00:00:00",
                    "00:00:00+00",
                    "2000-01-31 00:00:00",
                    "2000-01-31 00:00:00+00",
                    "6f1c9a52-2f4e-4a7b-9d57-0c8f6a3be111",
                ]
                .map(|text| Transform::Constant(text.into())),
            );
            transforms.retain(|transform| name(transform) == description.name);
            for carrying in CARRYING_TYPES {
                let carried = transforms
                    .iter()
                    .any(|transform| mask::carries(transform, carrying.oid) == Carries::Yes);
                let listed = match description.types {
                    Carriers::Every => true,
                    Carriers::These(names) => names.contains(&carrying.name),
                };
                assert_eq!(carried, listed, "{} on {}", description.name, carrying.name);
            }
            if let Carriers::These(names) = description.types {
                names.iter().for_each(|name| assert_ne!(type_oid(name), 0));
            }
        }
    }
}
