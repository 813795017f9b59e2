//! The only route table.

use actix_web::web::ServiceConfig;

pub fn public(_cfg: &mut ServiceConfig) {}

/// Below `/internal`.
pub fn internal(_cfg: &mut ServiceConfig) {}
