//! Patterns of names, and the names that they lead to. `{N}` stands for a number, `{name}` for a word without a dot,
//! `{name*}` for any text; `{N+1}` counts on.

/// A name with holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Hole(Hole),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Hole {
    name: String,
    kind: HoleKind,
    /// Added to a number in the name that is made.
    plus: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HoleKind {
    Number,
    Word,
    Any,
}

/// What the holes of a pattern stand for.
pub(super) type Found<'n> = Vec<(String, &'n str)>;

impl Pattern {
    /// Reads a pattern; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            let (hole, after) =
                behind.split_once('}').ok_or_else(|| format!("`{text}` has a `{{` without its `}}`"))?;
            if !before.is_empty() {
                pieces.push(Piece::Literal(before.to_string()));
            }
            pieces.push(Piece::Hole(
                Hole::parse(hole)
                    .ok_or_else(|| format!("`{{{hole}}}` is no hole: write {{N}}, {{N+1}}, {{name}} or {{name*}}"))?,
            ));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.to_string()));
        }
        let pattern = Pattern(pieces);
        let any = pattern.holes().filter(|hole| hole.kind == HoleKind::Any).count();
        // Each of them may end at any letter; two would make the work grow with the square of a name's length.
        if any > 1 { Err(format!("`{text}` has several holes for any text; one is the most")) } else { Ok(pattern) }
    }

    fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Hole(hole) => Some(hole),
            Piece::Literal(_) => None,
        })
    }

    /// A hole that `of` does not fill.
    pub fn unfilled(&self, of: &Pattern) -> Option<&str> {
        let hole = self.holes().find(|hole| !of.holes().any(|other| other.name == hole.name))?;
        Some(&hole.name)
    }

    /// What the holes stand for, if the name fits the pattern.
    pub fn matches<'n>(&self, name: &'n str) -> Option<Found<'n>> {
        let mut found = Vec::new();
        fits(&self.0, name, &mut found).then_some(found)
    }

    /// The name with its holes filled; `None` if a number would be negative or too large.
    pub fn fill(&self, found: &Found) -> Option<String> {
        let mut name = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => name.push_str(text),
                Piece::Hole(hole) => {
                    let (_, value) = found.iter().find(|(known, _)| *known == hole.name)?;
                    match hole.plus {
                        0 => name.push_str(value),
                        plus => name.push_str(
                            &value.parse::<u32>().ok()?.checked_add_signed(i32::try_from(plus).ok()?)?.to_string(),
                        ),
                    }
                }
            }
        }
        Some(name)
    }
}

impl Hole {
    fn parse(text: &str) -> Option<Hole> {
        let (name, plus) = match text.find(['+', '-']) {
            Some(at) => (&text[..at], text[at..].parse().ok()?),
            None => (text, 0),
        };
        let (name, is_any) = match name.strip_suffix('*') {
            Some(name) => (name, true),
            None => (name, false),
        };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return None;
        }
        let kind = match (is_any, name.bytes().all(|byte| byte.is_ascii_uppercase())) {
            (true, _) => HoleKind::Any,
            (false, true) => HoleKind::Number,
            (false, false) => HoleKind::Word,
        };
        (plus == 0 || kind == HoleKind::Number).then(|| Hole { name: name.to_string(), kind, plus })
    }
}

/// Fits the pieces to a name. A number or a word takes all it can, since what follows it never continues it.
fn fits<'n>(pieces: &[Piece], name: &'n str, found: &mut Found<'n>) -> bool {
    match pieces {
        [] => name.is_empty(),
        [Piece::Literal(text), rest @ ..] => {
            name.strip_prefix(text.as_str()).is_some_and(|name| fits(rest, name, found))
        }
        [Piece::Hole(hole), rest @ ..] => {
            let longest = match hole.kind {
                HoleKind::Number => name.bytes().take_while(u8::is_ascii_digit).count(),
                HoleKind::Word => name.find('.').unwrap_or(name.len()),
                HoleKind::Any => name.len(),
            };
            let shortest = if hole.kind == HoleKind::Any { 1 } else { longest.max(1) };
            (shortest..=longest).filter(|end| name.is_char_boundary(*end)).any(|end| {
                let known = found.len();
                found.push((hole.name.clone(), &name[..end]));
                let fits = fits(rest, &name[end..], found);
                if !fits {
                    found.truncate(known);
                }
                fits
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(from: &str, to: &str, name: &str) -> Option<String> {
        Pattern::parse(to).unwrap().fill(&Pattern::parse(from).unwrap().matches(name)?)
    }

    #[test]
    fn holes_are_filled_by_numbers_words_and_texts() {
        let of = |name: &str| renamed("decoder.layers.{N}.{rest*}", "decoder.{N+1}.{rest}", name);
        assert_eq!(of("decoder.layers.9.conv.0.weight").as_deref(), Some("decoder.10.conv.0.weight"));
        assert_eq!(of("decoder.layers.x.weight"), None);
        assert_eq!(of("decoder.layers.9."), None, "a hole is never empty");
        let old = |name: &str| renamed("{path*}.query.{kind}", "{path}.to_q.{kind}", name);
        assert_eq!(old("a.query.b.query.bias").as_deref(), Some("a.query.b.to_q.bias"));
        assert_eq!(old("query.bias"), None);
        assert_eq!(old("a.query.bias.x"), None, "a word has no dot");
        assert_eq!(renamed("a.{N}", "a.{N-1}", "a.0"), None);
        assert_eq!(renamed("ä{x*}ö", "{x}", "äüüö").as_deref(), Some("üü"));
    }

    #[test]
    fn wrong_patterns_say_why() {
        for (text, word) in
            [("a.{N", "without its"), ("{}", "no hole"), ("{name+1}", "no hole"), ("{a*}.{b*}", "several")]
        {
            let error = Pattern::parse(text).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
        let [to, from] = ["{a}.{b}", "{a}"].map(|text| Pattern::parse(text).unwrap());
        assert_eq!((to.unfilled(&from), from.unfilled(&to)), (Some("b"), None));
    }
}
