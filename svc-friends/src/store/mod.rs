//! The tables. Functions are synchronous and run on the database door's threads.

mod batch;
pub mod constants;
pub mod friends;
pub mod owners;
pub mod pairs;
#[cfg(test)]
mod plans;
pub mod requests;
mod schema;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use service_kit::db::Migrations;

const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

pub const MIGRATIONS: Migrations = Migrations { postgres: POSTGRES, sqlite: SQLITE };
