//! What may be meant by a weight that is missing.

/// Names less alike than this are not shown.
const LEAST_ALIKE: f64 = 0.6;
/// The most tensors that are compared with a missing one: a file of another model has nothing near anyway.
const MOST_CANDIDATES: usize = 4096;

/// A tensor that is left over.
pub(super) struct Candidate<'a> {
    pub name: &'a str,
    pub shape: &'a [usize],
}

/// The tensor left over that is most like the missing one, with what would have to happen to it.
pub(super) fn nearest(name: &str, shape: &[usize], candidates: &[Candidate]) -> Option<String> {
    let rated = candidates.iter().take(MOST_CANDIDATES).filter_map(|candidate| {
        let edit = edit(shape, candidate.shape)?;
        let alike = strsim::normalized_levenshtein(name, candidate.name);
        (alike >= LEAST_ALIKE).then_some((alike, candidate.name, edit))
    });
    let (_, name, edit) = rated.max_by(|(one, ..), (other, ..)| one.total_cmp(other))?;
    Some(format!("{name}{edit}"))
}

/// What makes one shape of the other; `None` if nothing that a map does.
fn edit(wanted: &[usize], found: &[usize]) -> Option<&'static str> {
    let elements = |shape: &[usize]| shape.iter().product::<usize>();
    match (wanted, found) {
        _ if wanted == found => Some(""),
        ([first, rest @ ..], [whole, same @ ..]) if rest == same && *whole == 3 * first => Some(", split in three?"),
        ([first, rest @ ..], [whole, same @ ..]) if rest == same && *whole == 2 * first => Some(", split in two?"),
        ([rows, columns], [also_columns, also_rows]) if rows == also_rows && columns == also_columns => {
            Some(", transposed?")
        }
        _ if elements(wanted) == elements(found) && found.len() > wanted.len() => Some(", squeezed?"),
        _ => None,
    }
}
