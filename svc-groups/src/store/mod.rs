//! The tables. Functions are synchronous and run on the database door's threads.

pub mod groups;
pub mod lists;
pub mod members;
pub mod rekey;
mod schema;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use service_kit::db::Migrations;

/// Values in one statement: SQLite limits the number of variables.
const AT_ONCE: usize = 500;

const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

pub const MIGRATIONS: Migrations = Migrations { postgres: POSTGRES, sqlite: SQLITE };
