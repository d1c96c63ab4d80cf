//! Rows cut anywhere, and whatever comes instead of rows: what is masked is masked, and what is malformed is withheld.

use bytes::BytesMut;
use proptest::prelude::*;
use provost_engine::{
    copy::{CopyColumn, CopyOut, CsvLayout, Layout, NULL_OF_TEXT, TextLayout},
    mask::Format,
    verdict::{OutputMask, Transform},
};

use super::{Masking, Masks, Part};

const TEXT: u32 = 25;
const INTEGER: u32 = 23;

fn mask(output: usize, transform: Transform) -> OutputMask {
    OutputMask {
        output,
        transform,
        rules: Vec::new(),
        class: "pii".into(),
        sources: Vec::new(),
        controls: Vec::new(),
    }
}

fn text(delimiter: u8, null: &[u8], has_header: bool) -> Layout {
    Layout::Text(TextLayout {
        delimiter,
        null: null.into(),
        has_header,
    })
}

fn csv([delimiter, quote, escape]: [u8; 3], null: &[u8], has_header: bool) -> Layout {
    Layout::Csv(CsvLayout {
        delimiter,
        quote,
        escape,
        null: null.into(),
        has_header,
    })
}

/// A COPY of these types; the last column's values are quoted in any case.
fn copy(layout: Layout, types: &[u32]) -> CopyOut {
    let column = |(place, type_oid): (usize, &u32)| CopyColumn {
        type_oid: *type_oid,
        is_quoted: place + 1 == types.len(),
    };
    CopyOut {
        layout: Ok(layout),
        columns: types.iter().enumerate().map(column).collect(),
    }
}

/// What came of data in these pieces.
#[derive(Debug, PartialEq, Eq)]
struct Came {
    /// The bodies of the messages for the client.
    sent: Vec<Vec<u8>>,
    parts: Vec<Part>,
    counts: Vec<u64>,
    /// All of it was understood, and it may end here.
    is_good: bool,
}

fn feed<'a>(
    copy: &CopyOut,
    masks: &[OutputMask],
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Came {
    let format = if copy.is_binary() {
        Format::Binary
    } else {
        Format::Text
    };
    let mut masking = Masking::new(copy, masks, format).unwrap();
    let mut came = Came {
        sent: Vec::new(),
        parts: Vec::new(),
        counts: vec![0; masks.len()],
        is_good: true,
    };
    let mut out = BytesMut::new();
    for mut piece in pieces {
        loop {
            let masks = Masks { masks, keys: None };
            let start = out.len();
            match masking.next(&mut piece, masks, &mut came.counts, &mut out) {
                Ok(Part::Nothing) => break,
                Ok(part) => {
                    came.parts.push(part);
                    let frame = &out[start..];
                    let length = u32::from_be_bytes(frame[1..5].try_into().unwrap());
                    assert_eq!((frame[0], length as usize), (b'd', frame.len() - 1));
                    came.sent.push(frame[5..].to_vec());
                }
                Err(_) => {
                    assert_eq!(out.len(), start, "nothing of it is sent");
                    came.is_good = false;
                    return came;
                }
            }
        }
    }
    came.is_good = masking.is_whole();
    came
}

/// Pieces of these lengths, over and over.
fn pieces<'a>(data: &'a [u8], lengths: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = data;
    let mut lengths = lengths.iter().cycle();
    std::iter::from_fn(move || {
        let length = lengths
            .next()
            .copied()
            .unwrap_or(1)
            .clamp(1, rest.len().max(1));
        let (piece, after) = rest.split_at_checked(length)?;
        rest = after;
        Some(piece)
    })
}

type Value = Option<Vec<u8>>;

