//! One client for each bucket, container or web server, with the credentials of the environment.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::{ClientOptions, ObjectStore};

use super::error::failed;
use crate::error::Result;

/// Where the endpoint of an S3-compatible store is named.
const ENDPOINTS: [&str; 3] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];

/// The kinds of stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    S3,
    GoogleCloud,
    Azure,
    /// Only for reading single files: web servers have no listings.
    Web,
}

impl Kind {
    /// The kind that a scheme names.
    pub(super) fn of(scheme: &str) -> Option<Kind> {
        match scheme {
            "s3" | "s3a" => Some(Kind::S3),
            "gs" => Some(Kind::GoogleCloud),
            "az" | "abfs" | "abfss" => Some(Kind::Azure),
            "http" | "https" => Some(Kind::Web),
            _ => None,
        }
    }
}

/// The client for `root`, such as `s3://bucket`. Clients keep their connections, so each is made once.
pub(super) fn of(kind: Kind, root: &str) -> Result<Arc<dyn ObjectStore>> {
    static CLIENTS: Mutex<BTreeMap<String, Arc<dyn ObjectStore>>> = Mutex::new(BTreeMap::new());
    let mut clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(client) = clients.get(root) {
        return Ok(client.clone());
    }
    let client = build(kind, root).map_err(|error| failed(Path::new(root), "open", error))?;
    clients.insert(root.to_string(), client.clone());
    Ok(client)
}

fn build(kind: Kind, root: &str) -> object_store::Result<Arc<dyn ObjectStore>> {
    Ok(match kind {
        Kind::S3 => {
            let builder = AmazonS3Builder::from_env().with_url(root);
            let builder = if has_plain_endpoint() { builder.with_allow_http(true) } else { builder };
            Arc::new(builder.build()?)
        }
        Kind::GoogleCloud => Arc::new(GoogleCloudStorageBuilder::from_env().with_url(root).build()?),
        Kind::Azure => Arc::new(MicrosoftAzureBuilder::from_env().with_url(root).build()?),
        Kind::Web => {
            let options = ClientOptions::new().with_allow_http(root.starts_with("http:"));
            Arc::new(HttpBuilder::new().with_client_options(options).with_url(root).build()?)
        }
    })
}

/// True if the user names an endpoint without TLS.
fn has_plain_endpoint() -> bool {
    let named = ENDPOINTS.iter().find_map(|name| std::env::var(name).ok());
    named.is_some_and(|endpoint| endpoint.starts_with("http://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_names_its_kind_of_store() {
        let kinds = ["s3", "s3a", "gs", "az", "abfs", "abfss", "http", "https", "file"].map(Kind::of);
        let [s3, cloud, azure, web] = [Kind::S3, Kind::GoogleCloud, Kind::Azure, Kind::Web].map(Some);
        assert_eq!(kinds, [s3, s3, cloud, azure, azure, azure, web, web, None]);
    }
}
