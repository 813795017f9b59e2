//! The only route table.

use crate::domain::Core;
use crate::handlers::{groups, internal, lists, members};
use actix_web::web::{Data, ServiceConfig};
use service_kit::links::LinkBase;
use service_kit::wire::{Call, Internal, RetReason, get_or_post, post, serve_calls};

pub fn public(cfg: &mut ServiceConfig, core: Core, links: LinkBase) {
    cfg.app_data(Data::new(core)).app_data(Data::new(links));
    serve_calls(cfg, calls());
}

pub fn calls() -> Vec<Call> {
    vec![
        post::<RetReason, _, _>("/im/group_create", groups::group_create),
        post::<RetReason, _, _>("/im/group_sync", members::group_sync),
        post::<RetReason, _, _>("/im/user_get_group_list", lists::user_get_group_list),
        post::<RetReason, _, _>("/im/{group_id}/group_dismiss", groups::group_dismiss),
        post::<RetReason, _, _>("/im/{group_id}/group_join", members::group_join),
        post::<RetReason, _, _>("/im/{group_id}/group_quit", members::group_quit),
        get_or_post::<RetReason, _, _>("/im/{group_id}/group_get_info", groups::group_get_info),
        post::<RetReason, _, _>("/im/{group_id}/group_get_user_list", lists::group_get_user_list),
    ]
}

/// Below `/internal`.
pub fn internal(cfg: &mut ServiceConfig, core: Core) {
    serve_calls(cfg.app_data(Data::new(core)), vec![post::<Internal, _, _>("/memberships/rekey", internal::rekey)]);
}
