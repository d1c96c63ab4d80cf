//! Passwords of Amazon RDS and Aurora with IAM authentication: tokens that are signed here for one role at one address, and
//! that the server takes in place of a password. Nothing is asked of Amazon for it but the credentials to sign with.
//!
//! It must never sign for another address than the one that is connected to.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use object_store::aws::{AmazonS3Builder, AwsCredential, AwsCredentialProvider};
use provost_gateway::settings::{Asked, Secret, Source, Unavailable};
use url::Url;

/// How long a token is good.
///
/// # Source
/// Amazon RDS User Guide, "IAM database authentication": 15 minutes.
const TOKEN_LIFE: Duration = Duration::from_secs(900);
/// After how long another is signed: early enough for a connection to be made with it.
pub(super) const TOKEN_AGE_MAX: Duration = Duration::from_secs(600);
/// The service that a token is for.
const SERVICE: &str = "rds-db";

/// Who may log in where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) region: String,
}

/// Signs tokens.
#[derive(Debug)]
pub(super) struct Signer {
    login: Login,
    credentials: AwsCredentialProvider,
}

impl Signer {
    /// Takes the credentials to sign with from where Amazon's tools look: the AWS_* variables, a web identity's token, the
    /// container's or the machine's role.
    pub(super) fn new(login: Login) -> Result<Self, Unavailable> {
        // The store of objects is never used: it is what knows how to find credentials.
        let store = AmazonS3Builder::from_env()
            .with_bucket_name("unused")
            .with_region(&login.region)
            .build()
            .map_err(unavailable)?;
        Ok(Self {
            login,
            credentials: store.credentials().clone(),
        })
    }
}

impl Source for Signer {
    fn password(&self) -> Asked<'_> {
        Box::pin(async {
            let credential = self
                .credentials
                .get_credential()
                .await
                .map_err(unavailable)?;
            token(&self.login, &credential, SystemTime::now())
        })
    }
}

/// The token of a login, signed at a time.
fn token(
    login: &Login,
    credential: &AwsCredential,
    signed_at: SystemTime,
) -> Result<Secret, Unavailable> {
    let mut url =
        Url::parse(&format!("https://{}:{}/", login.host, login.port)).map_err(unavailable)?;
    url.query_pairs_mut()
        .append_pair("Action", "connect")
        .append_pair("DBUser", &login.user);
    let identity = Credentials::new(
        &credential.key_id,
        &credential.secret_key,
        credential.token.clone(),
        None,
        "provost",
    )
    .into();
    let mut settings = SigningSettings::default();
    settings.expires_in = Some(TOKEN_LIFE);
    settings.signature_location = SignatureLocation::QueryParams;
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(&login.region)
        .name(SERVICE)
        .time(signed_at)
        .settings(settings)
        .build()
        .map_err(unavailable)?
        .into();
    let request = SignableRequest::new(
        "GET",
        url.as_str(),
        std::iter::empty(),
        SignableBody::empty(),
    )
    .map_err(unavailable)?;
    let (signed, _) = sign(request, &parameters)
        .map_err(unavailable)?
        .into_parts();
    for (name, value) in signed.params() {
        url.query_pairs_mut().append_pair(name, value);
    }
    let text = url.as_str();
    let token = text.strip_prefix("https://").unwrap_or(text);
    Ok(Secret::new(token.as_bytes()))
}

fn unavailable(error: impl std::error::Error) -> Unavailable {
    Unavailable {
        what: format!("no token for RDS could be signed: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Tokens that `generate_db_auth_token` of botocore 1.44.5 gives at 2016-11-07T17:39:33Z for the key `akid`, `skid`.
    #[test]
    fn tokens_are_those_of_amazons_own_tools() {
        let cases = [
            (
                (
                    "prod-instance.us-east-1.rds.amazonaws.com",
                    3306,
                    "mySQLUser",
                    None,
                ),
                "prod-instance.us-east-1.rds.amazonaws.com:3306/?Action=connect&DBUser=mySQLUser&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=akid%2F20161107%2Fus-east-1%2Frds-db%2Faws4_request&X-Amz-Date=20161107T173933Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=c22b65b4b0d7e441e26a586a93cc3f01d5d14a4ff20cf608d38214c60046879f",
            ),
            (
                (
                    "db.example.com",
                    5432,
                    "pro.vost@corp",
                    Some("session/token+="),
                ),
                "db.example.com:5432/?Action=connect&DBUser=pro.vost%40corp&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=akid%2F20161107%2Fus-east-1%2Frds-db%2Faws4_request&X-Amz-Date=20161107T173933Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Security-Token=session%2Ftoken%2B%3D&X-Amz-Signature=af922181e83a236de900fc0144a5cececae6bce3d116813c97c667bf8757318d",
            ),
        ];
        for ((host, port, user, session), expected) in cases {
            let login = Login {
                host: host.to_owned(),
                port,
                user: user.to_owned(),
                region: "us-east-1".to_owned(),
            };
            let credential = AwsCredential {
                key_id: "akid".to_owned(),
                secret_key: "skid".to_owned(),
                token: session.map(str::to_owned),
            };
            let signed_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_478_540_373);
            let found = token(&login, &credential, signed_at).unwrap();
            let found = std::str::from_utf8(found.reveal()).unwrap();
            // The order of the parameters is the tool's own.
            let parts = |token: &str| -> BTreeSet<String> {
                token.split(['?', '&']).map(str::to_owned).collect()
            };
            assert_eq!(parts(found), parts(expected));
        }
    }
}
