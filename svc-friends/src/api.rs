//! The API document.

use crate::handlers::{avatars, lists, people, relations};
use service_kit::openapi::Document;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(title = "svc-friends", description = "Friends, requests, avatars (document 004)."),
    paths(
        lists::get_friends,
        lists::friend_message,
        people::get_person_info,
        relations::add_friend,
        relations::set_friend_remark,
        people::set_user_verify,
        relations::friend_agree,
        relations::friend_refuse,
        relations::del_friend,
        people::get_friend_info,
        relations::import_friends,
        avatars::upload_avatar,
        avatars::get_user_avatar,
        avatars::batch_get_user_avatar,
        people::get_user_verify,
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
