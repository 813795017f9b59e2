//! Courses that were bought, and what else a terminal user did in an app.

use super::values::{Amount, LnMd5, Moment};
use super::{Core, users::hold_user};
use crate::store::records as store;
use crate::store::records::{RecordRow, ValidityRow};
use service_kit::{Code, Error, Result};
use shared_models::{AppId, TuserKey};

/// What an activity record is about; replacing a key treats them differently (`replace`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Recharge,
    Feedback,
    Location,
    Payment,
    Consumption,
    Click,
    Comment,
    Purchase,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::Recharge,
        Self::Feedback,
        Self::Location,
        Self::Payment,
        Self::Consumption,
        Self::Click,
        Self::Comment,
        Self::Purchase,
    ];

    /// "只更新": they move and the new key's own stay. The other kinds are "先删除后更新": the new key's own go first.
    pub const JOINED: [&str; 4] =
        [Self::Recharge.name(), Self::Feedback.name(), Self::Location.name(), Self::Payment.name()];
    pub const SUPERSEDED: [&str; 4] =
        [Self::Consumption.name(), Self::Click.name(), Self::Comment.name(), Self::Purchase.name()];
    /// "消费数据" of the status call, beside validities.
    pub const CONSUMPTION_DATA: [&str; 3] = [Self::Consumption.name(), Self::Recharge.name(), Self::Purchase.name()];

    /// On the wire and in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recharge => "recharge",
            Self::Feedback => "feedback",
            Self::Location => "location",
            Self::Payment => "payment",
            Self::Consumption => "consumption",
            Self::Click => "click",
            Self::Comment => "comment",
            Self::Purchase => "purchase",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A course for a time.
pub struct Course {
    pub id: LnMd5,
    pub price: Option<Amount>,
    pub start: Moment,
    pub end: Moment,
}

/// An activity record.
pub struct Activity {
    pub kind: Kind,
    pub record_id: String,
    pub subject: String,
    pub amount: Option<Amount>,
    /// Now, if absent.
    pub occurred_at: Option<Moment>,
}

// The key is all that these calls ask for, so that anybody may make one up: what one key may store has an end. Writers of
// one key at the same time may each go past it by one.
impl Core {
    /// Stores a course's time, wholly instead of what is there. Registers whom it does not know.
    pub async fn sync_course(&self, app_id: AppId, key: TuserKey, course: Course) -> Result<()> {
        let Course { id, price, start, end } = course;
        if end < start {
            return Err(Error::parameter("end_time", "earlier than start_time"));
        }
        let row = ValidityRow {
            app_id: app_id.as_str().to_owned(),
            im_uid: key.im_uid().into_inner(),
            ln_md5: id.into_inner(),
            price: price.map(|Amount(n)| n),
            start_time: start.into_inner(),
            end_time: end.into_inner(),
        };
        let (now, max) = (self.clock.now(), self.rules.max_records);
        self.db
            .transaction(move |conn| {
                hold_user(conn, &key, now)?;
                if store::is_course_too_many(conn, &row, max)? {
                    return Err(Error::new(Code::LimitReached, "ln_md5: this key has too many courses"));
                }
                store::upsert_validity(conn, &row)?;
                Ok(())
            })
            .await
    }

    /// Stores a record, wholly instead of the one of its id. Registers whom it does not know.
    pub async fn sync_activity(&self, app_id: AppId, key: TuserKey, activity: Activity) -> Result<()> {
        let Activity { kind, record_id, subject, amount, occurred_at } = activity;
        let (now, max) = (self.clock.now(), self.rules.max_records);
        let row = RecordRow {
            app_id: app_id.as_str().to_owned(),
            im_uid: key.im_uid().into_inner(),
            kind: kind.name(),
            record_id,
            subject,
            amount: amount.map(|Amount(n)| n),
            occurred_at: occurred_at.unwrap_or_else(|| Moment::of(now, self.rules.utc_offset)).into_inner(),
        };
        self.db
            .transaction(move |conn| {
                hold_user(conn, &key, now)?;
                if store::is_record_too_many(conn, &row, max)? {
                    return Err(Error::new(
                        Code::LimitReached,
                        "record_id: this key has too many records of this kind",
                    ));
                }
                store::upsert_record(conn, &row)?;
                Ok(())
            })
            .await
    }
}
