use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `[media]`: where images are stored, the same place for all services.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MediaSettings {
    /// `s3://bucket[/prefix]` or `file:///folder`. Empty: the folder `media` in `data_dir`.
    pub url: String,
    /// Of an S3 service other than AWS, `http(s)://host[:port]`.
    pub endpoint: String,
    /// Of the bucket.
    pub region: String,
    /// Empty: as AWS's own tools find one (environment, web identity, the machine's role).
    pub access_key_id: String,
    /// Goes with `access_key_id`.
    pub secret_access_key: Secret,
}

impl MediaSettings {
    pub fn validate(&self) -> Result<(), String> {
        let url = &self.url;
        let bucket = url.strip_prefix("s3://").map(|place| place.split('/').next().unwrap_or_default());
        match bucket {
            Some("") => return Err("media.url: names no bucket".into()),
            None if !url.is_empty() && !url.starts_with("file:///") => {
                return Err("media.url: must be s3://bucket[/prefix] or file:///folder".into());
            }
            _ => {}
        }
        if !self.endpoint.is_empty() && !self.endpoint.starts_with("http://") && !self.endpoint.starts_with("https://")
        {
            return Err("media.endpoint: must be http(s)://host[:port]".into());
        }
        if self.access_key_id.is_empty() != self.secret_access_key.is_empty() {
            return Err("media: access_key_id and secret_access_key go together".into());
        }
        Ok(())
    }
}
