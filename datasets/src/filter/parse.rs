//! The text of a condition.

use super::{Expression, Literal, Operator};

/// The deepest nesting of parentheses and `not`.
const DEEPEST: usize = 64;

/// The most words, values and marks: each level of a long chain takes some stack.
const MOST_TOKENS: usize = 4096;

/// What is wrong with a text.
pub(super) struct Unexpected {
    /// The place, in characters from 1.
    pub(super) at: usize,
    pub(super) reason: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A name without quotation marks, or a keyword.
    Word(String),
    /// A name in double quotation marks.
    Name(String),
    Text(String),
    Number(String),
    Operator(Operator),
    /// `(`, `)` or `,`.
    Mark(char),
}

/// A token and its place in characters from 1.
struct Placed {
    token: Token,
    at: usize,
}

pub(super) fn condition(text: &str) -> Result<Expression, Unexpected> {
    let tokens = tokens(text)?;
    let end = text.chars().count() + 1;
    let mut parser = Parser { tokens, next: 0, end, depth: 0 };
    let root = parser.any_of()?;
    match parser.peek() {
        None => Ok(root),
        Some(_) => Err(parser.expected("`and`, `or` or the end")),
    }
}

fn tokens(text: &str) -> Result<Vec<Placed>, Unexpected> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        if rest[0].is_whitespace() {
            at += 1;
            continue;
        }
        if tokens.len() == MOST_TOKENS {
            let reason = format!("a condition has at most {MOST_TOKENS} words, values and marks");
            return Err(Unexpected { at: at + 1, reason });
        }
        let (token, length) = token(rest).map_err(|reason| Unexpected { at: at + 1, reason })?;
        tokens.push(Placed { token, at: at + 1 });
        at += length;
    }
    Ok(tokens)
}

/// The token at the start of a text, and its length.
fn token(rest: &[char]) -> Result<(Token, usize), String> {
    const OPERATORS: [(&str, Operator); 8] = [
        ("<=", Operator::AtMost),
        (">=", Operator::AtLeast),
        ("!=", Operator::Different),
        ("<>", Operator::Different),
        ("==", Operator::Equal),
        ("=", Operator::Equal),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ];
    let starts = |mark: &str| mark.chars().enumerate().all(|(index, c)| rest.get(index) == Some(&c));
    if let Some((mark, operator)) = OPERATORS.into_iter().find(|(mark, _)| starts(mark)) {
        return Ok((Token::Operator(operator), mark.len()));
    }
    let signed = matches!(rest[0], '-' | '+' | '.') && rest.get(1).is_some_and(|c| c.is_ascii_digit() || *c == '.');
    match rest[0] {
        '(' | ')' | ',' => Ok((Token::Mark(rest[0]), 1)),
        '\'' => quoted(rest, '\'').map(|(text, length)| (Token::Text(text), length)),
        '"' => quoted(rest, '"').map(|(name, length)| (Token::Name(name), length)),
        c if c.is_ascii_digit() || signed => number(rest),
        c if c.is_alphabetic() || c == '_' => {
            let is_part = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '.');
            let word: String = rest.iter().copied().take_while(is_part).collect();
            let length = word.chars().count();
            Ok((Token::Word(word), length))
        }
        c => Err(format!("`{c}` has no meaning here; put names of columns in \"...\" and texts in '...'")),
    }
}

/// A text in quotation marks; two of them within it stand for one.
fn quoted(rest: &[char], mark: char) -> Result<(String, usize), String> {
    let mut text = String::new();
    let mut at = 1;
    loop {
        match (rest.get(at), rest.get(at + 1)) {
            (None, _) => return Err(format!("the quotation mark {mark} has no end")),
            (Some(c), Some(next)) if *c == mark && *next == mark => {
                text.push(mark);
                at += 2;
            }
            (Some(c), _) if *c == mark => return Ok((text, at + 1)),
            (Some(c), _) => {
                text.push(*c);
                at += 1;
            }
        }
    }
}

fn number(rest: &[char]) -> Result<(Token, usize), String> {
    let mut text = String::new();
    for (index, c) in rest.iter().enumerate() {
        let is_sign = matches!(c, '-' | '+') && (index == 0 || text.ends_with(['e', 'E']));
        if !(c.is_ascii_alphanumeric() || *c == '.' || *c == '_' || is_sign) {
            break;
        }
        text.push(*c);
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok((Token::Number(text.clone()), text.len())),
        _ => Err(format!("`{text}` is not a number; put texts in '...'")),
    }
}

