//! The only route table.

use crate::domain::Core;
use crate::handlers::{auth, cmd, im, internal, media, socket, user};
use actix_web::web::{Data, ServiceConfig};
use service_kit::media::{LinkBase, MediaStore};
use service_kit::wire::{
    Call, ErrCodeMsg, Internal, RetReason, change_by_get_or_post, get, post, serve_calls, upgraded,
};

pub fn public(cfg: &mut ServiceConfig, core: Core, media: MediaStore, links: LinkBase) {
    cfg.app_data(Data::new(core)).app_data(Data::new(media)).app_data(Data::new(links));
    serve_calls(cfg, calls());
}

pub fn calls() -> Vec<Call> {
    vec![
        post::<ErrCodeMsg, _, _>("/auth/user_register", auth::user_register),
        post::<ErrCodeMsg, _, _>("/auth/user_token", auth::user_token),
        post::<ErrCodeMsg, _, _>("/auth/parse_token", auth::parse_token),
        post::<ErrCodeMsg, _, _>("/auth/force_logout", auth::force_logout),
        post::<ErrCodeMsg, _, _>("/user/get_users_online_status", user::get_users_online_status),
        post::<ErrCodeMsg, _, _>("/user/get_users_info", user::get_users_info),
        post::<ErrCodeMsg, _, _>("/user/update_user_info", user::update_user_info),
        post::<RetReason, _, _>("/im/user_get_token", im::user_get_token),
        post::<RetReason, _, _>("/im/customer_service_get_info", im::customer_service_get_info),
        // One of its commands registers.
        change_by_get_or_post::<RetReason, _, _>("/cmd", cmd::cmd),
        get::<ErrCodeMsg, _, _>("/media/{name}", media::serve),
        upgraded("/ws", socket::without_upgrade),
    ]
}

/// Below `/internal`.
pub fn internal(cfg: &mut ServiceConfig, core: Core) {
    let calls = vec![
        post::<Internal, _, _>("/profiles", internal::profiles),
        post::<Internal, _, _>("/credentials/verify", internal::verify_password),
        post::<Internal, _, _>("/tokens/verify", internal::verify_token),
        post::<Internal, _, _>("/tokens/issue", internal::issue_token),
        post::<Internal, _, _>("/tokens/current", internal::current_token),
        post::<Internal, _, _>("/accounts/read", internal::read_accounts),
        post::<Internal, _, _>("/accounts/ensure", internal::ensure_account),
    ];
    serve_calls(cfg.app_data(Data::new(core)), calls);
}
