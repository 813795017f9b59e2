//! The only route table.

use crate::domain::Core;
use crate::handlers::{courses, info, legacy, page, replace, rongcloud};
use actix_web::web::{Data, ServiceConfig};
use service_kit::media::LinkBase;
use service_kit::wire::{ErrCodeMsg, RcRm, get, get_or_post, post};

pub fn public(cfg: &mut ServiceConfig, core: Core, links: LinkBase) {
    cfg.app_data(Data::new(core))
        .app_data(Data::new(links))
        .service(get_or_post::<RcRm, _, _>("/tu_rc_sync_urb_from_hp.action", rongcloud::sync_basics))
        .service(get_or_post::<RcRm, _, _>("/tu_rc_sync_urp_from_hp.action", rongcloud::sync_portrait))
        .service(get_or_post::<RcRm, _, _>("/tu_rc_get_urt_from_hp.action", rongcloud::get_token))
        .service(get_or_post::<RcRm, _, _>("/tu_rc_get_usr_from_hp.action", rongcloud::get_user))
        .service(get_or_post::<RcRm, _, _>("/tu_ua_get_status_from_tn.action", info::get_status))
        .service(get_or_post::<RcRm, _, _>("/tu_ua_get_info_from_tn.action", info::get_info))
        .service(get_or_post::<RcRm, _, _>("/tu_ua_send_matrix_info_from_tn.action", info::send_matrix_info))
        .service(get_or_post::<RcRm, _, _>("/tu_sync_lnvalidth_from_tn.action", courses::sync_validity))
        .service(get_or_post::<RcRm, _, _>("/tu_sync_record_from_tn.action", courses::sync_record))
        .service(get_or_post::<RcRm, _, _>("/tu_rk_replace_from_tn.action", replace::replace_key))
        .service(get_or_post::<RcRm, _, _>("/ua_reg_user_from_hp.action", legacy::register))
        .service(get::<ErrCodeMsg, _, _>("/bind", page::show))
        .service(get::<ErrCodeMsg, _, _>("/bind/state", page::state))
        .service(get::<ErrCodeMsg, _, _>("/bind/bind.css", page::style))
        .service(get::<ErrCodeMsg, _, _>("/bind/bind.js", page::script))
        .service(post::<ErrCodeMsg, _, _>("/bind/sign-in", page::sign_in))
        .service(post::<ErrCodeMsg, _, _>("/bind/sign-out", page::sign_out))
        .service(post::<ErrCodeMsg, _, _>("/bind/unbind", page::unbind));
}

/// Below `/internal`.
pub fn internal(_cfg: &mut ServiceConfig) {}
