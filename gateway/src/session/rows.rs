//! Masked rows: a DataRow rebuilt value by value.
//!
//! `// INVARIANT:` a raw masked value is read from the input frame and given to the transform, and copied nowhere else.

use bytes::{BufMut, BytesMut};
use provost_engine::{
    mask::{self, Format, MaskKeys, Masked},
    verdict::OutputMask,
};

use crate::protocol::{
    backend::{self, Field},
    frame::{self, Error},
};

/// Appends the DataRow whose body is `body` with its masks applied; counts each masked value in `counts`, mask by mask.
/// NULL stays NULL and is not counted. Without `keys`, `hash` and `tokenize` redact. `scratch` is reused between rows and holds only what a transform gave.
///
/// # Errors
/// When the row is not what was described; then nothing is appended.
pub(super) fn mask_row(
    body: &[u8],
    fields: &[Field],
    masks: &[OutputMask],
    keys: Option<&MaskKeys>,
    counts: &mut [u64],
    scratch: &mut Vec<u8>,
    out: &mut BytesMut,
) -> Result<(), Error> {
    let start = out.len();
    let mut outcome = Ok(());
    frame::write(out, b'D', |out| {
        outcome = write_values(body, fields, masks, keys, counts, scratch, out);
    });
    if outcome.is_err() {
        out.truncate(start);
    }
    outcome
}

fn write_values(
    body: &[u8],
    fields: &[Field],
    masks: &[OutputMask],
    keys: Option<&MaskKeys>,
    counts: &mut [u64],
    scratch: &mut Vec<u8>,
    out: &mut BytesMut,
) -> Result<(), Error> {
    let mut values = backend::data_row(body)?;
    let count = u16::try_from(fields.len()).map_err(|_| Error::Format)?;
    if values.left() != fields.len() {
        return Err(Error::Format);
    }
    out.put_u16(count);
    let mut masks = masks.iter().zip(counts).peekable();
    for (index, field) in fields.iter().enumerate() {
        let value = values.next().ok_or(Error::Format)??;
        let mask = masks.next_if(|(mask, _)| mask.output == index);
        match (value, mask) {
            (None, _) => out.put_i32(-1),
            (Some(value), None) => put_value(out, value)?,
            (Some(value), Some((mask, count))) => {
                let format = match field.format {
                    0 => Format::Text,
                    1 => Format::Binary,
                    _ => return Err(Error::Format),
                };
                scratch.clear();
                *count += 1;
                match mask::apply(
                    &mask.transform,
                    keys,
                    value,
                    field.type_oid,
                    format,
                    scratch,
                ) {
                    Masked::Null => out.put_i32(-1),
                    Masked::Value => put_value(out, scratch)?,
                }
            }
        }
    }
    values.finish()?;
    // A mask that met no column would be a value shown raw.
    if masks.peek().is_some() {
        return Err(Error::Format);
    }
    Ok(())
}

fn put_value(out: &mut BytesMut, value: &[u8]) -> Result<(), Error> {
    let length = i32::try_from(value.len()).map_err(|_| Error::Length)?;
    out.put_i32(length);
    out.extend_from_slice(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use provost_engine::verdict::Transform;

    use super::*;

    fn mask(output: usize) -> OutputMask {
        OutputMask {
            output,
            transform: Transform::Null,
            rules: Vec::new(),
            class: "pii".into(),
            sources: Vec::new(),
            controls: Vec::new(),
        }
    }

    const FIELD: Field = Field {
        origin: (1, 1),
        type_oid: 25,
        format: 0,
    };

    fn check(body: &[u8], fields: &[Field], masks: &[OutputMask], expected: Result<&[u8], Error>) {
        let mut out = BytesMut::from(&b"before"[..]);
        let mut counts = vec![0; masks.len()];
        let outcome = mask_row(
            body,
            fields,
            masks,
            None,
            &mut counts,
            &mut Vec::new(),
            &mut out,
        );
        assert_eq!(outcome.map(|()| &out[6..]), expected, "{body:?}");
        if outcome.is_err() {
            assert_eq!(&out[..], b"before");
        }
    }

    const ROW: &[u8] = b"\0\x02\0\0\0\x01a\0\0\0\x06secret";

    #[test]
    fn masks_what_is_masked() {
        let two = [FIELD, FIELD];
        check(
            ROW,
            &two,
            &[mask(1)],
            Ok(b"D\0\0\0\x0f\0\x02\0\0\0\x01a\xff\xff\xff\xff"),
        );
        check(
            b"\0\x02\xff\xff\xff\xff\xff\xff\xff\xff",
            &two,
            &[mask(0), mask(1)],
            Ok(b"D\0\0\0\x0e\0\x02\xff\xff\xff\xff\xff\xff\xff\xff"),
        );
    }

    #[test]
    fn counts_values_and_not_nulls() {
        let mut counts = [0, 0];
        let mut out = BytesMut::new();
        let row = b"\0\x02\0\0\0\x01a\xff\xff\xff\xff";
        let masks = [mask(0), mask(1)];
        for _ in 0..3 {
            mask_row(
                row,
                &[FIELD, FIELD],
                &masks,
                None,
                &mut counts,
                &mut Vec::new(),
                &mut out,
            )
            .unwrap();
        }
        assert_eq!(counts, [3, 0]);
    }

    #[test]
    fn keyed_masks_redact_without_keys() {
        let masks = [OutputMask {
            transform: Transform::Tokenize,
            ..mask(1)
        }];
        let row = b"\0\x02\0\0\0\x01a\0\0\0\x0b901-77-0001";
        let keys = MaskKeys::new("test", &[7; 32]).unwrap();
        let shown = |keys| {
            let (mut scratch, mut out) = (Vec::new(), BytesMut::new());
            let fields = [FIELD, FIELD];
            mask_row(row, &fields, &masks, keys, &mut [0], &mut scratch, &mut out).unwrap();
            scratch
        };
        assert_eq!(shown(None), b"[redacted]");
        let token = shown(Some(&keys));
        assert_eq!((token.len(), token[3], token[6]), (11, b'-', b'-'));
        assert_ne!(token, b"901-77-0001");
    }

    #[test]
    fn refuses_rows_that_are_not_as_described() {
        let two = [FIELD, FIELD];
        check(ROW, &[FIELD], &[mask(0)], Err(Error::Format));
        check(ROW, &[FIELD, FIELD, FIELD], &[mask(0)], Err(Error::Format));
        check(ROW, &two, &[mask(2)], Err(Error::Format));
        check(ROW, &two, &[mask(1), mask(0)], Err(Error::Format));
        let odd = Field { format: 2, ..FIELD };
        check(ROW, &[FIELD, odd], &[mask(1)], Err(Error::Format));
        for end in 0..ROW.len() {
            check(&ROW[..end], &two, &[mask(1)], Err(Error::Format));
        }
        check(&[ROW, b"x"].concat(), &two, &[mask(1)], Err(Error::Format));
    }
}
