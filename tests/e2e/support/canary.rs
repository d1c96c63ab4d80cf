//! Canaries: the raw values of masked columns, in every disguise that SQL gives them cheaply. None may reach a masked client.

/// Parts of the raw values in `shop.sql` that no mask leaves standing.
const VALUES: &[&str] = &[
    "901-77-0001",
    "902-78-0002",
    "903-79-0003",
    "901-77",
    "902-78",
    "903-79",
    "canaryada",
    "canarybob",
    "canarycyd",
    "555-7001",
    "555-7002",
    "555-7003",
    "4111-7001",
    "4111-7002",
];

/// The canaries in some bytes that a masked client received.
pub(crate) fn found_in(bytes: &[u8]) -> Vec<String> {
    let contains = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    let mut found = Vec::new();
    for value in VALUES {
        let disguises = [
            (*value).to_owned(),
            value.to_uppercase(),
            value.chars().rev().collect(),
            value.bytes().map(|byte| format!("{byte:02x}")).collect(),
            value.replace('-', ""),
        ];
        found.extend(
            disguises
                .into_iter()
                .filter(|disguise| contains(disguise.as_bytes())),
        );
    }
    found
}

/// Fails when there is one.
#[track_caller]
pub(crate) fn assert_none(context: &str, bytes: &[u8]) {
    let found = found_in(bytes);
    assert!(
        found.is_empty(),
        "{context}: raw values arrived: {found:?}\n{}",
        String::from_utf8_lossy(bytes)
    );
}

#[test]
fn the_search_finds_what_it_should() {
    for bytes in [
        &b"x901-77-0001y"[..],
        b"CANARYADA@example.org",
        b"1000-77-109",
        b"3930312d3737",
        b"901770001",
    ] {
        assert!(
            !found_in(bytes).is_empty(),
            "{}",
            String::from_utf8_lossy(bytes)
        );
    }
    assert_eq!(
        found_in(b"*******0001 ***@example.org"),
        Vec::<String>::new()
    );
}
