//! The media store: images under the hash of their content, in a local folder or in S3, one store for all services.
//!
//! Whoever takes an upload writes it here and keeps its [`MediaName`]; svc-im-auth serves them all below `/media`.
//! Nothing is ever decoded: signature and header decide what a file is, so a decompression bomb is only a file.

mod image;
mod store;

pub use crate::links::{LinkBase, Links, MediaName};
pub use image::{IMAGE_LIMIT, Image, Upload};
pub use store::{Found, MediaStore};
