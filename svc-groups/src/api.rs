//! The API document.

use crate::handlers::{groups, lists, members};
use service_kit::openapi::Document;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(title = "svc-groups", description = "Groups and memberships (document 003)."),
    paths(
        groups::group_create,
        groups::group_dismiss,
        groups::group_get_info,
        members::group_join,
        members::group_quit,
        members::group_sync,
        lists::group_get_user_list,
        lists::user_get_group_list,
    )
)]
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
