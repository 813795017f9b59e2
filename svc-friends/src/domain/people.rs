//! What one user is told about another, and what users say about themselves.

use super::Core;
use super::who::Person;
use crate::store::{friends, owners};
use service_kit::internal::operation_id;
use service_kit::media::Image;
use service_kit::{Code, Result};
use shared_models::internal::{
    AccountInfo, AccountKey, AccountsRequest, AccountsResponse, EnsureAccountRequest, EnsureAccountResponse,
    MAX_PROFILES,
};
use shared_models::{Profile, Stamp};
use std::collections::HashMap;

/// One user as another sees him.
pub struct View {
    pub person: Person,
    /// `None`: there is no such account.
    pub account: Option<AccountInfo>,
    pub relation: Relation,
}

/// What one user is to another.
pub struct Relation {
    /// Whether he is on the viewer's list, and under what remark.
    pub is_friend: bool,
    pub remark: String,
    /// Phone number and birthday: across apps for those who hold each other as friends.
    pub shows_private: bool,
}

/// An icon as stored, and when it last changed; 0: never.
#[derive(Debug, Clone, Default)]
pub struct Avatar {
    pub icon: String,
    pub changed_at: Stamp,
}

impl From<AccountInfo> for Avatar {
    fn from(account: AccountInfo) -> Self {
        Self { icon: account.icon, changed_at: account.icon_changed_at }
    }
}

impl Core {
    /// `getPersonInfo`: of whoever has an account or appears here.
    pub async fn person(&self, viewer: &Person, person: Person) -> Result<View> {
        let relation = self.relation(viewer, &person).await?;
        let account = self.account(&person).await?;
        if account.is_none() {
            let owner = self.owners.get(person.row()).await?;
            owner.filter(|owner| owner.is_known()).ok_or(Code::UnknownUser)?;
        }
        Ok(View { person, account, relation })
    }

    /// `getFriendInfo`: whether a friend is known here, so who is none is told so whatever becomes of svc-im-auth.
    pub async fn friend(&self, viewer: &Person, friend: Person) -> Result<View> {
        let relation = self.relation(viewer, &friend).await?;
        if !relation.is_friend {
            return Err(Code::NotAFriend.into());
        }
        let account = self.account(&friend).await?;
        Ok(View { person: friend, account, relation })
    }

    async fn relation(&self, viewer: &Person, person: &Person) -> Result<Relation> {
        let (me, other) = (viewer.row(), person.row());
        let rows = self.db.read(move |conn| Ok(friends::list_of_pair(conn, &me, &other)?)).await?;
        let mine = rows.iter().find(|row| row.active && row.owner == viewer.row());
        let is_mutual = rows.iter().filter(|row| row.active).count() == 2;
        Ok(Relation {
            is_friend: mine.is_some(),
            remark: mine.map(|row| row.remark.clone()).unwrap_or_default(),
            shows_private: viewer.key().app_id == person.key().app_id || is_mutual,
        })
    }

    /// `setUserVerify`
    pub async fn set_verify(&self, owner: &Person, verify: bool) -> Result<()> {
        let owner = owner.row();
        self.db.write(move |conn| Ok(owners::set_verify(conn, &owner, verify).map(drop)?)).await
    }

    /// `getUserVerify`
    pub async fn verifies(&self, owner: &Person) -> Result<bool> {
        let row = self.owners.get(owner.row()).await?;
        Ok(row.is_none_or(|row| row.verifies()))
    }

    /// `uploadAvatar`: the account's icon from now on, in all dialects.
    pub async fn set_avatar(&self, owner: &Person, image: Image) -> Result<Avatar> {
        let icon = self.media.put(image).await?;
        let request = EnsureAccountRequest {
            key: owner.key().clone(),
            operation_id: Some(operation_id()?),
            name: None,
            icon: Some(icon.as_str().to_owned()),
        };
        let EnsureAccountResponse { profile } = self.im_auth.call("/internal/accounts/ensure", &request).await?;
        let Profile { icon, icon_changed_at, .. } = profile.clone();
        // This process sees its own change at once.
        self.directory.learn(profile);
        Ok(Avatar { icon, changed_at: icon_changed_at })
    }

    /// `getUserAvatar`, `batchGetUserAvatar`: in the order asked; `None` for who has no account.
    pub async fn avatars(&self, people: &[Person]) -> Result<Vec<Option<Avatar>>> {
        let mut accounts = self.accounts(people).await?;
        Ok(people.iter().map(|person| accounts.remove(person.key()).map(Avatar::from)).collect())
    }

    async fn account(&self, person: &Person) -> Result<Option<AccountInfo>> {
        Ok(self.accounts(std::slice::from_ref(person)).await?.remove(person.key()))
    }

    /// Accounts themselves, past every cache.
    async fn accounts(&self, people: &[Person]) -> Result<HashMap<AccountKey, AccountInfo>> {
        let mut accounts = HashMap::with_capacity(people.len());
        for chunk in people.chunks(MAX_PROFILES) {
            let keys = chunk.iter().map(|person| person.key().clone()).collect();
            let answer: AccountsResponse =
                self.im_auth.call("/internal/accounts/read", &AccountsRequest { keys }).await?;
            accounts.extend(answer.accounts.into_iter().map(|account| (account.key.clone(), account)));
        }
        Ok(accounts)
    }
}