struct Parser {
    tokens: Vec<Placed>,
    next: usize,
    /// The place after the last character.
    end: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|placed| &placed.token)
    }

    fn expected(&self, what: &str) -> Unexpected {
        let at = self.tokens.get(self.next).map_or(self.end, |placed| placed.at);
        Unexpected { at, reason: format!("expected {what}") }
    }

    fn word(&mut self, keyword: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword));
        self.next += usize::from(found);
        found
    }

    fn mark(&mut self, mark: char) -> Result<(), Unexpected> {
        if self.peek() != Some(&Token::Mark(mark)) {
            return Err(self.expected(&format!("`{mark}`")));
        }
        self.next += 1;
        Ok(())
    }

    fn any_of(&mut self) -> Result<Expression, Unexpected> {
        let mut left = self.all_of()?;
        while self.word("or") {
            left = Expression::Or(Box::new(left), Box::new(self.all_of()?));
        }
        Ok(left)
    }

    fn all_of(&mut self) -> Result<Expression, Unexpected> {
        let mut left = self.single()?;
        while self.word("and") {
            left = Expression::And(Box::new(left), Box::new(self.single()?));
        }
        Ok(left)
    }

    fn single(&mut self) -> Result<Expression, Unexpected> {
        if self.depth == DEEPEST {
            return Err(self.expected(&format!("at most {DEEPEST} levels of parentheses and `not`")));
        }
        self.depth += 1;
        let found = if self.word("not") {
            self.single().map(|inner| Expression::Not(Box::new(inner)))
        } else if self.peek() == Some(&Token::Mark('(')) {
            self.next += 1;
            self.any_of().and_then(|inner| self.mark(')').map(|()| inner))
        } else {
            self.comparison()
        };
        self.depth -= 1;
        found
    }

    fn comparison(&mut self) -> Result<Expression, Unexpected> {
        let column = match self.peek() {
            Some(Token::Word(name) | Token::Name(name)) => name.clone(),
            _ => return Err(self.expected("the name of a column")),
        };
        self.next += 1;
        if self.word("is") {
            let negated = self.word("not");
            if !self.word("null") {
                return Err(self.expected("`null`"));
            }
            return Ok(negate(Expression::IsNull(column), negated));
        }
        let negated = self.word("not");
        if self.word("in") {
            return Ok(negate(self.one_of(&column)?, negated));
        }
        match self.peek() {
            Some(Token::Operator(operator)) if !negated => {
                let operator = *operator;
                self.next += 1;
                Ok(Expression::Compare { column, operator, value: self.value()? })
            }
            _ => Err(self.expected("=, !=, <, <=, >, >=, `is null` or `in`")),
        }
    }

    /// The values of `in (...)`.
    fn one_of(&mut self, column: &str) -> Result<Expression, Unexpected> {
        self.mark('(')?;
        let equal = |value| Expression::Compare { column: column.into(), operator: Operator::Equal, value };
        let mut found = equal(self.value()?);
        while self.mark(',').is_ok() {
            found = Expression::Or(Box::new(found), Box::new(equal(self.value()?)));
        }
        self.mark(')').map(|()| found)
    }

    fn value(&mut self) -> Result<Literal, Unexpected> {
        let value = match self.peek() {
            Some(Token::Number(text)) => Literal::Number(text.clone()),
            Some(Token::Text(text)) => Literal::Text(text.clone()),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("true") => Literal::Flag(true),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("false") => Literal::Flag(false),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("null") => {
                return Err(self.expected("a value; write `is null` to find nulls"));
            }
            _ => return Err(self.expected("a number, a text in '...', `true` or `false`")),
        };
        self.next += 1;
        Ok(value)
    }
}

fn negate(expression: Expression, negated: bool) -> Expression {
    if negated { Expression::Not(Box::new(expression)) } else { expression }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With all parentheses.
    fn shown(expression: &Expression) -> String {
        match expression {
            Expression::And(a, b) => format!("({} & {})", shown(a), shown(b)),
            Expression::Or(a, b) => format!("({} | {})", shown(a), shown(b)),
            Expression::Not(inner) => format!("!{}", shown(inner)),
            Expression::IsNull(column) => format!("{column}?"),
            Expression::Compare { column, operator, value } => {
                let value = match value {
                    Literal::Number(text) => text.clone(),
                    Literal::Text(text) => format!("'{text}'"),
                    Literal::Flag(flag) => flag.to_string(),
                };
                format!("{column} {operator:?} {value}")
            }
        }
    }

    #[test]
    fn conditions_are_read_as_in_sql() {
        for (text, read) in [
            ("a=1", "a Equal 1"),
            ("a = 1 or b < -2.5e3 AND c is Null", "(a Equal 1 | (b Less -2.5e3 & c?))"),
            ("not a == 'it''s' and b <> true", "(!a Equal 'it's' & b Different true)"),
            ("(a >= 1 or a <= 0) and b != 2", "((a AtLeast 1 | a AtMost 0) & b Different 2)"),
            ("\"two words\" is not null", "!two words?"),
            ("a in (1, 2)", "(a Equal 1 | a Equal 2)"),
            ("a not in ('x')", "!a Equal 'x'"),
            ("meta.größe > .5", "meta.größe Greater .5"),
            ("not not a = 1", "!!a Equal 1"),
        ] {
            let found = condition(text).map_err(|error| error.reason);
            assert_eq!(found.as_ref().map(shown), Ok(read.to_string()), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        let long = format!("a in (1{})", ", 2".repeat(100_000));
        let deep = format!("{}a = 1", "(".repeat(1000));
        for (text, at, words) in [
            ("", 1, "the name of a column"),
            ("a", 2, "=, !=, <"),
            ("a = ", 5, "a number, a text in '...'"),
            ("a = b", 5, "a text in '...'"),
            ("a = 1 b", 7, "`and`, `or` or the end"),
            ("a = null", 5, "write `is null`"),
            ("a is 3", 6, "`null`"),
            ("(a = 1", 7, "`)`"),
            ("a in ()", 7, "a number"),
            ("a = 'x", 5, "has no end"),
            ("a & b", 3, "has no meaning"),
            ("a = 1x", 5, "`1x` is not a number"),
            ("a = 1e999", 5, "not a number"),
            ("ä = 'ö' und", 9, "the end"),
            (&long, 7 + 2046 * 3 + 1, "at most 4096 words"),
            (&deep, 65, "at most 64 levels"),
        ] {
            let Err(Unexpected { at: found, reason }) = condition(text) else { panic!("{text}") };
            assert!(found == at && reason.contains(words), "{text:.20}: {found} {reason}");
        }
    }
}
