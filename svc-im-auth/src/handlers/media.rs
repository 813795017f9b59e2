//! `/media/…`: the images that any of the services took in.

use super::HandledMedia;
use actix_web::body::SizedStream;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use service_kit::media::{MediaName, MediaStore};
use service_kit::{Code, Error};

/// A name is the hash of its content: whoever has it once has it for good.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// `GET|HEAD /media/{name}`
#[utoipa::path(get, path = "/media/{name}", summary = "An image that was uploaded",
    params(("name" = String, Path, description = "As it stands in a link: hash of the content and extension",
        example = "0d1cf5cc0f2a2a1ee9a1d9ef1a0a5d3e2c7ae3ae8e3f5d4b8c9b1a5e6f708192.jpg")),
    responses((status = 200, description = "The image", content(
            (Vec<u8> = "image/jpeg"), (Vec<u8> = "image/png"), (Vec<u8> = "image/gif"), (Vec<u8> = "image/bmp"))),
        (status = 304, description = "Still the same: the name is that of its content")),
    extensions(("x-bare" = json!(true)), ("x-failures" = json!({"200": ["Internal", "Unreachable"]}))))]
pub async fn serve(req: HttpRequest, media: Data<MediaStore>, name: Path<String>) -> HttpResponse {
    image(&req, &media, &name).await.unwrap_or_else(|failure| {
        // Most are HTTP 200, which caches keep if nobody tells them not to.
        let mut answer = failure.error_response();
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    })
}

async fn image(req: &HttpRequest, media: &MediaStore, name: &str) -> HandledMedia {
    let unknown = || Error::from(Code::UnknownPath);
    let name = MediaName::parse(name).ok_or_else(unknown)?;
    if req.headers().get(IF_NONE_MATCH).and_then(|v| v.to_str().ok()) == Some(&tag(&name)) {
        return Ok(head(StatusCode::NOT_MODIFIED, &name).finish());
    }
    if req.method() == Method::HEAD {
        let size = media.head(&name).await?.ok_or_else(unknown)?;
        // The size is that of the body that a GET would have; none is sent.
        let nothing = futures_util::stream::empty::<Result<_, std::io::Error>>();
        return Ok(head(StatusCode::OK, &name).body(SizedStream::new(size, nothing)));
    }
    let found = media.get(&name).await?.ok_or_else(unknown)?;
    Ok(head(StatusCode::OK, &name).body(SizedStream::new(found.size, found.content)))
}

/// Nothing in an answer but its body comes from whoever uploaded it, and nothing in it is ever run.
fn head(status: StatusCode, name: &MediaName) -> actix_web::HttpResponseBuilder {
    let mut answer = HttpResponse::build(status);
    answer
        .insert_header((CONTENT_TYPE, name.content_type()))
        .insert_header((CACHE_CONTROL, FOREVER))
        .insert_header((ETAG, tag(name)))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"));
    answer
}

fn tag(name: &MediaName) -> String {
    format!("\"{name}\"")
}
