//! What is an image: by signature and parsed header, whatever name or type the client gave it.

use crate::error::{Code, Error, Result};
use crate::links::{Kind, MediaName};
use crate::params::{Held, Room, read_body, read_with_file};
use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::http::header::HeaderMap;
use actix_web::web::Bytes;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Images hold at most this many bytes.
pub const IMAGE_LIMIT: usize = 5 << 20;

/// We decode nothing, but whoever is shown the image does: more than these is nobody's portrait.
const MAX_SIDE: usize = 16_384;
const MAX_PIXELS: usize = 1 << 27;

/// An image of a type that we store.
pub struct Image {
    pub(super) name: MediaName,
    pub(super) content: Bytes,
    _room: Option<Room>,
}

impl Image {
    /// Refuses whatever is too large or not jpg, png, gif or bmp.
    pub fn new(content: Bytes) -> Result<Self> {
        if content.len() > IMAGE_LIMIT {
            return Err(Code::ImageRefused.into());
        }
        let kind = kind_of(&content).ok_or(Code::ImageRefused)?;
        let (width, height) = size_of(kind, &content)?;
        let pixels = width.checked_mul(height);
        if width.max(height) > MAX_SIDE || !pixels.is_some_and(|p| (1..=MAX_PIXELS).contains(&p)) {
            return Err(Error::new(Code::ImageRefused, "the image's width or height is not allowed"));
        }
        Ok(Self { name: MediaName::new(&Sha256::digest(&content).into(), kind), content, _room: None })
    }

    pub fn name(&self) -> &MediaName {
        &self.name
    }
}

/// What a client uploads, refused as soon as it is too large; whether it is an image is told at its end.
pub struct Upload(Held);

impl Upload {
    /// A request's whole body.
    pub async fn of_body(payload: Payload, headers: &HeaderMap) -> Result<Self> {
        read_body(payload, headers, IMAGE_LIMIT).await.map(Self).map_err(refused)
    }

