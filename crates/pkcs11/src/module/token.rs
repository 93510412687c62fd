//! Finding the token.

use cryptoki::context::Pkcs11;
use cryptoki::slot::Slot;
use cryptoki::slot::TokenInfo;

use super::Result;
use super::failed;
use crate::Uri;
use crate::protocol::Failure;

pub(super) struct Found {
    pub(super) slot: Slot,
    pub(super) info: TokenInfo,
    pub(super) label: String,
}

/// The one token that the URI means.
pub(super) fn find(library: &Pkcs11, uri: &Uri) -> Result<Found> {
    let slots = library
        .get_slots_with_initialized_token()
        .map_err(|error| failed("the PKCS#11 module does not list its tokens", &error))?;
    let mut tokens = Vec::new();
    for slot in slots {
        let info = library
            .get_token_info(slot)
            .map_err(|error| failed("the PKCS#11 module does not describe a token", &error))?;
        let label = info.label().to_owned();
        tokens.push(Found { slot, info, label });
    }
    let all: Vec<String> = tokens.iter().map(Found::describe).collect();
    let mut matching: Vec<Found> = tokens.into_iter().filter(|it| it.is_meant_by(uri)).collect();
    let what = match (matching.pop(), matching.is_empty()) {
        (Some(token), true) => return Ok(token),
        (None, _) => format!("there is no token with {uri}"),
        (Some(_), false) => format!("there is more than one token with {uri}"),
    };
    let details = match all.is_empty() {
        true => vec!["the PKCS#11 module sees no token at all".to_owned()],
        false => all,
    };
    let remedy = "plug the token in, and name one that there is: token=, serial= or slot-id=";
    Err(Failure { details, ..Failure::new(what, remedy) })
}

impl Found {
    /// What the URI does not say, it leaves open.
    fn is_meant_by(&self, uri: &Uri) -> bool {
        let same = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        same(&uri.token, self.info.label())
            && same(&uri.manufacturer, self.info.manufacturer_id())
            && same(&uri.serial, self.info.serial_number())
            && same(&uri.model, self.info.model())
            && uri.slot_id.is_none_or(|wanted| wanted == self.slot.id())
    }

    fn describe(&self) -> String {
        format!(
            "there is token={} serial={} ({}, {}) in slot-id={}",
            self.info.label(),
            self.info.serial_number(),
            self.info.manufacturer_id(),
            self.info.model(),
            self.slot.id()
        )
    }

    /// What is said after a wrong PIN: with what the token tells of its counter, asked anew. It tells
    /// no number, but whether one more wrong PIN locks it.
    pub(super) fn wrong_pin(&self, library: &Pkcs11) -> Failure {
        let mut failure = Failure::new(
            format!("the PIN is not that of the token {}", self.label),
            "look the PIN up before the next attempt: a token locks itself after a few wrong ones",
        );
        match library.get_token_info(self.slot) {
            Ok(info) if info.user_pin_locked() => {
                let Failure { what, remedy, .. } = locked(&self.label);
                failure.details.push(what);
                failure.remedy = remedy;
            }
            Ok(info) if info.user_pin_final_try() => {
                failure.details.push("it says that the next wrong PIN locks it".to_owned());
            }
            Ok(info) if info.user_pin_count_low() => {
                failure.details.push("it counts wrong PINs, until the next right one".to_owned());
            }
            _ => {}
        }
        failure
    }

    /// Refuses before anybody is asked for a PIN in vain.
    pub(super) fn check_pin(&self) -> Result<()> {
        if self.info.user_pin_locked() {
            return Err(locked(&self.label));
        }
        if !self.info.user_pin_initialized() {
            return Err(Failure::new(
                format!("the token {} has no user PIN yet", self.label),
                "set it up with its vendor's tool, or `pkcs11-tool --init-pin`",
            ));
        }
        Ok(())
    }
}

pub(super) fn locked(token: &str) -> Failure {
    Failure::new(
        format!("the PIN of the token {token} is locked after too many wrong ones"),
        "unlock it as its vendor says (with the PUK or the security officer's PIN)",
    )
}
