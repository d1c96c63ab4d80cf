//! Certificates of time stamp authorities: what a stamp rests on, and their chain to roots. Must never take a certificate that may be used for
//! anything else, nor one that was not valid when the stamp says that it was made.

use std::time::Duration;

use der::Decode as _;
use der::asn1::{GeneralizedTime, ObjectIdentifier, UtcTime};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::Problem;
use super::elements::{
    BIT_STRING, BOOLEAN, Element, Elements, GENERALIZED_TIME, INTEGER, OBJECT_IDENTIFIER,
    OCTET_STRING, SEQUENCE, SET, UTC_TIME, context, primitive,
};
use super::signature;

/// Extended key usage, and time stamping as one.
///
/// # Source
/// RFC 5280, section 4.2.1.12.
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
/// [`TIME_STAMPING`] as webpki wants it.
const TIME_STAMPING_BYTES: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 8];
const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
/// Names of a subject: what people know it by, the best first.
const NAMES: [ObjectIdentifier; 2] = [
    ObjectIdentifier::new_unwrap("2.5.4.3"),
    ObjectIdentifier::new_unwrap("2.5.4.10"),
];
/// UTF8String, PrintableString, IA5String.
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];
/// Characters of a name that are shown.
const NAME_LENGTH_MAX: usize = 120;

/// Root certificates that time stamps are trusted by.
#[derive(Clone)]
pub struct Roots {
    anchors: Vec<TrustAnchor<'static>>,
}

impl std::fmt::Debug for Roots {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Roots({})", self.anchors.len())
    }
}

impl Roots {
    /// Reads certificates in PEM; at least one.
    ///
    /// # Errors
    /// [`Problem::Roots`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, Problem> {
        let mut anchors = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| Problem::Roots)?;
            let anchor = anchor_from_trusted_cert(&certificate).map_err(|_| Problem::Roots)?;
            anchors.push(anchor.to_owned());
        }
        match anchors.is_empty() {
            true => Err(Problem::Roots),
            false => Ok(Self { anchors }),
        }
    }
}

/// A certificate of a stamp.
#[derive(Debug, Clone)]
pub(super) struct Certificate<'a> {
    pub(super) bytes: &'a [u8],
    issuer: &'a [u8],
    serial: &'a [u8],
    subject: Element<'a>,
    /// Since and until when it is valid, from 1970 on.
    validity: (Duration, Duration),
    extensions: Vec<Extension<'a>>,
}

