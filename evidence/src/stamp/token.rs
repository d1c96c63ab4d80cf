//! Answers of time stamp authorities, read and checked: what was stamped, when, and by whom. Must never say a time that wasn't signed, nor take a
//! signature over anything but the very bytes that came.

use std::time::Duration;

use der::asn1::ObjectIdentifier;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::certificate::{Certificate, has_critical, seconds};
use super::elements::{
    BOOLEAN, Element, GENERALIZED_TIME, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET,
    algorithm, context,
};
use super::request::SHA_256;
use super::{Problem, Roots, signature};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TIME_STAMP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
/// `granted`, and `grantedWithMods`.
const GRANTED_MAX: u8 = 1;
/// Digits of a time before its fraction.
const TIME_DIGITS: usize = 14;
/// Digits of a fraction that count.
const FRACTION_DIGITS: usize = 6;

/// A stamp that holds: its signature is that of the certificate in it.
#[derive(Debug, Clone)]
pub(super) struct Token<'a> {
    /// When it was made, from 1970 on, in whole microseconds.
    pub(super) at: Duration,
    /// Who signed it.
    pub(super) signer: Certificate<'a>,
    /// The other certificates in it.
    others: Vec<&'a [u8]>,
    /// The nonce of its request, an INTEGER in DER.
    nonce: Option<&'a [u8]>,
}

impl<'a> Token<'a> {
    /// Reads an answer and checks that it stamps `content`.
    ///
    /// # Source
    /// RFC 3161, section 2.4.2; RFC 5652, section 5; RFC 5035, section 5.
    pub(super) fn read(response: &'a [u8], content: &[u8]) -> Result<Self, Problem> {
        let mut parts = Element::whole(response, SEQUENCE)?.elements()?;
        let status = parts.take(SEQUENCE)?.elements()?.take(INTEGER)?;
        match status.value {
            [granted] if *granted <= GRANTED_MAX => {}
            [status] => return Err(Problem::Refused { status: *status }),
            _ => return Err(Problem::Malformed),
        }
        let token = parts.take(SEQUENCE)?;
        parts.end()?;
        let signed = Signed::read(token)?;
        let (signer, others) = signed.signer()?;
        signed.check(&signer)?;
        let info = Info::read(signed.content)?;
        info.check(content)?;
        signer.check_usage()?;
        signer.check_time(info.at)?;
        Ok(Self {
            at: info.at,
            signer,
            others,
            nonce: info.nonce,
        })
    }

    /// That it answers the request with this nonce.
    pub(super) fn check_nonce(&self, nonce: &[u8]) -> Result<(), Problem> {
        match self.nonce == Some(nonce) {
            true => Ok(()),
            false => Err(Problem::Nonce),
        }
    }

    /// That one of the roots stood behind the signer then.
    pub(super) fn check_chain(&self, roots: &Roots) -> Result<(), Problem> {
        self.signer.check_chain(&self.others, roots, self.at)
    }
}

