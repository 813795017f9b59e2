//! The tables. Functions are synchronous and run on the database door's threads.

pub mod accounts;
pub mod operations;
pub mod provider;
mod schema;
#[cfg(test)]
mod statements;
pub mod tokens;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use service_kit::db::Migrations;

const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

pub const MIGRATIONS: Migrations = Migrations { postgres: POSTGRES, sqlite: SQLITE };