    /// The parameters of a multipart request of family A, and its file part `name`, if there is one.
    pub async fn of_form(
        req: &HttpRequest,
        payload: Payload,
        name: &str,
    ) -> Result<(Map<String, Value>, Option<Self>)> {
        let (map, file) = read_with_file(req, payload, name, IMAGE_LIMIT).await.map_err(refused)?;
        Ok((map, file.map(Self)))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn into_image(self) -> Result<Image> {
        let (content, room) = self.0.into_parts();
        Ok(Image { _room: Some(room), ..Image::new(content)? })
    }
}

fn refused(e: Error) -> Error {
    match e.code() {
        Code::BodyTooLarge => Error::new(Code::ImageRefused, "the image is larger than 5 MiB"),
        _ => e,
    }
}

fn kind_of(content: &[u8]) -> Option<Kind> {
    if content.starts_with(b"\xff\xd8\xff") {
        Some(Kind::Jpeg)
    } else if content.starts_with(b"\x89PNG\r\n\x1a\n") && content.get(8..16) == Some(b"\0\0\0\x0dIHDR") {
        Some(Kind::Png)
    } else if content.starts_with(b"GIF87a") || content.starts_with(b"GIF89a") {
        Some(Kind::Gif)
    } else if content.starts_with(b"BM") {
        Some(Kind::Bmp)
    } else {
        None
    }
}

fn size_of(kind: Kind, content: &[u8]) -> Result<(usize, usize)> {
    if kind == Kind::Bmp {
        return bitmap_size(content).ok_or_else(|| Code::ImageRefused.into());
    }
    let size = imagesize::blob_size(content).map_err(|e| Error::from(Code::ImageRefused).because(e))?;
    Ok((size.width, size.height))
}

/// "BM" alone begins many a text: the header behind it must be one that exists. (`imagesize` knows neither OS/2's
/// header nor rows from the top down, which have a negative height.)
fn bitmap_size(content: &[u8]) -> Option<(usize, usize)> {
    let u16_at = |at: usize| content.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    let i32_at = |at: usize| content.get(at..at + 4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let (width, height, planes, depth) = match i32_at(14)? {
        12 => (i32::from(u16_at(18)?), i32::from(u16_at(20)?), u16_at(22)?, u16_at(24)?),
        40 | 52 | 56 | 64 | 108 | 124 => (i32_at(18)?, i32_at(22)?, u16_at(26)?, u16_at(28)?),
        _ => return None,
    };
    let known = planes == 1 && matches!(depth, 1 | 2 | 4 | 8 | 16 | 24 | 32);
    let size = (usize::try_from(width).ok()?, usize::try_from(height.unsigned_abs()).ok()?);
    known.then_some(size)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        png.extend(width.to_be_bytes());
        png.extend(height.to_be_bytes());
        png.extend([8, 2, 0, 0, 0, 0, 0, 0, 0]);
        png
    }

    fn bmp(width: i32, height: i32) -> Vec<u8> {
        let mut bmp = b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
        bmp.extend(width.to_le_bytes());
        bmp.extend(height.to_le_bytes());
        bmp.extend([1, 0, 24, 0]);
        bmp.resize(58, 0);
        bmp
    }

    const GIF: &[u8] = b"GIF89a\x02\0\x03\0\x80\0\0\0\0\0\xff\xff\xff;";
    const JPEG: &[u8] =
        b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xc0\0\x0b\x08\0\x02\0\x03\x01\x01\x11\0\xff\xd9";

    #[test]
    fn the_content_decides_the_type() {
        for (content, kind) in [
            (png(3, 2), "image/png"),
            (bmp(3, 2), "image/bmp"),
            (bmp(3, -2), "image/bmp"),
            (GIF.to_vec(), "image/gif"),
            (JPEG.to_vec(), "image/jpeg"),
        ] {
            assert_eq!(Image::new(content.into()).unwrap().name().content_type(), kind);
        }
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let mut too_large = png(3, 2);
        too_large.resize(IMAGE_LIMIT + 1, 0);
        for (what, content) in [
            ("svg", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_vec()),
            ("html", b"<html><script>alert(1)</script>".to_vec()),
            (
                "text that begins like a bitmap",
                b"BM<html><script>alert(1)</script> and some more of this text".to_vec(),
            ),
            ("signature only", b"\x89PNG\r\n\x1a\n".to_vec()),
            ("gif without a header", b"GIF89a".to_vec()),
            ("jpeg without a frame", b"\xff\xd8\xff\xe0\0\x04ab\xff\xd9".to_vec()),
            ("webp", b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0".to_vec()),
            ("nothing", Vec::new()),
            ("too large", too_large),
        ] {
            assert_eq!(Image::new(content.into()).err().map(|e| e.code()), Some(Code::ImageRefused), "{what}");
        }
    }

    #[test]
    fn sizes_that_only_a_bomb_has_are_refused() {
        for (width, height) in [(0, 2), (2, 0), (60_000, 60_000), (16_384, 16_384), (u32::MAX, u32::MAX), (1, 16_385)] {
            assert!(Image::new(png(width, height).into()).is_err(), "{width} x {height}");
        }
        assert!(Image::new(png(16_384, 8_192).into()).is_ok());
    }

    #[test]
    fn one_content_has_one_name() {
        let name = |content: &[u8]| Image::new(content.to_vec().into()).unwrap().name().clone();
        assert_eq!(name(GIF), name(GIF));
        assert_ne!(name(&png(1, 1)), name(&png(1, 2)));
    }
}

#[cfg(all(test, feature = "testkit"))]
mod fuzz {
    use super::*;
    use crate::testkit::fuzz::target;

    #[test]
    fn image() {
        target(env!("CARGO_MANIFEST_DIR"), "image", |input| {
            let image = match Image::new(Bytes::copy_from_slice(input)) {
                Ok(image) => image,
                Err(e) => return assert_eq!(e.code(), Code::ImageRefused),
            };
            let number = |at: usize| input.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
            let sides = |width: Option<u32>, height: Option<u32>| {
                let within = |side: Option<u32>| side.is_some_and(|side| (1..=16_384).contains(&side));
                assert!(within(width) && within(height), "{width:?} x {height:?}");
            };
            let small = |at: usize| input.get(at..at + 2).map(|b| u32::from(u16::from_le_bytes([b[0], b[1]])));
            match image.name().content_type() {
                "image/jpeg" => assert!(input.starts_with(&[0xff, 0xd8, 0xff])),
                "image/png" => {
                    assert!(input.starts_with(b"\x89PNG"));
                    sides(number(16), number(20));
                }
                "image/gif" => {
                    assert!(input.starts_with(b"GIF8"));
                    sides(small(6), small(8));
                }
                "image/bmp" => assert!(input.starts_with(b"BM")),
                other => panic!("served as {other}"),
            }
            assert_eq!(MediaName::parse(image.name().as_str()).as_ref(), Some(image.name()));
        });
    }
}
