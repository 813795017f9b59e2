//! Who may open a socket, and who has to leave for it (contract §2, design §4).

use super::tokens::TokenState;
use super::{Core, outside};
use crate::sockets::{Control, Doubtful, Ending, Seat};
use crate::store::tokens as store;
use crate::store::tokens::{Ended, TakeOver};
use service_kit::db::DbConn;
use service_kit::presence::{Presence, Reason};
use service_kit::{Code, Error, Result};
use shared_models::internal::AccountKey;
use shared_models::{AppId, Platform, Uid};
use std::collections::HashMap;
use std::time::Duration;

/// Sockets whose tokens could not be looked at are tried again after so long.
const AGAIN: Duration = Duration::from_millis(500);
const AT_ONCE: usize = 500;
/// Of a user's ended tokens so many of each state are gone over with every socket that replaces another: those of an
/// attempt that was cut off.
const ENDED_BEFORE: usize = 100;

/// What a client asks of `/ws`.
pub struct SocketRequest {
    pub token: String,
    /// If given, it must be the token's user.
    pub user: Option<String>,
    /// If given, it must be the number of the token's platform.
    pub platform: Option<String>,
}

/// An open socket; dropped, its user is offline on it.
pub struct OpenSocket {
    presence: Presence,
    app_id: AppId,
    uid: Uid,
    seat: Seat,
}

impl OpenSocket {
    /// Unique among all processes and starts.
    pub fn name(&self) -> String {
        format!("{}-{}", self.presence.node_id(), self.seat.conn)
    }

    pub fn control(&self) -> &Control {
        &self.seat.control
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.presence.close(&self.app_id, &self.uid, self.seat.conn);
    }
}

impl Core {
    /// Admits a socket. Where an older one of the same user and platform is open, every other token of theirs is
    /// dead before that one is told to leave.
    pub async fn open_socket(&self, request: SocketRequest) -> Result<OpenSocket> {
        let claims = self.verify_token(&request.token).await?;
        let platform = Platform::from_name(&claims.platform).ok_or(Code::TokenInvalid)?;
        let is_other_user = request.user.is_some_and(|id| id != claims.uid.as_str());
        let is_other_platform = request.platform.is_some_and(|id| id.parse() != Ok(platform.number()));
        if is_other_user || is_other_platform {
            return Err(Code::TokenInvalid.into());
        }
        let seat = self.sockets.seat(self.max_sockets, &claims.jti, platform).ok_or(Code::Overloaded)?;
        let opened = self.presence.open(&claims.app, &claims.uid, platform, seat.conn).await?;
        // From here on dropping it, whatever happens, takes the socket out again.
        let socket = OpenSocket { presence: self.presence.clone(), app_id: claims.app, uid: claims.uid, seat };

        if opened.earlier.is_empty() {
            // The token may have died between its check and the moment from which a log-out finds this socket.
            self.require_live(&claims.jti).await?;
        } else {
            let key = AccountKey { app_id: socket.app_id.clone(), uid: socket.uid.clone() };
            self.take_over(&key, platform, &claims.jti).await?;
            for holder in &opened.earlier {
                if let Err(e) = self.presence.kick(&socket.app_id, &socket.uid, holder, Reason::Replaced).await {
                    // This node writes its users again once it reaches the store, and meets the holder again.
                    log::warn!("an earlier socket could not be told to leave: {}", e.chain());
                }
            }
        }
        Ok(socket)
    }

    async fn require_live(&self, token_id: &str) -> Result<()> {
        let id = token_id.to_owned();
        let row = self.db.read(move |conn| Ok(store::find_token(conn, &id)?)).await?.ok_or(Code::TokenInvalid)?;
        TokenState::from_number(row.state).require_live()
    }

    /// Ends every other token of the user and platform, if this one still lives: of two that take over from each
    /// other at the same moment the first to commit wins, so exactly one token remains.
    async fn take_over(&self, key: &AccountKey, platform: Platform, token_id: &str) -> Result<()> {
        let (kicked, now) = (TokenState::Kicked.number(), self.clock.unix_seconds());
        loop {
            let (key, id) = (key.clone(), token_id.to_owned());
            let take_over = move |conn: &mut DbConn| {
                let taken = store::take_over(conn, &key, platform, &id, kicked)?;
                // An earlier attempt may have ended some, and not come to overwrite their copies.
                Ok((taken, store::list_ended(conn, &key, now, ENDED_BEFORE)?))
            };
            match self.db.transaction(take_over).await? {
                (TakeOver::Ended(Ended { ids, more }), mut states) => {
                    states.extend(ids.into_iter().map(|id| (id, kicked)));
                    outside::overwrite(&self.copies, &states).await;
                    if !more {
                        return Ok(());
                    }
                }
                (TakeOver::Dead(state), _) => {
                    TokenState::from_number(state).require_live()?;
                    return Err(Code::TokenInvalid.into());
                }
            }
        }
    }

    /// Looks at the tokens of sockets that are in doubt and ends those whose token is dead; for ever.
    pub async fn look_after_sockets(self) {
        loop {
            let doubtful: Vec<Doubtful> = self.sockets.doubtful().await;
            for some in doubtful.chunks(AT_ONCE) {
                if let Err(e) = self.look_at(some).await {
                    log::warn!("tokens of open sockets could not be looked at: {}", e.chain());
                    tokio::time::sleep(AGAIN).await;
                    self.sockets.doubt_again(some);
                }
            }
        }
    }

    async fn look_at(&self, some: &[Doubtful]) -> Result<(), Error> {
        let ids: Vec<String> = some.iter().map(|doubtful| doubtful.token_id.clone()).collect();
        let states: HashMap<String, i32> =
            self.db.read(move |conn| Ok(store::list_states(conn, &ids)?)).await?.into_iter().collect();
        for doubtful in some {
            let ending = match states.get(&doubtful.token_id).map(|state| TokenState::from_number(*state)) {
                Some(TokenState::Live) => continue,
                Some(TokenState::Kicked) => Ending::Replaced,
                Some(TokenState::Revoked) => Ending::LoggedOut,
                // Expired long ago and deleted: its socket outlives it, but not a log-out.
                None if doubtful.logged_out => Ending::LoggedOut,
                None => continue,
            };
            self.sockets.end(doubtful.conn, ending);
        }
        Ok(())
    }
}
