//! The API document.

use crate::handlers::{auth, cmd, im, media, socket, user};
use service_kit::openapi::Document;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(title = "svc-im-auth", description = "Identity: accounts, tokens, presence, media (documents 002 and 003)."),
    paths(
        auth::user_register,
        auth::user_token,
        auth::parse_token,
        auth::force_logout,
        user::get_users_online_status,
        user::get_users_info,
        user::update_user_info,
        im::user_get_token,
        im::customer_service_get_info,
        cmd::cmd,
        media::serve,
        socket::without_upgrade,
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
