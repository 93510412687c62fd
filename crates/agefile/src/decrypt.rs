//! The payload: chunks of 64 KiB, each authenticated with its place and whether it is the last.

use core::fmt;

use ring::aead;

use crate::error::AgeError;
use crate::header;
use crate::header::Header;
use crate::header::MAX_HEADER_LEN;
use crate::identity::Identities;

/// Plaintext of a chunk that is not the last.
const CHUNK: usize = 64 * 1024;

/// The same on its way.
const SEALED: usize = CHUNK + TAG_LEN;

const TAG_LEN: usize = 16;
const NONCE_LEN: usize = 16;

/// Decrypts a file as its bytes come, in pieces of any size.
///
/// Plaintext is given out one chunk behind, because only the end of the file tells which chunk is
/// the last. Until [`Decryptor::finish`] has succeeded, the file may still turn out to be cut.
pub struct Decryptor {
    identities: Identities,
    state: State,
    /// It failed, or is over: that stays so.
    ended: Option<AgeError>,
}

enum State {
    /// Not all of the header has come.
    Header { bytes: Vec<u8>, searched: usize },
    /// The header has.
    Payload(Box<Payload>),
}

struct Payload {
    key: aead::LessSafeKey,
    /// Chunks that were opened.
    opened: u64,
    /// The next chunk, or a part of it.
    chunk: Vec<u8>,
}

impl fmt::Debug for Decryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decryptor").finish_non_exhaustive()
    }
}

impl Decryptor {
    /// For files that are encrypted to one of these.
    #[must_use]
    pub fn new(identities: Identities) -> Self {
        Self { identities, state: State::begin(), ended: None }
    }

    /// Starts again with the first byte of a file.
    pub fn restart(&mut self) {
        self.state = State::begin();
        self.ended = None;
    }

    /// Takes the next bytes; `out` gets what they decrypt to.
    ///
    /// # Errors
    /// [`AgeError`], from then on always the same; and those of `out`, after which the decryptor is
    /// of no use until [`Decryptor::restart`].
    pub fn push<E: From<AgeError>>(
        &mut self,
        bytes: &[u8],
        out: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(error) = &self.ended {
            return Err(error.clone().into());
        }
        let mut rest = match self.header(bytes) {
            Ok(behind) => behind,
            Err(error) => return Err(fail(&mut self.ended, error)),
        };
        let State::Payload(payload) = &mut self.state else { return Ok(()) };
        while !rest.is_empty() {
            if payload.chunk.len() >= SEALED {
                // More comes: it is not the last.
                match payload.open() {
                    Ok(plain) => out(plain)?,
                    Err(error) => return Err(fail(&mut self.ended, error)),
                }
                payload.chunk.clear();
            }
            let room = SEALED.saturating_sub(payload.chunk.len());
            let (now, later) = rest.split_at(room.min(rest.len()));
            payload.chunk.extend_from_slice(now);
            rest = later;
        }
        Ok(())
    }

    /// All bytes have come; `out` gets the last of what they decrypt to.
    ///
    /// # Errors
    /// [`AgeError`] if that was not all of the file, and those of `out`.
    pub fn finish<E: From<AgeError>>(
        &mut self,
        out: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(error) = &self.ended {
            return Err(error.clone().into());
        }
        let result = match &mut self.state {
            State::Payload(payload) => payload.open_last(),
            State::Header { bytes, .. } if bytes.is_empty() => Err(AgeError::NotEncrypted),
            State::Header { .. } => Err(AgeError::Truncated),
        };
        match result {
            Ok(plain) => {
                // Nothing may come behind the end.
                self.ended = Some(AgeError::Truncated);
                out(plain)
            }
            Err(error) => Err(fail(&mut self.ended, error)),
        }
    }

