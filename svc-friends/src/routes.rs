//! The only route table.

use crate::domain::Core;
use crate::handlers::{avatars, lists, people, relations};
use actix_web::web::{Data, ServiceConfig};
use actix_web::{FromRequest, Handler, Responder};
use service_kit::media::LinkBase;
use service_kit::wire::{Call, StatusCodeMsg, post, serve_calls};

pub fn public(cfg: &mut ServiceConfig, core: Core, links: LinkBase) {
    cfg.app_data(Data::new(core)).app_data(Data::new(links));
    serve_calls(cfg, calls());
}

pub fn calls() -> Vec<Call> {
    vec![
        im("getFriends", lists::get_friends),
        im("friendMessage", lists::friend_message),
        im("getPersonInfo", people::get_person_info),
        im("addFriend", relations::add_friend),
        im("setFriendRemark", relations::set_friend_remark),
        im("setUserVerify", people::set_user_verify),
        im("friendAgree", relations::friend_agree),
        im("friendRefuse", relations::friend_refuse),
        im("delFriend", relations::del_friend),
        im("getFriendInfo", people::get_friend_info),
        im("importFriends", relations::import_friends),
        im("uploadAvatar", avatars::upload_avatar),
        im("getUserAvatar", avatars::get_user_avatar),
        im("batchGetUserAvatar", avatars::batch_get_user_avatar),
        im("getUserVerify", people::get_user_verify),
    ]
}

/// A call of document 004.
fn im<F, Args>(call: &str, handler: F) -> Call
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    post::<StatusCodeMsg, _, _>(&format!("/{{version}}/Application/{{app}}/IM/{call}"), handler)
}

/// Below `/internal`.
pub fn internal(_cfg: &mut ServiceConfig) {}
