//! The secret that a request must know, where there is one.

use std::fmt;

use subtle::ConstantTimeEq;

/// A secret, or none. `Debug` doesn't show it.
#[derive(Clone, Default)]
pub struct Token(String);

impl Token {
    /// The secret; none, if empty.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// Whether a request must know something.
    pub fn is_set(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether a request with this `Authorization` is let in. Takes as long for a wrong secret, wherever the first
    /// difference is.
    pub fn lets_in(&self, authorization: Option<&[u8]>) -> bool {
        if !self.is_set() {
            return true;
        }
        let given = authorization.and_then(|value| value.strip_prefix(b"Bearer ")).unwrap_or_default();
        given.ct_eq(self.0.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.is_set() { "Token(…)" } else { "no token" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_secret_opens() {
        let token = Token::new("abc");
        assert!(token.lets_in(Some(b"Bearer abc")));
        for wrong in
            [None, Some(b"abc".as_slice()), Some(b"Bearer ab"), Some(b"Bearer abcd"), Some(b"Bearer abd")]
        {
            assert!(!token.lets_in(wrong), "{wrong:?}");
        }
        assert!(Token::default().lets_in(None));
        assert!(!format!("{token:?}").contains("abc"));
    }
}
