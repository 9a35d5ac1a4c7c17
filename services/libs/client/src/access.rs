//! The calls about tokens and sessions.

use conductor_protocol::control::{
    Call, CreateToken, Done, Identity, LoginCode, NewSession, NewToken, Presented, TokenName, TokenView,
};

use crate::control::Control;
use crate::error::Error;

/// The calls. Each fails as [`Control::call`] does.
impl Control {
    /// Asks who a secret stands for.
    ///
    /// # Errors
    /// As [`Control::ask`]; `unauthorized` when it stands for nobody.
    pub async fn authenticate(&self, presented: Presented) -> Result<Identity, Error> {
        self.ask(Call::Authenticate(presented)).await
    }

    /// Opens a session with a token or a login code.
    ///
    /// # Errors
    /// As [`Control::ask`]; `unauthorized` when it stands for nobody.
    pub async fn open_session(&self, presented: Presented) -> Result<NewSession, Error> {
        self.ask(Call::OpenSession(presented)).await
    }

    /// Ends a session.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn close_session(&self, presented: Presented) -> Result<Done, Error> {
        self.ask(Call::CloseSession(presented)).await
    }

    /// Makes a code that opens one session of an admin.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn make_login(&self) -> Result<LoginCode, Error> {
        self.ask(Call::MakeLogin).await
    }

    /// Reads all tokens, without their secrets.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn tokens(&self) -> Result<Vec<TokenView>, Error> {
        self.ask(Call::Tokens).await
    }

    /// Makes a token.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn create_token(&self, token: CreateToken) -> Result<NewToken, Error> {
        self.ask(Call::CreateToken(token)).await
    }

    /// Takes a token, and every session that it opened.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn revoke_token(&self, name: String) -> Result<Done, Error> {
        self.ask(Call::RevokeToken(TokenName { name })).await
    }
}
