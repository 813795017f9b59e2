//! The only route table.

use crate::domain::Core;
use crate::handlers::{avatars, lists, people, relations};
use actix_web::web::{Data, ServiceConfig};
use actix_web::{FromRequest, Handler, Resource, Responder};
use service_kit::media::LinkBase;
use service_kit::wire::{StatusCodeMsg, post};

pub fn public(cfg: &mut ServiceConfig, core: Core, links: LinkBase) {
    cfg.app_data(Data::new(core))
        .app_data(Data::new(links))
        .service(im("getFriends", lists::get_friends))
        .service(im("friendMessage", lists::friend_message))
        .service(im("getPersonInfo", people::get_person_info))
        .service(im("addFriend", relations::add_friend))
        .service(im("setFriendRemark", relations::set_friend_remark))
        .service(im("setUserVerify", people::set_user_verify))
        .service(im("friendAgree", relations::friend_agree))
        .service(im("friendRefuse", relations::friend_refuse))
        .service(im("delFriend", relations::del_friend))
        .service(im("getFriendInfo", people::get_friend_info))
        .service(im("importFriends", relations::import_friends))
        .service(im("uploadAvatar", avatars::upload_avatar))
        .service(im("getUserAvatar", avatars::get_user_avatar))
        .service(im("batchGetUserAvatar", avatars::batch_get_user_avatar))
        .service(im("getUserVerify", people::get_user_verify));
}

/// A call of document 004.
fn im<F, Args>(call: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    post::<StatusCodeMsg, _, _>(&format!("/{{version}}/Application/{{app}}/IM/{call}"), handler)
}

/// Below `/internal`.
pub fn internal(_cfg: &mut ServiceConfig) {}
