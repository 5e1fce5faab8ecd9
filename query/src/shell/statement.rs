//! Where a statement ends: at a semicolon outside of quotes and comments.

/// What surrounds a place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    Plain,
    Quotes(char),
    LineComment,
    BlockComment,
}

/// Whether the text ends with a complete statement, or has none at all.
pub fn is_complete(text: &str) -> bool {
    let pieces = pieces(text);
    pieces.last().is_none_or(|(piece, is_ended)| *is_ended || is_blank(piece))
}

/// The statements of a text, without their semicolons; the last one may lack its own.
pub fn split(text: &str) -> Vec<String> {
    let statements = pieces(text).into_iter().map(|(piece, _)| piece.trim().to_owned());
    statements.filter(|piece| !is_blank(piece)).collect()
}

/// The parts between the semicolons, each with whether one follows.
fn pieces(text: &str) -> Vec<(String, bool)> {
    let (mut pieces, mut current, mut inside) = (Vec::new(), String::new(), Inside::Plain);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let next = characters.peek().copied();
        if inside == Inside::Plain && character == ';' {
            pieces.push((std::mem::take(&mut current), true));
            continue;
        }
        current.push(character);
        inside = match (inside, character, next) {
            (Inside::Plain, '\'' | '"', _) => Inside::Quotes(character),
            (Inside::Plain, '-', Some('-')) => Inside::LineComment,
            (Inside::Plain, '/', Some('*')) => Inside::BlockComment,
            // A doubled quote ends the text and begins it again: the same in effect.
            (Inside::Quotes(quote), _, _) if quote == character => Inside::Plain,
            (Inside::LineComment, '\n', _) => Inside::Plain,
            (Inside::BlockComment, '*', Some('/')) => {
                current.extend(characters.next());
                Inside::Plain
            }
            (other, _, _) => other,
        };
    }
    if !current.is_empty() {
        pieces.push((current, false));
    }
    pieces
}

/// Whether there is nothing but space and comments.
fn is_blank(piece: &str) -> bool {
    let mut rest = piece.trim_start();
    loop {
        if rest.is_empty() {
            return true;
        }
        let after = if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once('\n').map_or("", |(_, after)| after)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, after)| after)
        } else {
            return false;
        };
        rest = after.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_semicolon_in_quotes_or_comments_ends_nothing() {
        assert!(is_complete("SELECT ';';"));
        assert!(!is_complete("SELECT ';'"));
        assert!(!is_complete("SELECT 'it''s;"));
        assert!(!is_complete("SELECT 1 -- ;"));
        assert!(!is_complete("SELECT 1 /* ; */"));
        assert!(is_complete("SELECT \"a;b\" FROM t; -- done"));
        assert!(is_complete(""));
    }

    #[test]
    fn statements_are_taken_apart() {
        assert_eq!(split("SELECT 1; -- one\nSELECT ';' ;\n"), ["SELECT 1", "-- one\nSELECT ';'"]);
        assert_eq!(split("-- nothing\n ; ;"), Vec::<String>::new());
        assert_eq!(split("SELECT 1"), ["SELECT 1"]);
    }
}