/// The signed message around what is stamped.
struct Signed<'a> {
    content: &'a [u8],
    certificates: Vec<Element<'a>>,
    signer: Element<'a>,
    digest: ObjectIdentifier,
    attributes: Element<'a>,
    algorithm: ObjectIdentifier,
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    fn read(token: Element<'a>) -> Result<Self, Problem> {
        let mut parts = token.elements()?;
        named(parts.take(OBJECT_IDENTIFIER)?, SIGNED_DATA)?;
        let mut body = parts.take(context(0))?.only(SEQUENCE)?.elements()?;
        parts.end()?;
        body.take(INTEGER)?;
        body.take(SET)?;
        let mut inner = body.take(SEQUENCE)?.elements()?;
        named(inner.take(OBJECT_IDENTIFIER)?, TIME_STAMP)?;
        let content = inner.take(context(0))?.only(OCTET_STRING)?.value;
        inner.end()?;
        let certificates = body.take_if(context(0))?.ok_or(Problem::Certificate)?;
        body.take_if(context(1))?;
        let signers = body.take(SET)?;
        body.end()?;
        // One authority, one signature.
        let mut info = signers.only(SEQUENCE)?.elements()?;
        info.take(INTEGER)?;
        let signer = info.next()?.ok_or(Problem::Malformed)?;
        let digest = algorithm(info.take(SEQUENCE)?)?;
        let attributes = info.take(context(0))?;
        let signature_algorithm = algorithm(info.take(SEQUENCE)?)?;
        let signature = info.take(OCTET_STRING)?.value;
        info.take_if(context(1))?;
        info.end()?;
        Ok(Self {
            content,
            certificates: certificates.elements()?.all(SEQUENCE)?,
            signer,
            digest,
            attributes,
            algorithm: signature_algorithm,
            signature,
        })
    }

    /// The certificate of whoever signed, and the others.
    fn signer(&self) -> Result<(Certificate<'a>, Vec<&'a [u8]>), Problem> {
        let (mut signer, mut others) = (None, Vec::new());
        for element in &self.certificates {
            // What it says of itself is not looked at in the others: webpki does.
            match Certificate::read(*element) {
                Ok(one) if signer.is_none() && one.is_named(self.signer)? => signer = Some(one),
                Ok(_) | Err(_) => others.push(element.bytes),
            }
        }
        Ok((signer.ok_or(Problem::Certificate)?, others))
    }

    /// The value of the one attribute of that kind.
    fn attribute(&self, wanted: ObjectIdentifier) -> Result<Option<Element<'a>>, Problem> {
        let mut found = None;
        for attribute in self.attributes.elements()?.all(SEQUENCE)? {
            let mut parts = attribute.elements()?;
            let identifier = parts.take(OBJECT_IDENTIFIER)?.identifier()?;
            let mut values = parts.take(SET)?.elements()?;
            parts.end()?;
            if identifier != wanted {
                continue;
            }
            let value = values.next()?.ok_or(Problem::Malformed)?;
            values.end()?;
            if found.replace(value).is_some() {
                return Err(Problem::Malformed);
            }
        }
        Ok(found)
    }

    /// That the certificate signed this content, as a time stamp, and meant itself by it.
    fn check(&self, certificate: &Certificate<'_>) -> Result<(), Problem> {
        let kind = self.attribute(CONTENT_TYPE)?.ok_or(Problem::Signature)?;
        named(kind, TIME_STAMP)?;
        let digest = self.attribute(MESSAGE_DIGEST)?.ok_or(Problem::Signature)?;
        let own = signature::digest(self.digest, self.content).ok_or(Problem::Algorithm)?;
        if digest.tag != OCTET_STRING || digest.value != own {
            return Err(Problem::Signature);
        }
        self.check_meant(certificate)?;
        // What is signed is the set, not the field that it stands in.
        let mut message = self.attributes.bytes.to_vec();
        if let Some(tag) = message.first_mut() {
            *tag = SET;
        }
        certificate.check_signature((self.digest, self.algorithm), &message, self.signature)
    }

    /// That the signed attributes name the certificate by its hash: another one for the same key may say something else.
    fn check_meant(&self, certificate: &Certificate<'_>) -> Result<(), Problem> {
        let first = self.attribute(SIGNING_CERTIFICATE)?;
        let second = self.attribute(SIGNING_CERTIFICATE_V2)?;
        if first.is_none() && second.is_none() {
            return Err(Problem::Certificate);
        }
        if let Some(first) = first {
            let hash = first_named(first)?.elements()?.take(OCTET_STRING)?;
            is_same(hash.value, &Sha1::digest(certificate.bytes))?;
        }
        if let Some(second) = second {
            let mut parts = first_named(second)?.elements()?;
            let own = match parts.take_if(SEQUENCE)? {
                Some(named) => signature::digest(algorithm(named)?, certificate.bytes),
                None => signature::digest(SHA_256, certificate.bytes),
            };
            let hash = parts.take(OCTET_STRING)?;
            is_same(hash.value, &own.ok_or(Problem::Algorithm)?)?;
        }
        Ok(())
    }
}

