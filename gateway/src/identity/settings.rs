//! Which issuer is trusted, for which audience, and which claims say what. Plain data.

use jsonwebtoken as jwt;

/// A signature algorithm a token may use.
///
/// `none` and the HMAC family are not in the enum: they cannot be configured.
///
/// # Source
/// RFC 7518, 3.1; RFC 8037, 3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// The `alg` name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm called `name` (names are case-sensitive), if it is one that can be trusted.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }

    /// The same in the words of the library that verifies.
    pub(crate) const fn to_library(self) -> jwt::Algorithm {
        match self {
            Self::Rs256 => jwt::Algorithm::RS256,
            Self::Rs384 => jwt::Algorithm::RS384,
            Self::Rs512 => jwt::Algorithm::RS512,
            Self::Ps256 => jwt::Algorithm::PS256,
            Self::Ps384 => jwt::Algorithm::PS384,
            Self::Ps512 => jwt::Algorithm::PS512,
            Self::Es256 => jwt::Algorithm::ES256,
            Self::Es384 => jwt::Algorithm::ES384,
            Self::EdDsa => jwt::Algorithm::EdDSA,
        }
    }
}

/// How a token says whether its actor is a human, an agent or a service.
///
/// The claim speaks first, then the groups; who is named by neither is a human.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KindRule {
    /// A claim whose value is `human`, `agent` or `service`; any other value refuses the token.
    pub claim: Option<String>,
    /// Members of any of these groups are agents.
    pub agent_groups: Vec<String>,
    /// Members of any of these groups (and of none above) are services.
    pub service_groups: Vec<String>,
}

/// How a token names the person behind an agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Delegation {
    /// It doesn't: the token's subject is the actor.
    #[default]
    None,
    /// By the `act` claim of RFC 8693, 4.1: the token's subject is the person, `act` is the actor, an object that carries the
    /// principal claim (and the groups claim) of the actor. A nested `act` is history and grants nothing.
    Actor,
    /// By a claim of this name: the token's subject is the actor, the claim is the person: their id, or an object that
    /// carries the principal claim (and the groups claim).
    Claim(String),
}

/// Which claims say what. Names are exact; a `.` is part of the name, not a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRules {
    /// The principal's id: `sub`, `email`, `preferred_username`.
    pub principal: String,
    /// The groups: a list of names, or one name.
    pub groups: String,
    /// Human, agent or service.
    pub kind: KindRule,
    /// The person behind an agent.
    pub delegation: Delegation,
}

impl Default for ClaimRules {
    fn default() -> Self {
        Self {
            principal: "sub".to_owned(),
            groups: "groups".to_owned(),
            kind: KindRule::default(),
            delegation: Delegation::None,
        }
    }
}

/// An OpenID Connect issuer and what its tokens must look like.
#[derive(Debug, Clone)]
pub struct IssuerSettings {
    /// The issuer's URL, exactly as its tokens' `iss` says it. `https`, or `http` on loopback.
    pub url: String,
    /// A token must be meant for one of these (`aud`).
    pub audiences: Vec<String>,
    /// Algorithms a token may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// Which claims say what.
    pub claims: ClaimRules,
    /// How far the issuer's clock and ours may differ, in seconds.
    pub leeway_seconds: u64,
    /// A certificate authority to trust for the issuer's TLS beside the well-known ones, PEM.
    pub extra_ca: Option<Vec<u8>>,
}

impl IssuerSettings {
    /// [`IssuerSettings::leeway_seconds`] unless configured.
    pub const LEEWAY_SECONDS: u64 = 30;
    /// The largest leeway that makes sense; the configuration refuses more.
    pub const LEEWAY_SECONDS_MAX: u64 = 300;
    /// [`IssuerSettings::algorithms`] unless configured.
    pub const ALGORITHMS: [Algorithm; 3] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

    /// Settings with every default.
    #[must_use]
    pub fn new(url: String, audiences: Vec<String>) -> Self {
        Self {
            url,
            audiences,
            algorithms: Self::ALGORITHMS.to_vec(),
            claims: ClaimRules::default(),
            leeway_seconds: Self::LEEWAY_SECONDS,
            extra_ca: None,
        }
    }
}
