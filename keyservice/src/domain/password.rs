//! Passwords and their hashes: Argon2id, and neither can be printed.

use std::{fmt, sync::LazyLock};

use argon2::{
    Algorithm, Argon2, Block, Params, PasswordHasher, Version,
    password_hash::{self, phc},
};

use super::InvalidText;

/// Random bytes in a hash's salt.
pub const SALT_ENTROPY: usize = 16;

/// A password as somebody chose it; it cannot be printed.
pub struct Password(String);

impl Password {
    /// The fewest bytes of a password.
    pub const MIN: usize = 8;

    /// The most bytes of a password.
    pub const MAX: usize = 1024;

    /// Reads a password of [`Password::MIN`] to [`Password::MAX`] bytes; any characters will do.
    ///
    /// # Errors
    /// When it is shorter or longer.
    pub fn parse(text: String) -> Result<Self, InvalidText> {
        if (Self::MIN..=Self::MAX).contains(&text.len()) {
            return Ok(Self(text));
        }
        Err(InvalidText::new("a password is 8 to 1024 bytes of UTF-8"))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// The Argon2id hash of a password, as text in the PHC form; it cannot be printed either.
///
/// The parameters are those that OWASP's Password Storage Cheat Sheet names first: 19 MiB, two passes, one lane. Making
/// or trying one takes tens of milliseconds of one core, so neither belongs on a thread that serves requests.
#[derive(Clone)]
pub struct PasswordHash(String);

/// What trying one password needs, 19 MiB, to be used again and again: an allocator that is asked for so much by many
/// threads keeps it for each of them.
#[derive(Default)]
pub struct HashingMemory(Vec<Block>);

/// A password could not be hashed, or a hash could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Argon2id failed: {0}")]
pub struct HashError(#[from] password_hash::Error);

impl PasswordHash {
    /// Hashes a password with a salt of random bytes.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn of(password: &Password, salt: [u8; SALT_ENTROPY]) -> Result<Self, HashError> {
        hash(password.0.as_bytes(), salt)
    }

    /// Reads a hash that [`PasswordHash::expose`] gave.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        phc::PasswordHash::new(text).map_err(password_hash::Error::from)?;
        Ok(Self(text.to_owned()))
    }

    /// The hash as text, for the database.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is the hash of this password. It takes the same time wherever two differ.
    #[must_use]
    pub fn matches(&self, attempt: &[u8], memory: &mut HashingMemory) -> bool {
        self.try_match(attempt, memory).unwrap_or(false)
    }

    /// Tries a password that belongs to nobody, so that it takes as long as for somebody.
    pub fn matches_nobody(attempt: &[u8], memory: &mut HashingMemory) {
        static NOBODY: LazyLock<Option<PasswordHash>> = LazyLock::new(|| hash(b"nobody", [0; SALT_ENTROPY]).ok());
        let _ = NOBODY.as_ref().map(|nobody| nobody.matches(attempt, memory));
    }

    fn try_match(&self, attempt: &[u8], memory: &mut HashingMemory) -> Result<bool, password_hash::Error> {
        let known = phc::PasswordHash::new(&self.0)?;
        let (Some(salt), Some(expected)) = (&known.salt, &known.hash) else { return Ok(false) };
        let algorithm = Algorithm::try_from(known.algorithm.as_str())?;
        let version = known.version.map(Version::try_from).transpose()?.unwrap_or_default();
        let params = Params::try_from(&known)?;
        memory.0.resize(params.block_count(), Block::new());
        let mut computed = vec![0; expected.len()];
        let argon2 = Argon2::new(algorithm, version, params);
        argon2.hash_password_into_with_memory(attempt, salt, &mut computed, memory.0.as_mut_slice())?;
        // These compare in a time that tells nothing.
        Ok(phc::Output::new(&computed)? == *expected)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

fn hash(password: &[u8], salt: [u8; SALT_ENTROPY]) -> Result<PasswordHash, HashError> {
    Ok(PasswordHash(Argon2::default().hash_password_with_salt(password, &salt)?.to_string()))
}

#[cfg(test)]
mod tests {
    use super::{HashingMemory, Password, PasswordHash};

    fn password(text: &str) -> Password {
        Password::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn a_hash_is_argon2id_with_the_parameters_that_owasp_names() {
        let hash = PasswordHash::of(&password("correct horse"), [7; 16]).unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.expose());
        assert!(!hash.expose().contains("correct"));
    }

    #[test]
    fn a_hash_matches_its_own_password_only() {
        let hash = PasswordHash::of(&password("correct horse"), [7; 16]).unwrap();
        let again = PasswordHash::parse(hash.expose()).unwrap();
        let mut memory = HashingMemory::default();
        assert!(again.matches(b"correct horse", &mut memory));
        for wrong in [&b""[..], b"correct hors", b"correct horse ", b"\xff"] {
            assert!(!again.matches(wrong, &mut memory), "{wrong:?}");
        }
        PasswordHash::matches_nobody(b"nobody", &mut memory);
        assert!(again.matches(b"correct horse", &mut memory), "whatever the memory was used for before");
    }

    #[test]
    fn neither_password_nor_hash_can_be_printed() {
        let password = password("correct horse");
        let hash = PasswordHash::of(&password, [7; 16]).unwrap();
        assert_eq!(format!("{password:?} {hash:?}"), "Password(…) PasswordHash(…)");
    }

    #[test]
    fn a_password_has_8_to_1024_bytes() {
        for bad in ["", "seven77", &"x".repeat(1025)] {
            assert!(Password::parse(bad.to_owned()).is_err(), "{}", bad.len());
        }
        assert!(Password::parse("ü".repeat(4)).is_ok());
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for bad in ["", "secret", "$argon2id$", "$argon2id$v=19$m=x$c2FsdA$aGFzaA"] {
            assert!(PasswordHash::parse(bad).is_err(), "{bad}");
        }
    }
}
