//! This module provides the credentials that sign requests.

use std::sync::Arc;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_credential_types::provider::{error::CredentialsError, future};
use aws_sdk_s3::config::{Credentials as Keys, ProvideCredentials, Region, SharedCredentialsProvider};
use tokio::sync::OnceCell;

use crate::config::{Credentials, ObjectStoreSettings};

pub(super) fn provider(settings: &ObjectStoreSettings) -> SharedCredentialsProvider {
    match &settings.credentials {
        Credentials::Keys { access, secret, session_token } => {
            let token = session_token.as_ref().map(|token| token.expose().to_owned());
            SharedCredentialsProvider::new(Keys::new(access, secret.expose(), token, None, "configuration"))
        }
        Credentials::Aws { profile } => SharedCredentialsProvider::new(AwsChain {
            profile: profile.clone(),
            region: settings.region.clone(),
            chain: Arc::new(OnceCell::new()),
        }),
    }
}

/// AWS's default chain, built at the first request. The client caches credentials and asks again before they expire.
#[derive(Debug)]
struct AwsChain {
    profile: Option<String>,
    region: String,
    chain: Arc<OnceCell<DefaultCredentialsChain>>,
}

impl AwsChain {
    async fn credentials(&self) -> Result<Keys, CredentialsError> {
        let chain = self.chain.get_or_init(|| async {
            let mut builder = DefaultCredentialsChain::builder().region(Region::new(self.region.clone()));
            if let Some(profile) = &self.profile {
                builder = builder.profile_name(profile);
            }
            builder.build().await
        });
        chain.await.provide_credentials().await
    }
}

impl ProvideCredentials for AwsChain {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}
