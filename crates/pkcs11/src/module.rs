//! The module's side: finds a token and a key, logs in, signs.

mod drivers;
mod key;
mod token;

use core::fmt;
use std::path::Path;

use cryptoki::context::CInitializeArgs;
use cryptoki::context::CInitializeFlags;
use cryptoki::context::Pkcs11;
use cryptoki::error::Error as ModuleError;
use cryptoki::error::RvError;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::EddsaParams;
use cryptoki::mechanism::eddsa::EddsaSignatureScheme;
use cryptoki::session::Session;
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;

use self::key::Key;
use self::token::Found;
use crate::Uri;
use crate::protocol::Answer;
use crate::protocol::Failure;
use crate::protocol::Pin;
use crate::protocol::Request;

type Result<T, E = Failure> = core::result::Result<T, E>;

/// One conversation with `ramstrap`: about one key.
#[derive(Debug, Default)]
pub struct Conversation {
    state: State,
}

#[derive(Default)]
enum State {
    #[default]
    Begun,
    /// The token is found and waits for its PIN.
    Locked { session: Session, token: Box<Found>, library: Pkcs11, uri: Uri },
    /// The key can sign.
    Open { session: Session, key: Key },
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Begun => "Begun",
            Self::Locked { .. } => "Locked",
            Self::Open { .. } => "Open",
        })
    }
}

impl Conversation {
    /// Answers one request. After [`Answer::Failed`] the conversation begins anew.
    pub fn answer(&mut self, request: Request) -> Answer {
        let answered = match (core::mem::take(&mut self.state), request) {
            (State::Begun, Request::Open { module, uri }) => open(&module, *uri),
            (State::Locked { session, token, library, uri }, Request::Pin(pin)) => {
                log_in(&session, &token, &library, Some(pin))
                    .and_then(|()| ready(session, token.label, &uri))
            }
            (State::Open { session, key }, Request::Sign(message)) => sign(session, key, &message),
            _ => Err(Failure::new(
                "ramstrap-pkcs11 was asked out of turn",
                "install ramstrap and ramstrap-pkcs11 from the same release",
            )),
        };
        match answered {
            Ok((answer, state)) => {
                self.state = state;
                answer
            }
            Err(failure) => Answer::Failed(failure),
        }
    }
}

fn open(module: &Path, uri: Uri) -> Result<(Answer, State)> {
    let library = Pkcs11::new(module).map_err(|error| drivers::not_loaded(module, &error))?;
    library
        .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        .map_err(|error| failed("the PKCS#11 module does not start", &error))?;
    let found = token::find(&library, &uri)?;
    let session = library
        .open_ro_session(found.slot)
        .map_err(|error| failed("the token opens no session", &error))?;
    if !found.info.login_required() {
        return ready(session, found.label, &uri);
    }
    found.check_pin()?;
    if found.info.protected_authentication_path() {
        // It has a keypad of its own.
        log_in(&session, &found, &library, None)?;
        return ready(session, found.label, &uri);
    }
    let answer = Answer::PinNeeded {
        token: found.label.clone(),
        last_attempt: found.info.user_pin_final_try(),
    };
    Ok((answer, State::Locked { session, token: Box::new(found), library, uri }))
}

fn log_in(session: &Session, token: &Found, library: &Pkcs11, pin: Option<Pin>) -> Result<()> {
    // The library's own type wipes itself as well.
    let pin = pin.map(|pin| AuthPin::from(pin.0.as_str()));
    match session.login(UserType::User, pin.as_ref()) {
        Ok(()) | Err(ModuleError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(ModuleError::Pkcs11(
            RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
            _,
        )) => Err(token.wrong_pin(library)),
        Err(ModuleError::Pkcs11(RvError::PinLocked, _)) => Err(token::locked(&token.label)),
        Err(error) => Err(failed(&format!("the token {} does not let us in", token.label), &error)),
    }
}

fn ready(session: Session, token: String, uri: &Uri) -> Result<(Answer, State)> {
    let key = key::find(&session, &token, uri)?;
    let answer =
        Answer::Ready { public_key: hex::encode(key.public), token, object: key.label.clone() };
    Ok((answer, State::Open { session, key }))
}

fn sign(session: Session, key: Key, message: &str) -> Result<(Answer, State)> {
    let message = hex::decode(message).map_err(|_| {
        Failure::new("what is to be signed is not hex", "install both programs from one release")
    })?;
    let mechanism = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure));
    let signature = session.sign(&mechanism, key.handle, &message).map_err(|error| match error {
        ModuleError::Pkcs11(RvError::MechanismInvalid, _) => Failure::new(
            "the token cannot sign with Ed25519 (CKM_EDDSA)",
            "use a token that can; its vendor's newest driver may know more",
        ),
        // The second login belongs between C_SignInit and C_Sign, which the library calls as one; in
        // parts (C_SignUpdate) tokens do not sign with Ed25519.
        ModuleError::Pkcs11(RvError::UserNotLoggedIn, _) => Failure::new(
            format!("the key {} asks for the PIN anew for every signature", key.label),
            "that is not supported: use a key without it (CKA_ALWAYS_AUTHENTICATE; on a PIV card \
             any slot but 9c)",
        ),
        error => failed("the token did not sign", &error),
    })?;
    Ok((Answer::Signature(hex::encode(signature)), State::Open { session, key }))
}

/// An error of the module. Its own words are all that there is to say.
fn failed(what: &str, error: &ModuleError) -> Failure {
    let reason = match error {
        ModuleError::Pkcs11(RvError::DeviceRemoved | RvError::TokenNotPresent, _) => {
            "the token was taken out".to_owned()
        }
        ModuleError::Pkcs11(code, _) => format!("{code:?}"),
        other => other.to_string(),
    };
    Failure::new(
        format!("{what}: {reason}"),
        "is the token plugged in, and does its vendor's own tool, or `pkcs11-tool -O`, show the key?",
    )
}
