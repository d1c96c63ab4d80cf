//! DER, element by element, each with the very bytes that it came in: what is signed is never written anew. Must never take what is not DER.

use der::asn1::ObjectIdentifier;
use der::{Reader as _, SliceReader};

use super::Problem;

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// The tag of a constructed element of a context's own.
pub(super) const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// The tag of a primitive one.
pub(super) const fn primitive(number: u8) -> u8 {
    0x80 | number
}

/// One element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    /// What is behind tag and length.
    pub(super) value: &'a [u8],
    /// All of it.
    pub(super) bytes: &'a [u8],
}

impl<'a> Element<'a> {
    /// The one element that all of `bytes` are.
    pub(super) fn whole(bytes: &'a [u8], tag: u8) -> Result<Self, Problem> {
        let mut elements = Elements::new(bytes)?;
        let element = elements.take(tag)?;
        elements.end()?;
        Ok(element)
    }

    /// What it is made of.
    pub(super) fn elements(self) -> Result<Elements<'a>, Problem> {
        Elements::new(self.value)
    }

    /// The one element that it is made of.
    pub(super) fn only(self, tag: u8) -> Result<Self, Problem> {
        Self::whole(self.value, tag)
    }

    pub(super) fn identifier(self) -> Result<ObjectIdentifier, Problem> {
        ObjectIdentifier::from_bytes(self.value).map_err(|_| Problem::Malformed)
    }
}

/// Elements that follow each other.
#[derive(Debug, Clone)]
pub(super) struct Elements<'a> {
    reader: SliceReader<'a>,
}

impl<'a> Elements<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, Problem> {
        let reader = SliceReader::new(bytes).map_err(|_| Problem::Malformed)?;
        Ok(Self { reader })
    }

    /// The next element, whatever it is; `None` behind the last.
    pub(super) fn next(&mut self) -> Result<Option<Element<'a>>, Problem> {
        let Some(tag) = self.reader.peek_byte() else {
            return Ok(None);
        };
        let header = self.reader.peek_header().map_err(|_| Problem::Malformed)?;
        let bytes = self.reader.tlv_bytes().map_err(|_| Problem::Malformed)?;
        let length = usize::try_from(header.length).map_err(|_| Problem::Malformed)?;
        let start = bytes.len().checked_sub(length).ok_or(Problem::Malformed)?;
        let value = bytes.get(start..).ok_or(Problem::Malformed)?;
        Ok(Some(Element { tag, value, bytes }))
    }

    /// The next element, which must be of this kind.
    pub(super) fn take(&mut self, tag: u8) -> Result<Element<'a>, Problem> {
        let element = self.next()?.ok_or(Problem::Malformed)?;
        match element.tag == tag {
            true => Ok(element),
            false => Err(Problem::Malformed),
        }
    }

    /// The next element, if it is of this kind.
    pub(super) fn take_if(&mut self, tag: u8) -> Result<Option<Element<'a>>, Problem> {
        match self.reader.peek_byte() == Some(tag) {
            true => self.take(tag).map(Some),
            false => Ok(None),
        }
    }

    /// All that are left, each of this kind.
    pub(super) fn all(mut self, tag: u8) -> Result<Vec<Element<'a>>, Problem> {
        let mut all = Vec::new();
        while let Some(element) = self.next()? {
            if element.tag != tag {
                return Err(Problem::Malformed);
            }
            all.push(element);
        }
        Ok(all)
    }

    /// That nothing is left.
    pub(super) fn end(mut self) -> Result<(), Problem> {
        match self.next()? {
            None => Ok(()),
            Some(_) => Err(Problem::Malformed),
        }
    }
}

/// The algorithm that an `AlgorithmIdentifier` names.
pub(super) fn algorithm(element: Element<'_>) -> Result<ObjectIdentifier, Problem> {
    element.elements()?.take(OBJECT_IDENTIFIER)?.identifier()
}
