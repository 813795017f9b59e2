//! The only route table.

use crate::domain::Core;
use crate::handlers::{courses, info, legacy, page, replace, rongcloud};
use actix_web::web::{Data, ServiceConfig};
use service_kit::media::LinkBase;
use service_kit::wire::{Call, ErrCodeMsg, RcRm, change_by_get_or_post, get, get_or_post, post, serve_calls};

pub fn public(cfg: &mut ServiceConfig, core: Core, links: LinkBase) {
    cfg.app_data(Data::new(core)).app_data(Data::new(links));
    serve_calls(cfg, calls());
}

pub fn calls() -> Vec<Call> {
    vec![
        change_by_get_or_post::<RcRm, _, _>("/tu_rc_sync_urb_from_hp.action", rongcloud::sync_basics),
        change_by_get_or_post::<RcRm, _, _>("/tu_rc_sync_urp_from_hp.action", rongcloud::sync_portrait),
        change_by_get_or_post::<RcRm, _, _>("/tu_rc_get_urt_from_hp.action", rongcloud::get_token),
        get_or_post::<RcRm, _, _>("/tu_rc_get_usr_from_hp.action", rongcloud::get_user),
        get_or_post::<RcRm, _, _>("/tu_ua_get_status_from_tn.action", info::get_status),
        get_or_post::<RcRm, _, _>("/tu_ua_get_info_from_tn.action", info::get_info),
        change_by_get_or_post::<RcRm, _, _>("/tu_ua_send_matrix_info_from_tn.action", info::send_matrix_info),
        change_by_get_or_post::<RcRm, _, _>("/tu_sync_lnvalidth_from_tn.action", courses::sync_validity),
        change_by_get_or_post::<RcRm, _, _>("/tu_sync_record_from_tn.action", courses::sync_record),
        change_by_get_or_post::<RcRm, _, _>("/tu_rk_replace_from_tn.action", replace::replace_key),
        change_by_get_or_post::<RcRm, _, _>("/ua_reg_user_from_hp.action", legacy::register),
        get::<ErrCodeMsg, _, _>("/bind", page::show),
        get::<ErrCodeMsg, _, _>("/bind/state", page::state),
        get::<ErrCodeMsg, _, _>("/bind/bind.css", page::style),
        get::<ErrCodeMsg, _, _>("/bind/bind.js", page::script),
        post::<ErrCodeMsg, _, _>("/bind/sign-in", page::sign_in),
        post::<ErrCodeMsg, _, _>("/bind/sign-out", page::sign_out),
        post::<ErrCodeMsg, _, _>("/bind/unbind", page::unbind),
    ]
}

/// Below `/internal`.
pub fn internal(_cfg: &mut ServiceConfig) {}