    /// Takes what belongs to the header and the nonce behind it; gives what comes behind.
    fn header<'a>(&mut self, new: &'a [u8]) -> Result<&'a [u8], AgeError> {
        let State::Header { bytes, searched } = &mut self.state else { return Ok(new) };
        let before = bytes.len();
        // One byte too many is enough to see that it is too long.
        let room = (MAX_HEADER_LEN + NONCE_LEN + 1).saturating_sub(before);
        bytes.extend_from_slice(new.get(..room.min(new.len())).unwrap_or_default());
        header::check_start(bytes)?;
        // The mark may have begun in the bytes before.
        let Some(end) = header::end(bytes, *searched) else {
            *searched = bytes.len().saturating_sub(64);
            return if bytes.len() > MAX_HEADER_LEN {
                Err(AgeError::HeaderTooLong)
            } else {
                Ok(&[])
            };
        };
        if end > MAX_HEADER_LEN {
            return Err(AgeError::HeaderTooLong);
        }
        let parsed = Header::parse(bytes.get(..end).unwrap_or_default())?;
        let Some(nonce) = bytes.get(end..end + NONCE_LEN) else { return Ok(&[]) };
        let key = parsed.file_key(&self.identities)?;
        let key = header::derive(nonce, key.as_ref(), b"payload");
        let Some(key) = header::cipher(&key) else { return Err(AgeError::HeaderMac) };
        let chunk = Vec::with_capacity(SEALED);
        let behind = (end + NONCE_LEN).saturating_sub(before);
        self.state = State::Payload(Box::new(Payload { key, opened: 0, chunk }));
        Ok(new.get(behind..).unwrap_or_default())
    }
}

fn fail<E: From<AgeError>>(ended: &mut Option<AgeError>, error: AgeError) -> E {
    *ended = Some(error.clone());
    error.into()
}

impl State {
    const fn begin() -> Self {
        Self::Header { bytes: Vec::new(), searched: 0 }
    }
}

impl Payload {
    /// Opens the chunk that is there, behind which others come.
    fn open(&mut self) -> Result<&[u8], AgeError> {
        let number = self.opened.saturating_add(1);
        let nonce = nonce(self.opened, false);
        let plain = self.key.open_in_place(nonce, aead::Aad::empty(), &mut self.chunk);
        let plain = plain.map_err(|_| AgeError::Chunk { number })?;
        self.opened = number;
        Ok(plain)
    }

    /// Opens the chunk that is there, behind which nothing has come.
    fn open_last(&mut self) -> Result<&[u8], AgeError> {
        if self.chunk.len() < TAG_LEN {
            return Err(AgeError::Truncated);
        }
        // An empty chunk is the whole of an empty file, and else the end of none.
        if self.chunk.len() == TAG_LEN && self.opened > 0 {
            return Err(AgeError::Chunk { number: self.opened.saturating_add(1) });
        }
        // Opening spoils what it fails on.
        let mut again = (self.chunk.len() == SEALED).then(|| self.chunk.clone());
        let place = self.opened;
        if self.key.open_in_place(nonce(place, true), aead::Aad::empty(), &mut self.chunk).is_ok() {
            self.opened = place.saturating_add(1);
            let len = self.chunk.len().saturating_sub(TAG_LEN);
            return Ok(self.chunk.get(..len).unwrap_or_default());
        }
        // A chunk that others were to follow: the file was cut between two.
        let cut = again.as_mut().is_some_and(|chunk| {
            self.key.open_in_place(nonce(place, false), aead::Aad::empty(), chunk).is_ok()
        });
        if cut {
            Err(AgeError::Truncated)
        } else {
            Err(AgeError::Chunk { number: place.saturating_add(1) })
        }
    }
}

/// Eleven bytes of the chunk's place, counted from 0, and one that says whether it is the last.
fn nonce(place: u64, last: bool) -> aead::Nonce {
    let [a, b, c, d, e, f, g, h] = place.to_be_bytes();
    let nonce = [0, 0, 0, a, b, c, d, e, f, g, h, u8::from(last)];
    aead::Nonce::assume_unique_for_key(nonce)
}

/// Decrypts a small file that is there as a whole.
///
/// # Errors
/// [`AgeError`].
pub fn decrypt(identities: &Identities, file: &[u8]) -> Result<Vec<u8>, AgeError> {
    let mut plain = Vec::new();
    let mut take = |bytes: &[u8]| {
        plain.extend_from_slice(bytes);
        Ok::<_, AgeError>(())
    };
    let mut decryptor = Decryptor::new(identities.clone());
    decryptor.push(file, &mut take)?;
    decryptor.finish(&mut take)?;
    Ok(plain)
}
