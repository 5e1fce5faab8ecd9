//! All that an error says, for messages that stand alone.

use std::error::Error;

/// An error and its causes in one line, the outermost first, `: ` between them.
pub fn words_of(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        words = format!("{words}: {inner}");
        cause = inner.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Outer(std::io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("no answer from the catalog")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn causes_follow_the_error() {
        let error = Outer(std::io::Error::other("connection reset"));
        assert_eq!(words_of(&error), "no answer from the catalog: connection reset");
        assert_eq!(words_of(&std::io::Error::other("alone")), "alone");
    }
}
