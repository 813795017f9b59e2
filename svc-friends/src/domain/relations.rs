//! Becoming friends, and what comes before and after.

use super::Core;
use super::ledger::{Ledger, Pair};
use super::who::Person;
use crate::store::owners;
use service_kit::{Code, Error, Result};
use shared_models::Stamp;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Core {
    /// `addFriend`: friends at once if the target asks no agreement, still holds the operator, or has asked himself;
    /// else a request on both sides.
    pub async fn add_friend(&self, operator: &Person, target: &Person, message: String, source: String) -> Result<()> {
        self.change_pair(operator, target, move |ledger, me, other| {
            if ledger.holds(me, other) && ledger.holds(other, me) {
                return Ok(());
            }
            let asked = ledger.request(me, other, true).filter(|row| !row.done).map(|row| row.source.clone());
            if !ledger.verifies(other) || ledger.holds(other, me) || asked.is_some() {
                let source = asked.unwrap_or_else(|| source.clone());
                return become_friends(ledger, me, other, &source);
            }
            ledger.ask(me, other, &message, &source)
        })
        .await
    }

    /// `friendAgree`
    pub async fn agree(&self, operator: &Person, asker: &Person) -> Result<()> {
        self.change_pair(operator, asker, |ledger, me, asker| {
            let asked = ledger.request(me, asker, true).ok_or(Code::NoSuchRequest)?;
            if asked.done {
                return Err(Code::AlreadyHandled.into());
            }
            let source = asked.source.clone();
            become_friends(ledger, me, asker, &source)
        })
        .await
    }

    /// `friendRefuse`
    pub async fn refuse(&self, operator: &Person, asker: &Person, reason: String) -> Result<()> {
        self.change_pair(operator, asker, move |ledger, me, asker| {
            let asked = ledger.request(me, asker, true).ok_or(Code::NoSuchRequest)?;
            if asked.done {
                return Err(Code::AlreadyHandled.into());
            }
            ledger.refuse(me, asker, &reason);
            Ok(())
        })
        .await
    }

    /// `delFriend`
    pub async fn delete_friend(&self, operator: &Person, friend: &Person, both: bool) -> Result<()> {
        self.change_pair(operator, friend, move |ledger, me, friend| {
            if !ledger.holds(me, friend) {
                return Err(Code::NotAFriend.into());
            }
            ledger.unfriend(me, friend);
            if both {
                ledger.unfriend(friend, me);
            }
            Ok(())
        })
        .await
    }

    /// `setFriendRemark`: the entry's stamp.
    pub async fn set_remark(&self, operator: &Person, friend: &Person, remark: String) -> Result<Stamp> {
        self.change_pair(operator, friend, move |ledger, me, friend| {
            ledger.remark(me, friend, &remark).ok_or_else(|| Code::NotAFriend.into())
        })
        .await
    }

    /// `importFriends`: all pairs or none.
    pub async fn import(&self, pairs: Vec<(Person, Person)>) -> Result<()> {
        let mut distinct = BTreeSet::new();
        for (a, b) in &pairs {
            refuse_oneself(a, b)?;
            distinct.insert(if a < b { (a.row(), b.row()) } else { (b.row(), a.row()) });
        }
        let pairs: Vec<Pair> = distinct.into_iter().collect();
        let decide =
            |ledger: &mut Ledger, pairs: &[Pair]| pairs.iter().try_for_each(|(a, b)| become_friends(ledger, a, b, ""));
        let _turn = self.imports.take([()]).await?;
        self.change(pairs, decide).await
    }

    async fn change_pair<T, F>(&self, a: &Person, b: &Person, decide: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Ledger, &str, &str) -> Result<T> + Send + Sync + 'static,
    {
        refuse_oneself(a, b)?;
        let _turn = self.turns.take([a.clone(), b.clone()]).await?;
        self.change(vec![(a.row(), b.row())], move |ledger: &mut Ledger, pairs: &[Pair]| match pairs {
            [(a, b)] => decide(ledger, a, b),
            _ => Err(Error::internal("one pair was given")),
        })
        .await
    }

    /// One transaction over everything that the users of `pairs` have of each other (design §5.2).
    async fn change<T, F>(&self, pairs: Vec<Pair>, decide: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Ledger, &[Pair]) -> Result<T> + Send + Sync + 'static,
    {
        let (pairs, decide, limits, now) = (Arc::new(pairs), Arc::new(decide), self.limits, self.clock.now());
        loop {
            let (pairs, decide) = (pairs.clone(), decide.clone());
            let job = move |conn: &mut _| {
                let mut ledger = Ledger::open(conn, &pairs, limits, now)?;
                let outcome = decide(&mut ledger, &pairs)?;
                Ok((outcome, ledger.save(conn)?))
            };
            let (outcome, missing) = self.db.transaction(job).await?;
            if missing.is_empty() {
                return Ok(outcome);
            }
            // Once in an owner's life, and by itself: rows that are created while others are
            // locked are a way into a deadlock. They are never deleted, so the next round finds them.
            self.db.write(move |conn| Ok(owners::create_owners(conn, &missing)?)).await?;
        }
    }
}

fn become_friends(ledger: &mut Ledger, a: &str, b: &str, source: &str) -> Result<()> {
    ledger.befriend(a, b, source)?;
    ledger.befriend(b, a, source)?;
    ledger.settle(a, b);
    Ok(())
}

fn refuse_oneself(a: &Person, b: &Person) -> Result<()> {
    if a == b { Err(Code::Oneself.into()) } else { Ok(()) }
}