/// The first certificate that a signing-certificate attribute names: the signer's.
fn first_named(attribute: Element<'_>) -> Result<Element<'_>, Problem> {
    if attribute.tag != SEQUENCE {
        return Err(Problem::Malformed);
    }
    let certificates = attribute.elements()?.take(SEQUENCE)?;
    certificates.elements()?.take(SEQUENCE)
}

fn is_same(found: &[u8], own: &[u8]) -> Result<(), Problem> {
    match found == own {
        true => Ok(()),
        false => Err(Problem::Certificate),
    }
}

fn named(element: Element<'_>, identifier: ObjectIdentifier) -> Result<(), Problem> {
    match element.tag == OBJECT_IDENTIFIER && element.identifier()? == identifier {
        true => Ok(()),
        false => Err(Problem::Malformed),
    }
}

/// What the authority says: `TSTInfo`.
struct Info<'a> {
    at: Duration,
    nonce: Option<&'a [u8]>,
    imprint: (ObjectIdentifier, &'a [u8]),
}

impl<'a> Info<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Problem> {
        let mut parts = Element::whole(bytes, SEQUENCE)?.elements()?;
        if parts.take(INTEGER)?.value != [1] {
            return Err(Problem::Malformed);
        }
        parts.take(OBJECT_IDENTIFIER)?;
        let mut imprint = parts.take(SEQUENCE)?.elements()?;
        let digest = algorithm(imprint.take(SEQUENCE)?)?;
        let imprint = (digest, imprint.take(OCTET_STRING)?.value);
        parts.take(INTEGER)?;
        let at = time(parts.take(GENERALIZED_TIME)?)?;
        parts.take_if(SEQUENCE)?;
        parts.take_if(BOOLEAN)?;
        let nonce = parts.take_if(INTEGER)?.map(|nonce| nonce.bytes);
        parts.take_if(context(0))?;
        if let Some(extensions) = parts.take_if(context(1))?
            && has_critical(extensions)?
        {
            return Err(Problem::Malformed);
        }
        parts.end()?;
        Ok(Self { at, nonce, imprint })
    }

    fn check(&self, content: &[u8]) -> Result<(), Problem> {
        let own = Sha256::digest(content);
        match self.imprint.0 == SHA_256 && is_same(self.imprint.1, &own).is_ok() {
            true => Ok(()),
            false => Err(Problem::Imprint),
        }
    }
}

/// A time, which may have a fraction of a second; what is below a microsecond is left out.
///
/// # Source
/// RFC 3161, section 2.4.2, `genTime`.
fn time(element: Element<'_>) -> Result<Duration, Problem> {
    let text = std::str::from_utf8(element.value).map_err(|_| Problem::Malformed)?;
    let (whole, rest) = text
        .split_at_checked(TIME_DIGITS)
        .ok_or(Problem::Malformed)?;
    let fraction = rest.strip_suffix('Z').ok_or(Problem::Malformed)?;
    let der = [&[GENERALIZED_TIME, 15], whole.as_bytes(), b"Z"].concat();
    let whole = seconds(&der).map_err(|_| Problem::Malformed)?;
    if fraction.is_empty() {
        return Ok(whole);
    }
    let digits = fraction.strip_prefix('.').ok_or(Problem::Malformed)?;
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(Problem::Malformed);
    }
    let counted: String = digits
        .chars()
        .chain(std::iter::repeat('0'))
        .take(FRACTION_DIGITS)
        .collect();
    let micros: u64 = counted.parse().map_err(|_| Problem::Malformed)?;
    Ok(whole + Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, micros: Option<u128>) {
        let element = Element {
            tag: GENERALIZED_TIME,
            value: text.as_bytes(),
            bytes: &[],
        };
        assert_eq!(
            time(element).ok().map(|at| at.as_micros()),
            micros,
            "{text}"
        );
    }

    #[test]
    fn times_are_read_with_their_fractions_and_nothing_else_is_one() {
        check("20261120000000Z", Some(1_795_132_800_000_000));
        check("20261120000000.5Z", Some(1_795_132_800_500_000));
        check("20261120000000.1234567Z", Some(1_795_132_800_123_456));
        for bad in [
            "",
            "Z",
            "20261120000000",
            "20261120000000.Z",
            "20261120000000.1",
            "20261120000000.-1Z",
            "20261320000000Z",
            "2026112000000éZ",
            "20261120000000+0100",
            "20261120000000,5Z",
        ] {
            check(bad, None);
        }
    }
}