#[derive(Debug, Clone, Copy)]
struct Extension<'a> {
    identifier: ObjectIdentifier,
    is_critical: bool,
    value: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// # Source
    /// RFC 5280, section 4.1.
    pub(super) fn read(certificate: Element<'a>) -> Result<Self, Problem> {
        let mut parts = certificate.elements()?;
        let mut body = parts.take(SEQUENCE)?.elements()?;
        parts.take(SEQUENCE)?;
        parts.take(BIT_STRING)?;
        parts.end()?;
        body.take_if(context(0))?;
        let serial = body.take(INTEGER)?.value;
        body.take(SEQUENCE)?;
        let issuer = body.take(SEQUENCE)?.bytes;
        let mut validity = body.take(SEQUENCE)?.elements()?;
        let validity = (time(&mut validity)?, time(&mut validity)?);
        let subject = body.take(SEQUENCE)?;
        body.take(SEQUENCE)?;
        body.take_if(primitive(1))?;
        body.take_if(primitive(2))?;
        let extensions = match body.take_if(context(3))? {
            Some(extensions) => extensions.only(SEQUENCE)?.elements()?.all(SEQUENCE)?,
            None => Vec::new(),
        };
        body.end()?;
        let extensions = extensions.into_iter().map(extension);
        Ok(Self {
            bytes: certificate.bytes,
            issuer,
            serial,
            subject,
            validity,
            extensions: extensions.collect::<Result<_, _>>()?,
        })
    }

    /// Whether `signer`, a `SignerIdentifier`, names this one.
    ///
    /// # Source
    /// RFC 5652, section 5.3.
    pub(super) fn is_named(&self, signer: Element<'_>) -> Result<bool, Problem> {
        if signer.tag == SEQUENCE {
            let mut parts = signer.elements()?;
            let (issuer, serial) = (parts.take(SEQUENCE)?, parts.take(INTEGER)?);
            parts.end()?;
            return Ok(issuer.bytes == self.issuer && serial.value == self.serial);
        }
        if signer.tag != primitive(0) {
            return Err(Problem::Malformed);
        }
        let Some(own) = self.extension(SUBJECT_KEY_IDENTIFIER)? else {
            return Ok(false);
        };
        Ok(Element::whole(own.value, OCTET_STRING)?.value == signer.value)
    }

    /// The one extension of that kind.
    fn extension(&self, identifier: ObjectIdentifier) -> Result<Option<Extension<'a>>, Problem> {
        let mut found = self
            .extensions
            .iter()
            .filter(|extension| extension.identifier == identifier);
        match (found.next(), found.next()) {
            (found, None) => Ok(found.copied()),
            (_, Some(_)) => Err(Problem::Malformed),
        }
    }

    /// That it is for time stamps, and says that for nothing else, and that whoever doesn't know what that is must not use it.
    ///
    /// # Source
    /// RFC 3161, section 2.3.
    pub(super) fn check_usage(&self) -> Result<(), Problem> {
        let usage = self.extension(EXTENDED_KEY_USAGE)?.ok_or(Problem::Usage)?;
        let usages = Element::whole(usage.value, SEQUENCE)?.elements()?;
        let usages = usages.all(OBJECT_IDENTIFIER)?;
        match usages.as_slice() {
            [only] if usage.is_critical && only.identifier()? == TIME_STAMPING => Ok(()),
            _ => Err(Problem::Usage),
        }
    }

    /// That it was valid then.
    pub(super) fn check_time(&self, at: Duration) -> Result<(), Problem> {
        let (since, until) = self.validity;
        // It names whole seconds, and is valid through the last of them.
        match since <= at && at.as_secs() <= until.as_secs() {
            true => Ok(()),
            false => Err(Problem::Expired),
        }
    }

    /// That it signed the message.
    pub(super) fn check_signature(
        &self,
        algorithms: (ObjectIdentifier, ObjectIdentifier),
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Problem> {
        let der = CertificateDer::from(self.bytes);
        let certificate = EndEntityCert::try_from(&der).map_err(|_| Problem::Certificate)?;
        let candidates = signature::candidates(algorithms).ok_or(Problem::Algorithm)?;
        let is_signed = candidates.iter().any(|algorithm| {
            let verified = certificate.verify_signature(*algorithm, message, signature);
            verified.is_ok()
        });
        match is_signed {
            true => Ok(()),
            false => Err(Problem::Signature),
        }
    }

    /// That one of the roots stood behind it then, through the others.
    pub(super) fn check_chain(
        &self,
        others: &[&[u8]],
        roots: &Roots,
        at: Duration,
    ) -> Result<(), Problem> {
        let der = CertificateDer::from(self.bytes);
        let certificate = EndEntityCert::try_from(&der).map_err(|_| Problem::Certificate)?;
        let others: Vec<_> = others
            .iter()
            .map(|bytes| CertificateDer::from(*bytes))
            .collect();
        let verified = certificate.verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &roots.anchors,
            &others,
            UnixTime::since_unix_epoch(at),
            KeyUsage::required(TIME_STAMPING_BYTES),
            None,
            None,
        );
        verified.map(|_| ()).map_err(|_| Problem::Chain)
    }

    /// What its subject is called, for people: no control characters, and not too much.
    pub(super) fn subject(&self) -> Result<String, Problem> {
        let mut names: [Option<String>; NAMES.len()] = Default::default();
        for set in self.subject.elements()?.all(SET)? {
            for attribute in set.elements()?.all(SEQUENCE)? {
                let mut parts = attribute.elements()?;
                let identifier = parts.take(OBJECT_IDENTIFIER)?.identifier()?;
                let value = parts.next()?.ok_or(Problem::Malformed)?;
                parts.end()?;
                let place = NAMES.iter().position(|name| *name == identifier);
                let name = place.and_then(|place| names.get_mut(place));
                if let Some(name) = name
                    && TEXTS.contains(&value.tag)
                {
                    *name = std::str::from_utf8(value.value).ok().map(shown);
                }
            }
        }
        let name = names.into_iter().flatten().next();
        Ok(name.unwrap_or_else(|| "an authority without a name".to_owned()))
    }
}

fn shown(name: &str) -> String {
    let shown = name.chars().take(NAME_LENGTH_MAX);
    let shown = shown.map(|one| if one.is_control() { '?' } else { one });
    shown.collect()
}

fn extension(element: Element<'_>) -> Result<Extension<'_>, Problem> {
    let mut parts = element.elements()?;
    let identifier = parts.take(OBJECT_IDENTIFIER)?.identifier()?;
    let critical = parts.take_if(BOOLEAN)?;
    let value = parts.take(OCTET_STRING)?.value;
    parts.end()?;
    Ok(Extension {
        identifier,
        is_critical: critical.is_some_and(|critical| critical.value == [0xff]),
        value,
    })
}

/// Whether one of these extensions must be understood.
pub(super) fn has_critical(extensions: Element<'_>) -> Result<bool, Problem> {
    let mut is_any = false;
    for element in extensions.elements()?.all(SEQUENCE)? {
        is_any |= extension(element)?.is_critical;
    }
    Ok(is_any)
}

fn time(parts: &mut Elements<'_>) -> Result<Duration, Problem> {
    let element = parts.next()?.ok_or(Problem::Malformed)?;
    let time = match element.tag {
        UTC_TIME => UtcTime::from_der(element.bytes).map(|time| time.to_unix_duration()),
        GENERALIZED_TIME => seconds(element.bytes),
        _ => return Err(Problem::Malformed),
    };
    time.map_err(|_| Problem::Malformed)
}

/// A GeneralizedTime of whole seconds.
pub(super) fn seconds(bytes: &[u8]) -> der::Result<Duration> {
    GeneralizedTime::from_der(bytes).map(|time| time.to_unix_duration())
}