/// What the server writes, said in another way than the code under test says it.
fn written(layout: &Layout, rows: &[Vec<Value>]) -> Vec<Vec<u8>> {
    let line = |row: &Vec<Value>| -> Vec<u8> {
        let last = row.len() - 1;
        let values = row.iter().enumerate().map(|(place, value)| match layout {
            Layout::Text(layout) => match value {
                None => layout.null.to_vec(),
                Some(value) => value
                    .iter()
                    .flat_map(|byte| match byte {
                        b'\n' => b"\\n".to_vec(),
                        b'\r' => b"\\r".to_vec(),
                        b'\t' => b"\\t".to_vec(),
                        8 => b"\\b".to_vec(),
                        11 => b"\\v".to_vec(),
                        12 => b"\\f".to_vec(),
                        b'\\' => b"\\\\".to_vec(),
                        other if *other == layout.delimiter => vec![b'\\', *other],
                        other => vec![*other],
                    })
                    .collect(),
            },
            Layout::Csv(layout) => match value {
                None => layout.null.to_vec(),
                Some(value) => {
                    let special = [layout.delimiter, layout.quote, b'\n', b'\r'];
                    let quotes = place == last
                        || **value == *layout.null
                        || value.iter().any(|byte| special.contains(byte));
                    let mut all = Vec::new();
                    for byte in value {
                        if quotes && (*byte == layout.quote || *byte == layout.escape) {
                            all.push(layout.escape);
                        }
                        all.push(*byte);
                    }
                    match quotes {
                        true => [&[layout.quote], &*all, &[layout.quote]].concat(),
                        false => all,
                    }
                }
            },
            Layout::Binary => unreachable!(),
        });
        let delimiter = match layout {
            Layout::Text(layout) => layout.delimiter,
            Layout::Csv(layout) => layout.delimiter,
            Layout::Binary => 0,
        };
        let mut line = values.collect::<Vec<_>>().join(&delimiter);
        line.push(b'\n');
        line
    };
    if *layout != Layout::Binary {
        return rows.iter().map(line).collect();
    }
    let mut all: Vec<Vec<u8>> = rows
        .iter()
        .map(|row| {
            let mut bytes = i16::try_from(row.len()).unwrap().to_be_bytes().to_vec();
            for value in row {
                let length = value.as_ref().map_or(-1, |value| value.len() as i32);
                bytes.extend(length.to_be_bytes());
                bytes.extend(value.iter().flatten());
            }
            bytes
        })
        .collect();
    all.push(vec![0xff, 0xff]);
    all[0].splice(..0, *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
    all
}

fn last_two(value: &Value) -> Value {
    let text = std::str::from_utf8(value.as_ref()?).unwrap();
    let count = text.chars().count();
    let shown: String = text.chars().skip(count.saturating_sub(2)).collect();
    let masked = match count > 2 {
        true => format!("*******{shown}"),
        false => "[redacted]".to_owned(),
    };
    Some(masked.into_bytes())
}

fn layouts() -> impl Strategy<Value = Layout> {
    let null = prop_oneof![Just(&b""[..]), Just(&b"NULL"[..]), Just(&b"-"[..])];
    let bytes = prop_oneof![
        Just([b',', b'"', b'"']),
        Just([b',', b'"', b'\\']),
        Just([b';', b'\'', b';']),
        Just([b'\t', b'a', b'b']),
        Just([b' ', b'|', b'n']),
    ];
    prop_oneof![
        (prop_oneof![Just(b'\t'), Just(b',')], any::<bool>())
            .prop_map(|(delimiter, has_header)| text(delimiter, NULL_OF_TEXT, has_header)),
        (bytes, null, any::<bool>())
            .prop_map(|(bytes, null, has_header)| csv(bytes, null, has_header)),
        Just(Layout::Binary),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    proptest::option::of(
        "[ab,;\"'\\\\|\n\r\t \u{8}\u{b}\u{c}\u{e9}.nN-]{0,6}|NULL|-|\\\\\\.|\\\\N|\u{65e5}{3}"
            .prop_map(String::into_bytes),
    )
}

proptest! {
    #[test]
    fn rows_are_masked_however_they_are_cut(
        layout in layouts(),
        rows in proptest::collection::vec(proptest::collection::vec(values(), 3), 1..6),
        lengths in proptest::collection::vec(1_usize..40, 1..8),
    ) {
        let copy = copy(layout.clone(), &[TEXT, TEXT, INTEGER]);
        let masks = [mask(1, Transform::Last(2)), mask(2, Transform::Constant("7".into()))];
        // Names are no values.
        let from = usize::from(copy.has_header());
        let seven = |value: &Value| value.as_ref().map(|_| match layout {
            Layout::Binary => 7_i32.to_be_bytes().to_vec(),
            Layout::Text(_) | Layout::Csv(_) => b"7".to_vec(),
        });
        let masked: Vec<Vec<Value>> = rows.iter().enumerate().map(|(place, row)| match place < from {
            true => row.clone(),
            false => vec![row[0].clone(), last_two(&row[1]), seven(&row[2])],
        }).collect();
        let server = written(&layout, &rows);
        let expected = written(&layout, &masked);
        let data = server.concat();
        let count = |place: usize| rows.iter().skip(from).filter(|row| row[place].is_some()).count() as u64;
        for came in [
            feed(&copy, &masks, server.iter().map(Vec::as_slice)),
            feed(&copy, &masks, [&*data]),
            feed(&copy, &masks, pieces(&data, &[1])),
            feed(&copy, &masks, pieces(&data, &lengths)),
        ] {
            prop_assert_eq!(&came.sent, &expected);
            prop_assert_eq!(&came.counts, &vec![count(1), count(2)]);
            prop_assert!(came.is_good);
            let is_row = |part: &&Part| **part == Part::Row;
            prop_assert_eq!(came.parts.iter().filter(is_row).count(), rows.len() - from);
        }
        // What has no end is not good.
        for end in 0..data.len() {
            let came = feed(&copy, &masks, pieces(&data[..end], &lengths));
            prop_assert!(came.sent.len() < expected.len() || end == data.len());
            prop_assert_eq!(&came.sent[..], &expected[..came.sent.len()]);
        }
    }

    #[test]
    fn any_bytes_come_to_the_same_however_they_are_cut(
        layout in layouts(),
        data in proptest::collection::vec(prop_oneof![
            Just(b','), Just(b'"'), Just(b'\\'), Just(b'\n'), Just(b'\t'), Just(b'a'), Just(0), Just(0xff), Just(1), any::<u8>(),
        ], 0..80),
        is_started in any::<bool>(),
        lengths in proptest::collection::vec(1_usize..9, 1..8),
    ) {
        let copy = copy(layout, &[TEXT, TEXT]);
        let masks = [mask(0, Transform::First(1))];
        let mut all = Vec::new();
        if copy.is_binary() && is_started {
            all.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
        }
        all.extend(data);
        let whole = feed(&copy, &masks, [&*all]);
        prop_assert_eq!(&feed(&copy, &masks, pieces(&all, &lengths)), &whole);
        prop_assert_eq!(&feed(&copy, &masks, pieces(&all, &[1])), &whole);
    }
}

/// Data that is not as the statement says, after one good row.
#[test]
fn what_is_not_as_it_was_asked_for_is_withheld() {
    let comma = || csv([b',', b'"', b'"'], b"", false);
    let escaped = || csv([b',', b'"', b'\\'], b"", false);
    let cases: [(Layout, &[u8]); 16] = [
        (text(b'\t', NULL_OF_TEXT, false), b"a\n"),
        (text(b'\t', NULL_OF_TEXT, false), b"a\tb\tc\n"),
        (text(b'\t', NULL_OF_TEXT, false), b"a\tb"),
        (text(b'\t', NULL_OF_TEXT, false), b"a\\\nb\tc\n"),
        (text(b'\t', NULL_OF_TEXT, false), b"a\\x41\tb\n"),
        (text(b'\t', NULL_OF_TEXT, false), b"\n"),
        (comma(), b"a\n"),
        (comma(), b"a,b,c\n"),
        (comma(), b"a,\"b\n"),
        (comma(), b"a\"b,c\n"),
        (comma(), b"\"a\"b,c\n"),
        (comma(), b"\"a\" ,c\n"),
        (escaped(), b"\"a\\b\",c\n"),
        (escaped(), b"\"a\"\"b\",c\n"),
        (comma(), b"\n"),
        (comma(), b"\"\"\"\",\"x"),
    ];
    let masks = [mask(0, Transform::First(1))];
    for (layout, bad) in cases {
        let good: &[u8] = match &layout {
            Layout::Text(_) => b"good\tx\n",
            Layout::Csv(_) | Layout::Binary => b"good,x\n",
        };
        let copy = copy(layout, &[TEXT, TEXT]);
        let data = [good, bad].concat();
        for lengths in [&[1][..], &[7], &[100]] {
            let came = feed(&copy, &masks, pieces(&data, lengths));
            assert!(!came.is_good, "{bad:?}");
            let shown = String::from_utf8(came.sent.concat()).unwrap();
            assert!(
                shown.starts_with("g*******") && shown.len() == 11,
                "{shown}"
            );
        }
    }
}

#[test]
fn binary_data_that_is_not_as_it_was_asked_for_is_withheld() {
    let start = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
    let row = b"\0\x01\0\0\0\x04good";
    let good = [&start[..], row, b"\xff\xff"].concat();
    let copy = copy(Layout::Binary, &[TEXT]);
    let masks = [mask(0, Transform::First(1))];
    assert!(feed(&copy, &masks, [&*good]).is_good);
    let flags = [&start[..11], b"\0\x01\0\0\0\0\0\0", row, b"\xff\xff"].concat();
    let longer = [&start[..11], b"\0\0\0\0\0\0\0\x01x", row, b"\xff\xff"].concat();
    let wide = [&start[..], b"\0\x02\0\0\0\x01a\0\0\0\x01b", b"\xff\xff"].concat();
    let none = [&start[..], b"\0\0", b"\xff\xff"].concat();
    let behind = [&*good, row].concat();
    let negative = [&start[..], b"\0\x01\xff\xff\xff\xfe", b"\xff\xff"].concat();
    for bad in [flags, longer, wide, none, behind, negative] {
        for lengths in [&[1][..], &[100]] {
            let came = feed(&copy, &masks, pieces(&bad, lengths));
            assert!(!came.is_good, "{bad:?}");
            assert!(came.sent.len() <= 2);
        }
    }
}
