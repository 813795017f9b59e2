//! How these types appear in the API documents: as what is accepted, numbers as strings and strings as numbers
//! (contract §0).

use crate::{AppId, ByteText, Flag, Gender, GroupId, Int, Platform, Text, TuserKey, Uid};
use std::borrow::Cow;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

/// A string or an integer, which is read as its digits.
fn string_or_integer() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Integer]))
}

/// Of so many characters.
pub fn text(min: usize, max: usize, what: &str) -> RefOr<Schema> {
    let object = string_or_integer()
        .min_length((min > 0).then_some(min))
        .max_length(Some(max))
        .description((!what.is_empty()).then_some(what));
    RefOr::T(Schema::from(object))
}

/// Text of this form; as a number where its digits are.
pub fn form(pattern: &str, what: &str) -> RefOr<Schema> {
    RefOr::T(Schema::from(string_or_integer().pattern(Some(pattern)).description(Some(what))))
}

/// An integer from `min` to `max`, or a string of its digits, of this form.
pub fn integer(min: i64, max: i64, digits: &str, what: &str) -> RefOr<Schema> {
    let number = ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer)).minimum(Some(min)).maximum(Some(max));
    let digits = ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).pattern(Some(digits));
    RefOr::T(Schema::from(AnyOfBuilder::new().item(number).item(digits).description(Some(what))))
}

const DIGITS: &str = "^ *[+-]?[0-9]+ *$";

macro_rules! schema {
    ($name:literal, $type:ty, $schema:expr) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                $schema
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                $name.into()
            }
        }
    };
}

schema!("AppId", AppId, form("^[A-Za-z0-9_-]{1,64}$", "App id"));
schema!("Uid", Uid, text(1, 64, "User id within its app"));
schema!("TuserKey", TuserKey, text(1, 128, "Key of a terminal user; a secret"));
schema!(
    "GroupId",
    GroupId,
    RefOr::T(Schema::from(
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::Integer))
            .minimum(Some(1))
            .maximum(Some(i64::MAX))
            .description(Some("Group id"))
    ))
);
schema!(
    "Platform",
    Platform,
    integer(1, 7, "^[1-7]$", "1 iOS, 2 Android, 3 Windows, 4 OSX, 5 Web, 6 MiniWeb, 7 Linux")
);
schema!("PlatformOrAll", PlatformOrAll, integer(0, 7, "^[0-7]$", "A platform's number, or 0 for all"));
schema!("Gender", Gender, integer(0, 2, "^[0-2]$", "0 unknown, 1 male, 2 female"));
schema!("Int", Int, integer(i64::MIN, i64::MAX, DIGITS, "An integer"));
schema!(
    "PlatformOrEmpty",
    PlatformOrEmpty,
    integer(1, 7, "^[1-7]?$", "1 iOS, 2 Android, 3 Windows, 4 OSX, 5 Web, 6 MiniWeb, 7 Linux; empty is absent")
);
schema!("GenderOrEmpty", GenderOrEmpty, integer(0, 2, "^[0-2]?$", "0 unknown, 1 male, 2 female; empty is absent"));
schema!("IntOrEmpty", IntOrEmpty, integer(i64::MIN, i64::MAX, "^ *([+-]?[0-9]+)? *$", "An integer; empty is absent"));
schema!("UidOrEmpty", UidOrEmpty, text(0, 64, "User id within its app; empty is absent"));
schema!("TuserKeyOrEmpty", TuserKeyOrEmpty, text(0, 128, "Key of a terminal user; a secret; empty is absent"));
schema!(
    "Flag",
    Flag,
    RefOr::T(Schema::from(
        AnyOfBuilder::new()
            .item(ObjectBuilder::new().schema_type(SchemaType::new(Type::Boolean)))
            .item(ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer)).minimum(Some(0)).maximum(Some(1)))
            .item(
                ObjectBuilder::new()
                    .schema_type(SchemaType::new(Type::String))
                    .enum_values(Some(["", "0", "1", "false", "true"]))
            )
    ))
);

/// For API documents: a platform, or 0 for all.
pub struct PlatformOrAll;

/// For API documents: types of optional fields that may be empty, as forms send them.
pub struct PlatformOrEmpty;
pub struct GenderOrEmpty;
pub struct IntOrEmpty;
pub struct UidOrEmpty;
pub struct TuserKeyOrEmpty;

impl<const MAX: usize, const MIN: usize> PartialSchema for Text<MAX, MIN> {
    fn schema() -> RefOr<Schema> {
        text(MIN, MAX, "")
    }
}

impl<const MAX: usize, const MIN: usize> ToSchema for Text<MAX, MIN> {
    fn name() -> Cow<'static, str> {
        if MIN == 0 { format!("Text{MAX}").into() } else { format!("Text{MIN}To{MAX}").into() }
    }
}

impl<const MAX: usize> PartialSchema for ByteText<MAX> {
    fn schema() -> RefOr<Schema> {
        text(0, MAX, "The limit counts bytes of UTF-8")
    }
}

impl<const MAX: usize> ToSchema for ByteText<MAX> {
    fn name() -> Cow<'static, str> {
        format!("ByteText{MAX}").into()
    }
}
