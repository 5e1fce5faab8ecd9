//! Which statements are too deep to be planned: a chain of operators is as deep as it is long, and planners are recursive.
//!
//! The parser bounds parentheses and functions within functions by itself; chains of operators, of joins and of queries that
//! name each other it does not. Most steps of planning guard their stack; some, such as naming a column after its
//! expression, don't: they run on a large stack ([`on_large_stack`]), which is enough for what [`check`] lets pass.

use std::pin::Pin;
use std::task::{Context, Poll};

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::QueryError;

/// Operators, joins and SELECTs of a statement. The views have some dozens; the time of planning grows with the third power,
/// because columns are named after their expressions.
const MOST_STEPS: usize = 500;
/// Where less is left of the stack, a large one is taken.
const LEAST_STACK_BYTES: usize = 32 << 20;
/// Memory that is never touched costs nothing.
const LARGE_STACK_BYTES: usize = 64 << 20;

/// Refuses a statement of too many steps. What can't be taken apart passes: the parser says why.
///
/// # Errors
/// [`QueryError::BadSql`] with what to do.
pub(crate) fn check(sql: &str) -> Result<(), QueryError> {
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize() else { return Ok(()) };
    let steps = tokens.iter().filter(|token| is_step(token)).count();
    if steps <= MOST_STEPS {
        return Ok(());
    }
    let message = format!(
        "the statement has {steps} operators, joins and SELECTs, {MOST_STEPS} are allowed: put long lists of values into IN (…) or a join with VALUES"
    );
    Err(QueryError::BadSql { message, position: None })
}

fn is_step(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::BETWEEN
                | Keyword::LIKE
                | Keyword::JOIN
                | Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT
                | Keyword::SELECT
        ),
        // Marks that stand between values of lists, or around them.
        Token::Comma
        | Token::Period
        | Token::LParen
        | Token::RParen
        | Token::SemiColon
        | Token::Whitespace(_)
        | Token::EOF => false,
        Token::Number(..) | Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) => false,
        _ => true,
    }
}

/// Polls `work` where there is enough stack for a deep statement.
pub(crate) fn on_large_stack<F: Future>(work: F) -> impl Future<Output = F::Output> + use<F> {
    OnLargeStack(Box::pin(work))
}

struct OnLargeStack<F>(Pin<Box<F>>);

impl<F: Future> Future for OnLargeStack<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let work = self.0.as_mut();
        stacker::maybe_grow(LEAST_STACK_BYTES, LARGE_STACK_BYTES, || work.poll(context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_count_and_lists_do_not() {
        let values: Vec<String> = (0..20_000).map(|n| format!("'v{n}'")).collect();
        assert!(check(&format!("SELECT a.x FROM t AS a WHERE a.x IN ({})", values.join(", "))).is_ok());
        assert!(check(&format!("SELECT {}1", "1 + ".repeat(499))).is_ok());
        for part in ["1 + ", "x = 1 OR ", "x::int - ", "- - ", "a || "] {
            assert!(check(&format!("SELECT {}1", part.repeat(501))).is_err(), "{part}");
        }
        assert!(check(&"SELECT 1 UNION ALL ".repeat(600)).is_err());
        assert!(check("SELECT 'a + b -- c").is_ok(), "the parser says what is wrong");
    }
}
