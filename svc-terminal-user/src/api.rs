//! The API document.

use crate::handlers::{courses, info, legacy, page, replace, rongcloud};
use service_kit::openapi::Document;
use shared_models::schema::{PlatformOrEmpty, TuserKeyOrEmpty, UidOrEmpty};
use shared_models::{Text, TuserKey};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(info(title = "svc-terminal-user", description = "Terminal users and the binding page (documents 000 and 001)."), paths(
    rongcloud::sync_basics,
    rongcloud::sync_portrait,
    rongcloud::get_token,
    rongcloud::get_user,
    info::get_status,
    info::get_info,
    info::send_matrix_info,
    courses::sync_validity,
    courses::sync_record,
    replace::replace_key,
    legacy::register,
    page::show,
    page::state,
    page::style,
    page::script,
    page::sign_in,
    page::sign_out,
    page::unbind,
), components(schemas(
    // Of parameters, which utoipa does not follow.
    PlatformOrEmpty,
    Text<64>,
    Text<64, 1>,
    Text<128>,
    Text<256, 1>,
    Text<512>,
    Text<1024>,
    TuserKey,
    TuserKeyOrEmpty,
    UidOrEmpty,
)))]
struct Api;

pub fn document() -> Document {
    Document::of_service(&Api::openapi())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes;
    use service_kit::openapi::differences;

    #[test]
    fn every_route_is_documented_and_every_documented_call_is_routed() {
        assert_eq!(differences(&routes::calls(), &document()), Vec::<String>::new());
    }
}
